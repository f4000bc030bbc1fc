"""What is wrong with the brokers just now: how a state begins and how it ends."""

import json
import logging

import pytest

from humus.queue.kafka._client_errors import Where
from humus.queue.kafka._conditions import Conditions
from humus.queue.kafka._diagnosis import SILENT_TOO_LONG, Diagnosis
from humus.queue.kafka._lookout import Sighting


class Away:
    """The client's error of a broker that cannot be reached."""

    def __init__(self, broker: str) -> None:
        self._broker = broker

    def name(self) -> str:
        """Return the client's code."""
        return "_TRANSPORT"

    def str(self) -> str:
        """Return the client's words."""
        return f"{self._broker}: Disconnected: connection closed by peer (after 12ms in state UP)"

    def fatal(self) -> bool:
        """Return that the client goes on."""
        return False


def statistics(states: dict[str, str]) -> str:
    """Return the client's statistics: the state of each broker."""
    return json.dumps({"brokers": {name: {"state": state} for name, state in states.items()}})


@pytest.mark.parametrize("scheme", ["", "ssl://", "sasl_ssl://", "sasl_plaintext://"])
def test_a_broker_that_answers_again_is_said_so_once(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """D70: one line when a broker goes and one when it is back, whatever the listener's security."""
    caplog.set_level(logging.INFO)
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    b1, b2 = f"{scheme}b1:9092/1", f"{scheme}b2:9092/2"
    for _ in range(3):
        diagnosis.trouble(Away(b2), Where.CALLBACK)
    diagnosis.statistics(statistics({b1: "UP", b2: "DOWN"}))
    assert len(diagnosis.texts()) == 1
    diagnosis.statistics(statistics({b1: "UP", b2: "UP"}))
    assert diagnosis.texts() == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.messages[-1] == "broker b2:9092/2 answers again"


def test_a_broker_that_left_the_cluster_is_no_problem() -> None:
    """D70: a broker taken out of service is not shown as away for ever."""
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    diagnosis.trouble(Away("b2:9092/2"), Where.CALLBACK)
    diagnosis.statistics(statistics({"b1:9092/1": "UP"}))
    assert diagnosis.texts() == []


def test_while_no_broker_is_up_nothing_is_over() -> None:
    """D70: a state ends when a broker answers, not when the client forgets a name."""
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    diagnosis.trouble(Away("b2:9092/2"), Where.CALLBACK)
    diagnosis.statistics(statistics({"b1:9092/1": "CONNECT"}))
    assert len(diagnosis.texts()) == 1


def test_a_commit_without_an_answer_is_a_problem_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """D72: the client repeats an unanswered commit for minutes without a word; we say so once, and when it is over."""
    caplog.set_level(logging.INFO)
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    diagnosis.commit_silence(SILENT_TOO_LONG - 0.1)
    assert diagnosis.texts() == []
    for more in range(3):
        diagnosis.commit_silence(SILENT_TOO_LONG + more)
    assert diagnosis.texts() == [caplog.messages[0]]
    diagnosis.commit_silence(0.0)
    assert diagnosis.texts() == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_missing_dead_letter_topic_is_told_and_is_no_problem(caplog: pytest.LogCaptureFixture) -> None:
    """D70: a warning when it is missed and a line when it is there, once each; nothing waits for it yet."""
    caplog.set_level(logging.INFO)
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    for missing in (["dead"], ["dead"], []):
        diagnosis.sighted(Sighting(frozenset(missing), frozenset(), 1), ["orders"], ["dead"])
        assert diagnosis.texts() == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "dead-letter topic dead does not exist" in caplog.messages[0]
