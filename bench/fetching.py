"""What the client's settings for fetching are worth: one is varied at a time, the others stay as the runtime has them.

`python -m bench.fetching` measures, on the Kafka that HUMUS_TEST_KAFKA names or on one that is started here:

- small: 200-byte records, 8 partitions, read by the bare `consume(1000)` loop and by the runtime (empty async def)
- large: 100 KiB records, 8 partitions, read by the bare loop
- idle: the bare loop at the end of the log: fetch requests and CPU

Every run is a process of its own. Runs are added to a file of results, and the table beside it is written afresh, so
that the settings can be measured bit by bit.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer

from bench.instruments import runtime_client_config, shape_of
from bench.series import Spread
from bench.throughput import humus_async
from bench.work import Figures, Instant, Order, peak_rss
from humus.queue.kafka import _runtime
from humus.queue.kafka._client_config import client_config
from humus.queue.kafka._options import Options

_SMALL, _LARGE, _IDLE = ("small-bare", "small-humus"), ("large-bare",), ("idle",)
_VARIED: Final[Mapping[str, tuple[Sequence[int], Sequence[str]]]] = {
    "fetch.queue.backoff.ms": ((1000, 100, 10), _SMALL),
    "queued.min.messages": ((1000, 20_000, 100_000), _SMALL),
    "queued.max.messages.kbytes": ((4096, 16_384, 65_536), (*_SMALL, *_LARGE)),
    "fetch.message.max.bytes": ((262_144, 1_048_576, 4_194_304), (*_SMALL, *_LARGE)),
    "fetch.wait.max.ms": ((100, 500, 2000), _IDLE),
    "socket.receive.buffer.bytes": ((0, 65_536, 1_048_576), (*_SMALL, *_LARGE)),
}
"""What is tried, and on which runs it can show; what the runtime sets, or the client's default, is among each."""
_CLIENT_DEFAULTS: Final = {"fetch.wait.max.ms": 500, "socket.receive.buffer.bytes": 0}
_PARTITIONS: Final = 8
_BATCH: Final = 1000
_TOPICS: Final = {"small": (1_000_000, 200), "large": (2000, 100 * 1024)}
"""Records, and bytes of each."""
_IDLE_SECONDS: Final = 4.0
_WITHIN: Final = 60.0
_KINDS: Final = (*_SMALL, *_LARGE, *_IDLE)

Run = dict[str, Any]

# -- one run, in this process --------------------------------------------------------------------------------------


def _run(kind: str, order: Order, overrides: Mapping[str, Any]) -> Figures:
    if kind == "small-humus":

        def overridden(options: Options) -> dict[str, Any]:
            return {**client_config(options), **overrides}

        # Some of these keys are the runtime's own, and no option's.
        _runtime.client_config = overridden  # type: ignore[attr-defined]
        return humus_async(order)

    config = {**runtime_client_config(order.brokers, order.group), **overrides}
    return _idle(order, config) if kind == "idle" else _bare(order, config)


def _bare(order: Order, config: dict[str, Any]) -> Figures:
    left = records = shape_of(order).records
    consumer = Consumer(config)
    consumer.subscribe([order.topic])
    try:
        while not (batch := consumer.consume(_BATCH, 1.0)):
            pass
        first = Instant.now()
        while left := left - len(batch):
            batch = consumer.consume(min(_BATCH, left), 1.0)
        last = Instant.now()
    finally:
        consumer.close()
    seconds, cpu = last.clock - first.clock, last.cpu - first.cpu
    return {"msgs_per_s": records / seconds, "cpu_us": cpu / records * 1e6, "peak_mib": peak_rss()}


def _idle(order: Order, config: dict[str, Any]) -> Figures:
    fetches: list[int] = []

    def statistics(text: str) -> None:
        brokers = json.loads(text)["brokers"].values()
        fetches.append(sum(broker.get("req", {}).get("Fetch", 0) for broker in brokers))

    consumer = Consumer(
        {**config, "auto.offset.reset": "latest", "statistics.interval.ms": 1000, "stats_cb": statistics}
    )
    consumer.subscribe([order.topic])
    try:
        until = time.monotonic() + _WITHIN
        while len(consumer.assignment()) < _PARTITIONS and time.monotonic() < until:
            consumer.poll(0.1)
        consumer.poll(1.5)
        first, seen = Instant.now(), len(fetches)
        while time.monotonic() < first.clock + _IDLE_SECONDS:
            consumer.poll(1.0)
        last = Instant.now()
    finally:
        consumer.close()
    asked = [later - earlier for earlier, later in zip(fetches[seen:], fetches[seen + 1 :], strict=False)]
    return {
        "fetches_per_s": sum(asked) / max(1, len(asked)),
        "cpu_percent": (last.cpu - first.cpu) / (last.clock - first.clock) * 100,
        "peak_mib": peak_rss(),
    }


# -- all runs ------------------------------------------------------------------------------------------------------


def _measure(keys: Sequence[str], rounds: int, out: Path, brokers: str) -> None:
    from bench import topics  # noqa: PLC0415 - brings the harness, which is none of a run's business
    from bench.broker import say  # noqa: PLC0415

    made = {}
    for size, (records, value) in _TOPICS.items():
        made[size] = topics.make(brokers, _PARTITIONS)
        topics.fill(brokers, made[size], partitions=_PARTITIONS, each=records // _PARTITIONS, size=value)
    runs: list[Run] = json.loads(out.read_text("utf-8")) if out.exists() else []
    _child("small-bare", Order(brokers, made["small"]), {})  # does not count: the broker is cold
    for number in range(rounds):
        for key in keys:
            values, kinds = _VARIED[key]
            for value in values:
                for kind in kinds:
                    topic = made["large" if kind.startswith("large") else "small"]
                    figures = _child(kind, Order(brokers, topic), {key: value})
                    load = round(os.getloadavg()[0], 2)
                    runs.append({"key": key, "value": value, "kind": kind, "load": load, "figures": figures})
                say(f"{number + 1}/{rounds}: {key}={value}")
        out.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
        out.with_suffix(".md").write_text(_table(runs), "utf-8")


def _child(kind: str, order: Order, overrides: Mapping[str, Any]) -> Figures | None:
    """Make one run; `None` if it failed, which is said."""
    from bench.broker import say  # noqa: PLC0415 - as above
    from bench.child import Child  # noqa: PLC0415
    from bench.mode import finished  # noqa: PLC0415

    where = ["--brokers", order.brokers, "--topic", order.topic]
    command = [sys.executable, "-m", "bench.fetching", "--run", kind, "--set", json.dumps(dict(overrides)), *where]
    outcome = finished(Child(kind, command, _WITHIN))
    if outcome.figures is None:
        say(f"FAILED: {kind} {overrides}: {outcome.fault}\n{outcome.said}")
    return outcome.figures


# -- the table -----------------------------------------------------------------------------------------------------

_COLUMNS: Final = (
    ("small-bare", "msgs_per_s", "bare msg/s", 0),
    ("small-bare", "cpu_us", "CPU us", 2),
    ("small-bare", "peak_mib", "peak MiB", 0),
    ("small-humus", "msgs_per_s", "humus msg/s", 0),
    ("small-humus", "cpu_us", "CPU us", 2),
    ("small-humus", "peak_mib", "peak MiB", 0),
    ("large-bare", "msgs_per_s", "100 KiB: msg/s", 0),
    ("large-bare", "peak_mib", "peak MiB", 0),
    ("idle", "fetches_per_s", "idle: fetches/s", 1),
    ("idle", "cpu_percent", "CPU %", 2),
)


def _table(runs: Sequence[Run]) -> str:
    from bench.machine import describe  # noqa: PLC0415 - as above

    own = {**_CLIENT_DEFAULTS, **runtime_client_config("127.0.0.1:1", "group")}
    rows = [["setting", *(heading for _, _, heading, _ in _COLUMNS)], ["---"] + ["---:"] * len(_COLUMNS)]
    for key, (values, _) in _VARIED.items():
        for value in values:
            mine = [run for run in runs if run["key"] == key and run["value"] == value and run["figures"]]
            if not mine:
                continue
            name = f"`{key}={value}`"
            cells = [f"**{name}**" if own[key] == value else name]
            for kind, figure, _, digits in _COLUMNS:
                found = [run["figures"][figure] for run in mine if run["kind"] == kind]
                cells.append(_cell(Spread.of(found), digits) if found else "")
            rows.append(cells)
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    small, large = (f"{records:,} records of {size:,} bytes" for records, size in _TOPICS.values())
    about = (
        f"One setting varied at a time, the others as the runtime sets them; bold is what it sets. {small}, and "
        f"{large} in the columns that say so, {_PARTITIONS} partitions each. Median (least - most)."
    )
    loads = [run["load"] for run in runs if "load" in run]
    if loads:
        about += f" Load {min(loads):g} to {max(loads):g} where it was noted: only differences beyond the spread count."
    machine = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in describe().items() if value)
    return f"# The client's settings for fetching\n\n{about}\n\n{table}\n\nMeasured on:\n\n{machine}\n"


def _cell(spread: Spread, digits: int) -> str:
    median, least, most = (f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least} - {most})"


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(
        "python -m bench.fetching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help=f"(default: all) {', '.join(_VARIED)}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(default: 3)")
    out = Path(__file__).with_name("results") / "fetching.json"
    parser.add_argument("--out", type=Path, default=out, metavar="FILE", help="(default: bench/results/fetching.json)")
    single = parser.add_argument_group("one run, in this process")
    single.add_argument("--run", choices=_KINDS)
    single.add_argument("--set", type=json.loads, default={}, metavar="JSON")
    single.add_argument("--brokers", metavar="HOST:PORT")
    single.add_argument("--topic", metavar="NAME")
    given = parser.parse_args()
    unknown = [key for key in given.keys if key not in _VARIED]
    if unknown:
        parser.error(f"not varied here: {', '.join(unknown)}")
    if given.run:
        sys.stdout.write(f"{json.dumps(_run(given.run, Order(given.brokers, given.topic), given.set))}\n")
        return
    from bench.broker import broker  # noqa: PLC0415 - as above

    with broker() as brokers:
        _measure(given.keys or list(_VARIED), given.rounds, given.out, brokers)


if __name__ == "__main__":
    main()
