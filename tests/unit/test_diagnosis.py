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
    assert len(diagnosis.warnings()) == 1
    diagnosis.statistics(statistics({b1: "UP", b2: "UP"}))
    assert diagnosis.warnings() == diagnosis.texts() == []
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


def busy(name: str, silent: float, *, waiting: int = 1, source: str = "learned") -> str:
    """Return the client's statistics of a broker that is up, and has not said anything for so many seconds."""
    state = {"state": "UP", "source": source, "rxidle": int(silent * 1e6), "waitresp_cnt": waiting}
    return json.dumps({"brokers": {name: state}})


def test_a_broker_that_is_connected_and_says_nothing_is_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    """D70 D71: a frozen broker, or a dead connection, is not told by the client for a minute; we say so once."""
    caplog.set_level(logging.INFO)
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")), fetch_wait=1.0)
    diagnosis.statistics(busy("b1:9092/1", 10.9))
    assert diagnosis.texts() == []
    for silent in (11.0, 13.0, 15.0):
        diagnosis.statistics(busy("b1:9092/1", silent))
    assert len(diagnosis.texts()) == 1
    assert "b1:9092/1" in diagnosis.texts()[0]
    diagnosis.statistics(busy("b1:9092/1", 0.2))
    assert diagnosis.texts() == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


@pytest.mark.parametrize("idle", [busy("b1:9092/1", 99, waiting=0), busy("GroupCoordinator", 99, source="logical")])
def test_a_broker_that_owes_no_answer_is_not_silent(idle: str) -> None:
    """D70: nothing is asked of an idle connection, and a group's coordinator may take minutes to let a member join."""
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    diagnosis.statistics(idle)
    assert diagnosis.texts() == []


def test_one_broker_of_several_is_a_problem_only_while_none_is_up() -> None:
    """TELEMETRY: a broker counts as reachable while any connection of the client is up, by its statistics."""
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    diagnosis.statistics(statistics({"b1:9092/1": "UP", "b2:9092/2": "UP"}))
    diagnosis.trouble(Away("b2:9092/2"), Where.CALLBACK)
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (0, 1)
    diagnosis.statistics(statistics({"b1:9092/1": "DOWN", "b2:9092/2": "DOWN"}))
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (1, 0)
    diagnosis.statistics(statistics({"b1:9092/1": "UP", "b2:9092/2": "DOWN"}))
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (0, 1)
    diagnosis.trouble(Away("b1:9092/1"), Where.CALLBACK)  # at once, and not with the next statistics
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (2, 0)


def test_one_silent_broker_of_several_is_a_problem_only_while_no_other_answers() -> None:
    """TELEMETRY: one frozen broker of several is told and fails nothing; the last one is a problem.

    The coordinator's connection does not count: it leads to one of them.
    """
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")), fetch_wait=1.0)
    frozen = {"state": "UP", "source": "learned", "rxidle": 20_000_000, "waitresp_cnt": 1}
    other = {"state": "UP", "source": "learned", "rxidle": 30_000_000, "waitresp_cnt": 0}
    coordinator = {"state": "UP", "source": "logical", "rxidle": 100, "waitresp_cnt": 1}
    names = {"b1:9092/1": frozen, "GroupCoordinator": coordinator}
    diagnosis.statistics(json.dumps({"brokers": {**names, "b2:9092/2": other}}))
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (0, 1)
    diagnosis.statistics(json.dumps({"brokers": names}))
    assert (len(diagnosis.texts()), len(diagnosis.warnings())) == (1, 0)


def test_a_dead_letter_topic_that_is_not_ours_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """D70: a dead-letter topic that may not be seen can't be written to: a warning before a record has to go there."""
    caplog.set_level(logging.INFO)
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    for denied in ({"dead"}, {"dead"}, set[str]()):
        error = diagnosis.sighted(Sighting(frozenset(), frozenset(denied), 1), ["orders"], ["dead"])
        assert error is None
        assert diagnosis.texts() == []
        assert len(diagnosis.warnings()) == len(denied)
    assert caplog.messages == [
        "dead-letter topic dead is not for this user: grant WRITE before a record has to go there",
        "dead-letter topic dead may be seen now",
    ]
    refused = diagnosis.sighted(Sighting(frozenset(), frozenset({"dead", "orders"}), 1), ["orders"], ["dead"])
    assert refused is not None
    assert refused.reason == "topic orders: not authorized"


class Refused(Away):
    """The client's error of credentials that a broker does not take."""

    def name(self) -> str:
        """Return the client's code."""
        return "_AUTHENTICATION"

    def str(self) -> str:
        """Return the client's words."""
        return f"{self._broker}: SASL authentication error: Invalid username or password"


def test_credentials_that_were_accepted_before() -> None:
    """D70: refused at first they end the runtime; refused later they are a problem that says what may have changed."""
    diagnosis = Diagnosis(Conditions(logging.getLogger("test")))
    assert diagnosis.trouble(Refused("b1:9092/1"), Where.CALLBACK) is not None
    diagnosis.works(joined=True)
    assert diagnosis.trouble(Refused("b1:9092/1"), Where.CALLBACK) is None
    (problem,) = diagnosis.texts()
    assert "they were accepted before" in problem
    assert "has changed or expired" in problem
