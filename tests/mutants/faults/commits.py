"""Faults of what is committed and when, at least once and at most once."""

from typing import Final

from tests.mutants.mutant import KAFKA, Mutant

__all__ = ["MUTANTS"]

_ASSIGNMENT: Final = "tests/unit/test_assignment.py::"
_COMMITS: Final = "tests/unit/test_commits.py::"
_PARTITION: Final = "tests/unit/test_partition.py::"
_WORKER: Final = "tests/unit/test_worker.py::"

MUTANTS: Final = (
    Mutant(
        name="stale-record-handled",
        clause="D1",
        breaks="a record below the next expected offset is handed to the processor again",
        file=f"{KAFKA}_async_worker.py",
        text="""\
            if offset < expected:
                continue
            if self.leave:
                self.position = expected  # the record""",
        instead="""\
            if offset < 0:
                continue
            if self.leave:
                self.position = expected  # the record""",
        killed_by=f"{_WORKER}test_a_stale_record_is_not_handed_over",
    ),
    Mutant(
        name="client-position-with-records-buffered",
        clause="D4",
        breaks="the client's position, which is ahead of buffered records, counts as handled",
        file=f"{KAFKA}_partition.py",
        text="elif self.idle and not self.offsets.outstanding:",
        instead="else:",
        killed_by=f"{_PARTITION}test_the_clients_position_counts_only_while_nothing_is_buffered",
    ),
    Mutant(
        name="control-records-not-committed",
        clause="D4",
        breaks="a log that ends in control records keeps a lag for ever",
        file=f"{KAFKA}_partition.py",
        text="self.start_unsure = True\n        elif self.idle",
        instead="self.start_unsure = False\n        elif self.idle",
        killed_by=f"{_PARTITION}test_control_records_at_the_start_of_an_epoch_are_committed",
    ),
    Mutant(
        name="commits-one-too-far",
        clause="D10",
        breaks="the record in flight is committed with those before it: a crash loses it",
        file=f"{KAFKA}_partition.py",
        text="return self.offsets.watermark if self.behind else None",
        instead="return self.offsets.watermark + 1 if self.behind else None",
        killed_by=f"{_COMMITS}test_all_partitions_share_a_request",
    ),
    Mutant(
        name="hole-passed-over",
        clause="D10",
        breaks="the watermark passes a record that is not handled, once a later one is",
        file=f"{KAFKA}_offsets.py",
        text="if first != self.watermark:",
        instead="if first < self.watermark:",
        killed_by="tests/property/test_offsets_model.py::test_the_watermark_is_the_end_of_the_unbroken_handled_run",
    ),
    Mutant(
        name="failing-record-counts-as-handled",
        clause="D10",
        breaks="a worker that ends within a retry says that the failed record is handled",
        file=f"{KAFKA}_thread_worker.py",
        text="""\
            self.position = offset
            self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
            try:""",
        instead="""\
            self.position = offset + 1
            self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
            try:""",
        killed_by=f"{_WORKER}test_a_drain_ends_the_wait_before_a_retry",
    ),
    Mutant(
        name="latest-start-not-committed",
        clause="D11",
        breaks="from the latest offset, what comes before the first commit is lost by a crash",
        file=f"{KAFKA}_assignment.py",
        text="partition.begin_at(start.offset)",
        instead="pass",
        killed_by=f"{_ASSIGNMENT}test_where_it_begins_is_committed_at_once",
    ),
    Mutant(
        name="committed-start-overwritten",
        clause="D11",
        breaks="from the latest offset, a committed offset is replaced by the end of the log",
        file=f"{KAFKA}_assignment.py",
        text="if self._begin_at_end and not start.committed:",
        instead="if self._begin_at_end:",
        killed_by=f"{_ASSIGNMENT}test_nothing_is_committed_before_something_is_handled",
    ),
    Mutant(
        name="commits-in-every-round",
        clause="D12",
        breaks="commits are not held together: one request a round",
        file=f"{KAFKA}_commits.py",
        text="self.next_at = now + self.interval",
        instead="self.next_at = now",
        killed_by=f"{_COMMITS}test_the_interval_is_kept",
    ),
    Mutant(
        name="refused-commit-dropped",
        clause="D12",
        breaks="a commit that the broker refused counts as confirmed and is never tried again",
        file=f"{KAFKA}_partition.py",
        text="self.committing = None\n        self.retry_commit_at = retry_at",
        instead="self.committed, self.committing = self.committing, None",
        killed_by=f"{_PARTITION}test_a_refused_commit_is_wanted_again",
    ),
    Mutant(
        name="two-commits-in-flight",
        clause="D12",
        breaks="a partition commits again while the answer of an earlier epoch is due: it cannot be told whose it is",
        file=f"{KAFKA}_commits.py",
        text="if tp in self._in_flight or now < partition.retry_commit_at:",
        instead="if now < partition.retry_commit_at:",
        killed_by=f"{_COMMITS}test_a_new_epoch_waits_for_the_answer_of_the_old_one",
    ),
    Mutant(
        name="any-answer-counts",
        clause="D10",
        breaks="the answer to another commit confirms the one in flight",
        file=f"{KAFKA}_commits.py",
        text="if entry is None or entry[1] != offset:",
        instead="if entry is None:",
        killed_by=f"{_COMMITS}test_an_answer_to_no_commit_in_flight_counts_for_nothing",
    ),
    Mutant(
        name="fed-before-the-commit",
        clause="D20",
        breaks="at most once: records are handled when they arrive, before a commit past them",
        file=f"{KAFKA}_partition.py",
        text="if self.semantic is Semantic.AT_MOST_ONCE or not self.hands_over:",
        instead="if not self.hands_over:",
        killed_by=f"{_PARTITION}test_at_most_once_hands_over_what_a_confirmed_commit_covers",
    ),
    Mutant(
        name="refused-chunk-dropped",
        clause="D20",
        breaks="at most once: records whose commit was refused are forgotten",
        file=f"{KAFKA}_partition.py",
        text="self._held.extendleft(reversed(pieces))",
        instead="pass",
        killed_by=f"{_PARTITION}test_a_refused_chunk_is_neither_handed_over_nor_dropped",
    ),
    Mutant(
        name="refused-chunk-behind-the-others",
        clause="D22",
        breaks="at most once: after a refused commit the order is lost: the next commit is backwards",
        file=f"{KAFKA}_partition.py",
        text="self._held.extendleft(reversed(pieces))",
        instead="self._held.extend(pieces)",
        killed_by=f"{_PARTITION}test_a_refused_chunk_is_neither_handed_over_nor_dropped",
    ),
    Mutant(
        name="three-chunks-ahead",
        clause="D21",
        breaks="at most once: a crash may lose three chunks",
        file=f"{KAFKA}_partition.py",
        text="_CHUNKS_AHEAD = 2",
        instead="_CHUNKS_AHEAD = 3",
        killed_by=f"{_PARTITION}test_at_most_once_is_never_more_than_two_chunks_ahead",
    ),
    Mutant(
        name="committed-chunk-not-finished",
        clause="D23",
        breaks="at most once: a revoke ends after the record in flight: what is committed is lost",
        file=f"{KAFKA}_assignment.py",
        text="finish = partition.semantic is Semantic.AT_MOST_ONCE",
        instead="finish = False",
        killed_by=f"{_ASSIGNMENT}test_at_least_once_leaves_and_at_most_once_finishes",
    ),
    Mutant(
        name="unanswered-chunk-not-waited-for",
        clause="D23",
        breaks="at most once: a draining worker ends before the answer to its last commit is there",
        file=f"{KAFKA}_assignment.py",
        text="if not told and partition.has_worker and not (finish and partition.committing is not None):",
        instead="if not told and partition.has_worker:",
        killed_by=f"{_ASSIGNMENT}test_at_most_once_waits_for_the_answer_before_it_finishes",
    ),
    Mutant(
        name="lost-records-not-counted",
        clause="D23",
        breaks="at most once: what is committed and not handled is not counted",
        file=f"{KAFKA}_partition.py",
        text="self.counts.lost += len(left)",
        instead="pass",
        killed_by=f"{_PARTITION}test_what_is_committed_and_not_handled_is_lost_by_offset",
    ),
    Mutant(
        name="offsets-committed-by-the-client",
        clause="D10",
        breaks="the client commits what it delivered, every 5 s, handled or not",
        file=f"{KAFKA}_client_config.py",
        text="""\
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,""",
        instead="""\
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 100,
        "enable.auto.offset.store": True,""",
        killed_by="tests/integration/test_commits.py::test_never_past_an_unhandled_record",
        slow=True,
    ),
)
