"""The members of the three groups: processes that join, leave, are killed and frozen."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.chaos import member
from tests.integration.process import Service
from tests.kafka.admin import eventually
from tests.kafka.fresh import fresh

__all__ = ["COMMIT_INTERVAL", "HEARTBEAT_SECONDS", "SESSION_SECONDS", "CrewFailed", "Group", "Member"]

COMMIT_INTERVAL: Final = 1.0
SESSION_SECONDS: Final = 12
"""Long enough that nobody is expelled because the machine is busy: that would be a fault of its own."""
HEARTBEAT_SECONDS: Final = 3
"""Of the consumer protocol. Where one is answered later than the next is due, the client asks again with its old epoch,
and a rebalance in between gets it fenced: a busy machine's doing again."""
_PROTOCOLS: Final[tuple[Literal["classic", "consumer"], ...]] = ("classic", "consumer")
_KINDS: Final[tuple[Literal["async", "def"], ...]] = ("async", "def")
_AT_WORK_WITHIN: Final = 40.0
_APP: Final = Path(member.__file__).read_text("utf-8")
_CONFIG: Final = """\
kafka:
  brokers: "{brokers}"
  group_id: {name}
  group_protocol: {protocol}
  commit_interval: {interval}s
  drain_timeout: 10s
{session}
  librdkafka:  # fewer fetches: the brokers are short of time, and latency is not what is looked at
    fetch.min.bytes: 20000
    fetch.wait.max.ms: 250
  topics:
    - name: {topic}
      semantic: at-least-once
to: "{to}"
kind: {kind}
notes: "{folder}"
"""


class CrewFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A member did what it should not have done."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of a group, and where its notes are."""

    service: Service
    notes: Path

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.service.pid

    @property
    def size(self) -> int:
        """How much it has noted."""
        return self.notes.stat().st_size if self.notes.exists() else 0


class Group:
    """A group, from topic to topic. Any thread, several at once."""

    def __init__(self, number: int, topic: str, to: str, brokers: str, folder: Path) -> None:
        self.number = number
        self.name = fresh("chaos")
        self.topic = topic
        self.protocol = _PROTOCOLS[(number - 1) % len(_PROTOCOLS)]
        self.kind = _KINDS[(number - 1) % len(_KINDS)]
        self.members: list[Member] = []  # all there ever were
        self.folder = folder
        folder.mkdir()
        self._healthy: list[Member] = []
        self._frozen: list[Member] = []
        self._lock = threading.Lock()
        self._config = _CONFIG.format(
            brokers=brokers,
            name=self.name,
            protocol=self.protocol,
            interval=COMMIT_INTERVAL,
            session=f"  session_timeout: {SESSION_SECONDS}s" if self.protocol == "classic" else "",
            topic=topic,
            to=to,
            kind=self.kind,
            folder=folder,
        )

    @property
    def handled(self) -> int:
        """How many records were handled, again ones too, about."""
        return sum(one.size for one in list(self.members)) // (2 * member.NOTE.size)

    @property
    def healthy(self) -> int:
        """How many members are neither frozen nor gone."""
        return len(self._healthy)

    def join(self) -> Member:
        """Start one more member."""
        with self._lock:
            service = Service(self.folder, _APP, self._config)
            new = Member(service, self.folder / f"{service.pid}.notes")
            self.members.append(new)
            self._healthy.append(new)
            return new

    def leave(self, luck: float) -> Member:
        """Let a member leave in good order.

        Raises:
            CrewFailed: its exit code is not 0.
        """
        with self._taken(luck) as one:
            self._dismiss(one)
        return one

    def kill(self, luck: float) -> tuple[Member, int]:
        """Kill a member; return when (ns), too."""
        with self._taken(luck) as one:
            at = time.time_ns()
            one.service.kill()
        return one, at

    @contextmanager
    def frozen(self, luck: float) -> Iterator[Member]:
        """Freeze a member during the block."""
        with self._taken(luck) as one:
            one.service.freeze()
            self._frozen.append(one)
            try:
                yield one
            finally:
                one.service.thaw()
                self._frozen.remove(one)
            with self._lock:
                self._healthy.append(one)

    def all_leave(self) -> None:
        """Let all members leave in good order, all at once."""
        with self._lock:
            leaving, self._healthy = self._healthy, []
        for one in leaving:
            one.service.terminate()
        for one in leaving:
            self._check_left(one)

    def end(self) -> None:
        """Kill whoever is left."""
        for one in self.members:
            one.service.kill()

    def check(self) -> None:
        """Raise `CrewFailed` if a healthy member has ended by itself."""
        with self._lock:
            healthy = list(self._healthy)
        for one in healthy:
            try:
                one.service.assert_runs()
            except AssertionError:
                raise CrewFailed(f"a member of group {self.number} has ended by itself: {one.service.log}") from None

    @contextmanager
    def _taken(self, luck: float) -> Iterator[Member]:
        """Take a member that is at work, never the last one."""
        chosen = eventually(lambda: self._choose(luck), within=_AT_WORK_WITHIN)
        assert chosen is not None
        yield chosen

    def _choose(self, luck: float) -> Member | None:
        with self._lock:
            healthy = list(self._healthy)
        before = {one.pid: one.size for one in healthy}
        time.sleep(0.3)
        at_work = [one for one in healthy if one.size > before[one.pid]]
        with self._lock:
            at_work = [one for one in at_work if one in self._healthy]
            if len(at_work) < 2:
                return None
            one = at_work[int(luck * len(at_work))]
            self._healthy.remove(one)
            return one

    def _dismiss(self, one: Member) -> None:
        one.service.terminate()
        self._check_left(one)

    def _check_left(self, one: Member) -> None:
        code = one.service.exit_code()
        if code != 0:
            raise CrewFailed(f"a member of group {self.number} left with exit code {code}: {one.service.log}")
