"""The client's side: assignment, pauses, a pending revoke, positions. What it does was measured on the real one."""

from collections.abc import Iterable, Mapping

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Piece
from tests.pieces import piece
from tests.simulation.broker import Log
from tests.simulation.luck import Luck

__all__ = ["Client"]


class Client:
    """One member's consumer."""

    def __init__(self, logs: Mapping[TopicPartition, Log], record_bytes: int) -> None:
        self.assigned: dict[TopicPartition, int | None] = {}  # -> the next offset, `None` before it is begun
        self.paused: set[TopicPartition] = set()  # a pause survives the end of an assignment
        self.revoking: list[TopicPartition] | None = None
        self.unreadable: set[TopicPartition] = set()
        self.generation = -1
        self._began: set[TopicPartition] = set()
        self._strayed: dict[TopicPartition, int] = {}  # -> the position, behind a stale record
        self._logs = logs
        self._record_bytes = record_bytes

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        """Hold partitions, and fetch nothing before they are begun."""
        for tp in tps:
            self.assigned[tp] = None
            self._began.discard(tp)
            self._strayed.pop(tp, None)
            self.unreadable.discard(tp)

    def begin(self, tp: TopicPartition, offset: int) -> None:
        """Fetch a partition from here on."""
        assert self.assigned.get(tp, offset) is None, f"{tp} is begun, and is not held or begun already"
        self.assigned[tp] = offset

    def stray(self, luck: Luck) -> list[tuple[TopicPartition, Piece]]:
        """Return, now and then, records of the past of partitions that fetch nothing yet, or have only just begun.

        The real client does so where its own search for a start outlived an earlier assignment.
        """
        found = []
        for tp, at in self.assigned.items():
            past = self._logs[tp].from_offset(0, 1 + luck.below(20)) if tp not in self._began else []
            past = [offset for offset in past if offset < (self._logs[tp].start if at is None else at)]
            if past and luck.one_in(8):
                found.append((tp, piece(past, self._record_bytes * len(past))))
                self._strayed[tp] = past[-1] + 1
        return found

    def unassign(self, tps: Iterable[TopicPartition]) -> None:
        """Fetch these no more."""
        for tp in tps:
            self.assigned.pop(tp, None)

    def fetch(self, most: int, luck: Luck) -> list[tuple[TopicPartition, Piece]]:
        """Return up to `most` records, in runs of one partition; nothing while a revoke is pending."""
        if self.revoking is not None:
            return []
        found = []
        for tp in luck.shuffled(list(self.assigned)):
            log, at = self._logs[tp], self.assigned[tp]
            if at is None or at >= log.end or tp in self.paused or tp in self.unreadable:
                continue
            some = log.from_offset(at, min(most, 1 + luck.below(30)))
            if some:
                most -= len(some)
                cut = 1 + luck.below(len(some))
                found += [(tp, piece(run, self._record_bytes * len(run))) for run in (some[:cut], some[cut:]) if run]
                self.assigned[tp] = some[-1] + 1
            else:  # nothing but control records: they are passed over
                self.assigned[tp] = log.end
            self._began.add(tp)
            self._strayed.pop(tp, None)
            if not most:
                break
        return found

    def positions(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where these go on; those that consumed nothing yet are left out."""
        began = {tp: at for tp in tps if tp in self._began and (at := self.assigned.get(tp)) is not None}
        return began | {tp: self._strayed[tp] for tp in tps if tp in self._strayed}
