"""Faults of the buffer, of who is paused, and of the watch for what is stuck."""

from typing import Final

from tests.mutants.mutant import KAFKA, Mutant

__all__ = ["MUTANTS"]

_FLOW: Final = "tests/property/test_flow_model.py::"
_STALLS: Final = "tests/unit/test_stalls.py::"

MUTANTS: Final = (
    Mutant(
        name="one-full-pauses-all",
        clause="D2",
        breaks="a slow partition keeps the others from fetching",
        file=f"{KAFKA}_flow.py",
        text="paused = slot.held or slot.full or",
        instead="paused = slot.held or self._full_records > 0 or",
        killed_by=f"{_FLOW}test_a_slow_partition_is_paused_alone_and_resumed",
    ),
    Mutant(
        name="no-end-of-the-buffer",
        clause="D50",
        breaks="with the buffer full, fetching goes on",
        file=f"{KAFKA}_flow.py",
        text="shut = self.size >= self.max_bytes * (0.75 if self._shut else 1.0)",
        instead="shut = False",
        killed_by=f"{_FLOW}test_everything_is_paused_at_the_end_of_the_buffer_and_resumed_with_a_quarter_free",
    ),
    Mutant(
        name="bytes-freed-twice",
        clause="D50",
        breaks="the records of a refused commit leave the buffer's books a second time: it grows past its bound",
        file=f"{KAFKA}_partition.py",
        text="return 0, 0  # they left the buffer then",
        instead="return sum(len(piece.records) for piece in pieces), sum(piece.size for piece in pieces)",
        killed_by="tests/unit/test_partition.py::test_a_closed_partition_sets_nothing_free_twice",
    ),
    Mutant(
        name="bytes-never-freed",
        clause="D50",
        breaks="handled records count as buffered for ever: fetching stops",
        file=f"{KAFKA}_assignment.py",
        text="self.flow.freed(key.tp, *partition.moved(position, now))",
        instead="partition.moved(position, now)",
        killed_by="tests/unit/test_assignment.py::test_handled_records_leave_the_buffer",
    ),
    Mutant(
        name="turns-at-every-plan",
        clause="D51",
        breaks="whose turn it is to fetch changes at every look: what was prefetched is thrown away",
        file=f"{KAFKA}_flow.py",
        text="if now >= self._turn_ends:",
        instead="if now >= 0:",
        killed_by=f"{_FLOW}test_a_turn_lasts_a_second",
    ),
    Mutant(
        name="running-handler-is-no-excuse",
        clause="D72",
        breaks="a partition whose handler takes its time is reported stuck",
        file=f"{KAFKA}_assignment.py",
        text="            or bool(partition.fed)\n",
        instead="",
        killed_by="tests/unit/test_assignment.py::test_what_is_with_a_worker_is_no_stall",
    ),
    Mutant(
        name="stall-after-one-look",
        clause="D72",
        breaks="a record that came just before the question makes a stall",
        file=f"{KAFKA}_stalls.py",
        text="elif not watch.behind:",
        instead="elif not watch.behind and now < 0:",
        killed_by=f"{_STALLS}test_a_record_that_has_just_come_is_no_stall",
    ),
    Mutant(
        name="stall-never-over",
        clause="D72",
        breaks="a partition that moves again stays reported as stuck",
        file=f"{KAFKA}_stalls.py",
        text="if watch is None or seen.excused or _moved(watch.seen, seen):",
        instead="if watch is None or seen.excused:",
        killed_by=f"{_STALLS}test_a_stall_ends_when_it_moves",
    ),
    Mutant(
        name="orphans-left-alone",
        clause="D72",
        breaks="partitions that the client holds and the core does not know are handled by nobody",
        file=f"{KAFKA}_loop.py",
        text="core.assigned(sorted(orphans), now)",
        instead="pass",
        killed_by="tests/unit/test_loop.py::test_partitions_that_nobody_would_handle_are_taken_up",
    ),
)
