"""What metrics and traces add to the runtime, against the SDK's own calls."""

from dataclasses import replace

from bench import telemetry, throughput
from bench.mode import Amounts, Column, Mode, alone
from bench.modes.throughput import make_topic

__all__ = ["MODE"]

PART = 10
"""It needs fewer records than the throughput: it measures microseconds, not tenths of them."""


def _a_part(amounts: Amounts) -> int:
    return max(1000, amounts.records // PART)


def _a_part_of_the_records(brokers: str, amounts: Amounts) -> str:
    return make_topic(brokers, replace(amounts, records=_a_part(amounts)))


MODE = Mode(
    name="telemetry",
    title="Telemetry",
    about=(
        f"The throughput mode's records, one in {PART} of them, read by a runtime that OpenTelemetry's SDK "
        "listens to; and one call of that SDK for each of as many. CPU is that of the process, all threads."
    ),
    candidates={telemetry.YARDSTICK: throughput.CANDIDATES[telemetry.YARDSTICK], **telemetry.CANDIDATES},
    columns=(
        Column("msgs_per_s", "msg/s or calls/s", 0, "ratio"),
        Column("cpu_us", "CPU us a message or call", 2, "difference"),
        Column("cpu_us", "the same in bare calls", 2, "calls"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("seconds", "seconds", 2),
    ),
    prepare=_a_part_of_the_records,
    run=alone,
    amount=lambda amounts: f"{_a_part(amounts):,} records",
    yardstick=telemetry.YARDSTICK,
    yardsticks={"humus-durations": "humus-metrics"},
    calls={
        "humus-durations": "call-histogram",
        "humus-traces-1": "call-span-1",
        "humus-traces-all": "call-span-all",
    },
    budgets=(
        "humus-metrics: at most 0.7 us of CPU a message more than humus-async",
        "humus-durations: at most 1.1 bare calls more than humus-metrics",
        "humus-traces-1, humus-traces-all: at most 1.1 bare calls more than humus-async",
    ),
    typical_s=4.0,
)
