"""What is wrong with the brokers and the topics just now, from everything the client and the lookout report (D70).

An error that passes becomes a condition: logged when it begins and when it ends, not once a try, and shown in the
status while it lasts. An error that does not pass is returned, for the loop to act on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from humus.queue.kafka._client_errors import ClientError, Kind, Where, classify
from humus.queue.kafka._conditions import Conditions
from humus.queue.kafka._lookout import Sighting

__all__ = ["Diagnosis", "ReportedError"]

_BROKER: Final = re.compile(r"(?:\S+://)?(?P<name>\S+:\d+/(?:bootstrap|\d+))")
_LATE_CREDENTIALS: Final = frozenset({"_AUTHENTICATION", "_SSL"})
"""Refused after they were accepted, credentials may be refused only while a broker starts: that passes, or it shows."""
_TAKEN_BEFORE: Final = (
    "they were accepted before, so the client tries again by itself; if it stays, check whether the password, the "
    "token or the certificate has changed or expired"
)
SILENT_TOO_LONG: Final = 10.0
"""Seconds without an answer after which that is a problem: the client takes a minute or three before it says so.
A group that rebalances was seen to keep a commit waiting for 5.6 s; a fetch is answered within `fetch.wait.max.ms`."""
_OF_A_TOPIC: Final = frozenset({"TOPIC_AUTHORIZATION_FAILED", "TOPIC_EXCEPTION"})
"""The client's words for these leave out which topic it is."""


class ReportedError(Protocol):
    """What is needed of the client's error."""

    def name(self) -> str: ...
    def str(self) -> str: ...
    def fatal(self) -> bool: ...


class _Broker(msgspec.Struct):
    state: str = ""
    source: str = ""
    rxidle: int = 0  # microseconds since something came from it
    waitresp_cnt: int = 0

    def silence(self) -> float:
        """Return for how many seconds it owes an answer; a logical one, the coordinator, may take its time to join."""
        return self.rxidle / 1e6 if self.waitresp_cnt and self.source == "learned" else 0.0


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}


_decode: Final = msgspec.json.Decoder(_Statistics).decode


@dataclass(frozen=True, slots=True)
class _Brokers:
    """The condition that no broker can be reached."""


@dataclass(frozen=True, slots=True)
class _OneBroker:
    """The condition that this broker cannot be reached."""

    name: str


@dataclass(frozen=True, slots=True)
class _Client:
    """The condition that the client reports this code."""

    code: str


@dataclass(frozen=True, slots=True)
class _SilentBroker:
    """The condition that this broker is connected, and does not answer."""

    name: str


@dataclass(frozen=True, slots=True)
class _Silence:
    """The condition that a commit gets no answer."""


@dataclass(frozen=True, slots=True)
class _Topic:
    """The condition that this topic does not exist."""

    name: str


@dataclass(frozen=True, slots=True)
class _Denied:
    """The condition that this topic may not be seen, and so not be written to either."""

    name: str


def _without_scheme(broker: str) -> str:
    """Return the name that errors are filed under; with TLS or SASL the client's own begins with `sasl_ssl://`."""
    found = _BROKER.match(broker)
    return broker if found is None else found["name"]


class Diagnosis:
    """Keeps the conditions. Poll thread. `fetch_wait`: seconds that a broker may take to answer a fetch."""

    def __init__(self, conditions: Conditions, fetch_wait: float = 0.5) -> None:
        self._conditions = conditions
        self._patience = SILENT_TOO_LONG + fetch_wait
        self._joined = False
        self._answering: set[str] = set()  # brokers that are up, by the last statistics and the errors since

    def texts(self) -> list[str]:
        """Return what is wrong, a line each."""
        return self._conditions.texts()

    def warnings(self) -> list[str]:
        """Return what is worth to be told while all works: one of several brokers away, no dead-letter topic yet."""
        return self._conditions.warnings()

    def trouble(self, error: ReportedError, where: Where, topics: Iterable[str] = ()) -> ClientError | None:
        """Take in an error of the client, about one of these topics where it is about any.

        Returns it where it does not pass by itself.
        """
        found = classify(error.name(), error.str(), where, fatal=error.fatal())
        match found.kind:
            case Kind.FATAL | Kind.AUTH if self._joined and found.code in _LATE_CREDENTIALS and not error.fatal():
                self._passing(replace(found, what_to_do=_TAKEN_BEFORE))
            case Kind.PASSING:
                self._passing(found)
            case Kind.FATAL | Kind.AUTH if found.code in _OF_A_TOPIC:
                return replace(found, reason=f"topic {' or '.join(topics)}: {found.reason}")
            case Kind.FATAL | Kind.AUTH | Kind.OFFSET_RESET | Kind.PARTITION | Kind.UNKNOWN_TOPIC:
                return found
            case _:
                pass  # the group's own affairs: they come as rebalances and as answers to commits
        return None

    def _passing(self, found: ClientError) -> None:
        broker = _BROKER.match(found.reason)
        if found.code == "_ALL_BROKERS_DOWN":
            self._conditions.begin(_Brokers(), str(found))
        elif broker is not None:
            self._conditions.begin(_OneBroker(broker["name"]), str(found))
            self._answering.discard(broker["name"])
            self._weigh()
        else:
            self._conditions.begin(_Client(found.code), str(found))

    def works(self, *, joined: bool = False) -> None:
        """Something that needs the group and a broker has worked."""
        self._joined = self._joined or joined
        for name in [name for name in self._conditions if isinstance(name, _Client)]:
            self._conditions.end(name, f"the client works again after {name.code}")

    def statistics(self, text: str) -> None:
        """Take in the client's statistics: they alone tell that a connection is up again."""
        brokers = {_without_scheme(name): broker for name, broker in _decode(text).brokers.items()}
        silent = {name for name, broker in brokers.items() if broker.silence() >= self._patience}
        self._silent(silent)
        up = {name for name, broker in brokers.items() if broker.state == "UP" and broker.source != "logical"}
        self._answering = up - silent
        self._weigh()
        states = {name: broker.state for name, broker in brokers.items()}
        if "UP" not in states.values():
            return
        self._conditions.end(_Brokers(), "the brokers answer again")
        for name in [name for name in self._conditions if isinstance(name, _OneBroker)]:
            # The first connection's name is given up once the broker's own is known.
            if states.get(name.name) == "UP" or name.name.endswith("/bootstrap"):
                self._conditions.end(name, f"broker {name.name} answers again")
            elif name.name not in states:
                self._conditions.end(name, f"the cluster names broker {name.name} no more")

    def _weigh(self) -> None:
        """A broker that does not answer is a problem only while no other one does."""
        for condition in self._conditions:
            if isinstance(condition, _OneBroker | _SilentBroker):
                self._conditions.weigh(condition, warning=bool(self._answering))

    def _silent(self, names: set[str]) -> None:
        for name in sorted(names):
            text = (
                f"no answer from broker {name} for more than {self._patience:g} s, though it is connected: the client "
            )
            text += "goes on by itself; if it stays, check that the broker runs, and the network on the way to it"
            self._conditions.begin(_SilentBroker(name), text)
        for known in [known for known in self._conditions if isinstance(known, _SilentBroker)]:
            if known.name not in names:
                self._conditions.end(known, f"broker {known.name} is silent no more")

    def commit_silence(self, seconds: float) -> None:
        """Take in for how long a commit has had no answer: the client says nothing before it has given up for good."""
        if seconds >= SILENT_TOO_LONG:
            text = f"no answer to a commit for more than {SILENT_TOO_LONG:g} s: the client asks again by itself; if it "
            text += "stays, check the broker that coordinates the group. What is handled meanwhile may come again"
            self._conditions.begin(_Silence(), text)
        else:
            self._conditions.end(_Silence(), "commits are answered again")

    def sighted(self, sighting: Sighting, topics: Iterable[str], also: Iterable[str] = ()) -> ClientError | None:
        """Take in what the cluster said of our topics. Returns an error that does not pass by itself.

        The topics `also` are written to and not read: one that does not exist is told, and is no problem as yet.
        """
        for topic in also:
            if topic in sighting.missing:
                text = f"dead-letter topic {topic} does not exist: create it before a record has to go there"
                self._conditions.begin(_Topic(topic), text, warning=True)
            else:
                self._conditions.end(_Topic(topic), f"dead-letter topic {topic} exists now")
            if topic in sighting.denied:
                text = f"dead-letter topic {topic} is not for this user: grant WRITE before a record has to go there"
                self._conditions.begin(_Denied(topic), text, warning=True)
            else:
                self._conditions.end(_Denied(topic), f"dead-letter topic {topic} may be seen now")
        for topic in topics:
            if topic in sighting.missing:
                text = f"topic {topic} does not exist: waiting until somebody creates it"
                self._conditions.begin(_Topic(topic), text)
            else:
                self._conditions.end(_Topic(topic), f"topic {topic} exists now")
        for topic in sorted(sighting.denied.intersection(topics)):
            return classify("TOPIC_AUTHORIZATION_FAILED", f"topic {topic}: not authorized", Where.RECORD)
        return None
