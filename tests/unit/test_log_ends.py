"""Where the logs end that are not fetched: whom to ask, and how long an answer counts."""

from tests.pieces import tp_of

from humus.queue.kafka._log_ends import LogEnds
from humus.queue.kafka._partition import Key
from humus.queue.kafka._stalls import Ends

A, B = tp_of(0), tp_of(1)
A1, B1, A2 = Key(A, 1), Key(B, 1), Key(A, 2)
ENDS = {A: Ends(0, 70, None), B: Ends(0, 80, None)}


def test_all_that_stand_are_asked_about_together_and_not_too_often() -> None:
    """One question in 10 s, about all of them; none where everything is fetched."""
    ends = LogEnds()
    assert ends.look(0.0, []) == []
    assert ends.look(1.0, [A1]) == [A1]
    assert ends.look(10.9, [A1, B1]) == []
    assert ends.look(11.0, [A1, B1]) == [A1, B1]


def test_an_answer_counts_until_the_partition_is_fetched_again() -> None:
    """What is fetched is known better by the client: a topic made anew may end earlier than it did."""
    ends = LogEnds()
    ends.look(0.0, [A1, B1])
    ends.told([A1, B1], ENDS)
    assert (ends.end(A), ends.end(B)) == (70, 80)
    ends.look(1.0, [B1])
    assert (ends.end(A), ends.end(B)) == (None, 80)


def test_no_answer_and_a_late_one_are_none() -> None:
    """Where the cluster said nothing the last answer stays; an answer for an epoch that is over is dropped."""
    ends = LogEnds()
    ends.look(0.0, [A1])
    ends.told([A1], {})
    assert ends.end(A) is None
    ends.told([A1], ENDS)
    ends.told([A1], {})
    assert ends.end(A) == 70
    ends.look(1.0, [])
    ends.look(2.0, [A2])
    ends.told([A1], ENDS)
    assert ends.end(A) is None
