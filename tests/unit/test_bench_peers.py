"""What the bench makes of its peers: who did no work, hangs, dies or is not there is said so, and never fast."""

import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench import child, conductor, readme
from bench.child import Child, Outcome, judge
from bench.machine import Noise
from bench.mode import Amounts, Column, Mode, finished
from bench.modes import MODES
from bench.modes.throughput import confirm
from bench.pace import Pace, in_words
from bench.peers import environments
from bench.peers.catalogue import PEERS
from bench.peers.environments import NotAvailable, locked_version
from bench.plot import bars
from bench.report import Results, Round, Run
from bench.work import Instant, MeasurementFailed, Order, Shape, Tally

ROOT = Path(__file__).parents[2]
QUIET = Noise(load_1m=0.1, load_5m=0.1, busy_cores=0.0)
AMOUNTS = Amounts(rounds=1, records=1000, seconds=1.0, timeout=1.0)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = Outcome("a", 3.0)
ORDER = Order("host:1", "t", "g", seconds=10.0, spawned=90.0)


class Clock:
    """A clock that goes on by a step with each look, using half of that in CPU."""

    def __init__(self, step: float) -> None:
        self._step, self._at = step, 100.0

    def __call__(self) -> Instant:
        """Look at it."""
        self._at += self._step
        return Instant(self._at, self._at / 2)


# -- the work ------------------------------------------------------------------------------------------------------


def test_an_order_survives_the_command_line() -> None:
    """What the conductor orders is what the candidate's process is told."""
    order = replace(ORDER, shape=Shape(8, 1000), timeout=30.0)
    assert Order.from_json(order.as_json()) == order


def test_a_tally_ends_with_the_last_record() -> None:
    """All records handled: the rate is of the records after the first, whose moment begins the time."""
    tally = Tally(Shape(2, 50), ORDER, clock=Clock(1.0))
    ends: list[bool] = []
    tally.at_end = lambda: ends.append(True)
    for offset in range(50):
        tally.note(0, offset)
        tally.note(1, offset)
    figures = tally.figures()
    assert (figures["records"], figures["handled"], figures["seconds"]) == (99, 100, 2.0)
    assert figures["msgs_per_s"] == 99 / 2.0
    assert figures["cpu_us"] == pytest.approx(1.0 / 99 * 1e6)
    assert figures["startup_s"] == 11.0
    assert ends == [True]


def test_a_tally_ends_when_the_time_is_up() -> None:
    """The slow are stopped; what they handle while they stop is ticked off, and counts for nothing."""
    tally = Tally(Shape(1, 1000), ORDER, clock=Clock(6.0))
    offset = 0
    while not tally.done:
        tally.note(0, offset)
        offset += 1
    counted = offset
    tally.note(0, offset)
    figures = tally.figures()
    assert counted < 1000
    assert (figures["records"], figures["handled"], figures["seconds"]) == (counted - 1, counted + 1, 12.0)


def test_a_tally_tells_records_that_came_twice() -> None:
    """Who handles one record again and again is not fast."""
    tally = Tally(Shape(1, 100), ORDER, clock=Clock(1.0))
    for _ in range(100):
        tally.note(0, 7)
    with pytest.raises(MeasurementFailed, match="handled 100 records, but only 1 different"):
        tally.figures()


def test_a_tally_tells_who_stopped_early() -> None:
    """Who ends by itself before all is handled and before its time is up has measured nothing."""
    tally = Tally(Shape(1, 100), ORDER, clock=Clock(0.001))
    for offset in range(70):
        tally.note(0, offset)
    with pytest.raises(MeasurementFailed, match="handled 70 of 100 records"):
        tally.figures()


@pytest.mark.parametrize(
    ("promise", "committed", "fault"),
    [
        ("what was handled", 90, None),
        ("what was handled", 0, "committed nothing"),
        ("what was handled", 101, "committed 101 records, but 100 were handled"),
        ("ahead", 101, None),
        ("ahead", 0, "committed nothing"),
        ("all", 100, None),
        ("all", 99, "committed 99 of the 100"),
        ("all", 101, "committed 101 records, but 100 were handled"),
    ],
)
def test_commits_are_confirmed(promise: str, committed: int, fault: str | None) -> None:
    """Who says that it commits is believed when the broker says so too."""
    found = confirm(replace(ENDED, figures={"handled": 100}), committed, promise)  # type: ignore[arg-type]
    if fault is None:
        assert found.figures == {"handled": 100, "committed": committed}
    else:
        assert found.figures is None
        assert found.fault is not None
        assert fault in found.fault


# -- processes -----------------------------------------------------------------------------------------------------


def run(program: str, timeout: float = 60.0) -> Outcome:
    """Run a tiny candidate, a program of Python's."""
    return finished(Child("tiny", [sys.executable, "-c", program], timeout))


def test_figures_are_found_before_last_words() -> None:
    """Figures count even where a library writes something after them."""
    found = run("print('{\"log\": 1}'); print('{\"msgs_per_s\": 5.0}'); print('bye')")
    assert (found.figures, found.fault) == ({"msgs_per_s": 5.0}, None)


def test_who_dies_is_told_with_its_last_line() -> None:
    """A candidate that dies has failed, and the last line that it wrote says of what."""
    found = run("import sys; print('{\"msgs_per_s\": 5.0}', flush=True); sys.exit('no such topic')")
    assert (found.figures, found.fault) == (None, "exit code 1: no such topic")


def test_who_hangs_is_ended_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that hangs is ended, and has failed with the last line that it wrote."""
    monkeypatch.setattr(child, "_GRACE", 0.5)
    found = run("import time; print('waiting for godot', flush=True); time.sleep(600)", timeout=0.5)
    assert found.figures is None
    assert found.fault == "not done within 0.5 s; the last it said: waiting for godot"


@pytest.mark.parametrize(
    ("code", "said", "fault"),
    [
        (0, "", "it ended without figures: it said nothing"),
        (0, "done\n5.0\n\n", "it ended without figures: 5.0"),
        (-9, "so long", "exit code -9: so long"),
        (None, "", "not done within 10 s; the last it said: it said nothing"),
    ],
)
def test_an_end_without_figures_is_a_fault(code: int | None, said: str, fault: str) -> None:
    """Whatever ends without figures has failed, in one line."""
    found = judge(replace(ENDED, said=said), code, 10.0)
    assert (found.figures, found.fault) == (None, fault)


# -- rounds --------------------------------------------------------------------------------------------------------


class Tiny:
    """A candidate by its name."""

    def __init__(self, what: str) -> None:
        self.what = what


def mode(run_one: Callable[[str], Outcome], names: Sequence[str], missing: Sequence[str] = ()) -> Mode:
    """Return a mode without a broker."""

    def ready(name: str) -> None:
        if name in missing:
            raise NotAvailable("no go on PATH: install Go")

    return Mode(
        name="tiny",
        title="Tiny",
        about="Of no matter.",
        candidates={name: Tiny(f"what {name} is") for name in names},
        columns=(Column("msgs_per_s", "msg/s", 0, "ratio"), Column("msgs_per_s", "times", 1, "champion")),
        prepare=lambda _brokers, _amounts: "",
        run=lambda name, _brokers, _topic, _amounts: run_one(name),
        ready=ready,
        yardstick="bare",
        champion="ours",
        others=frozenset({"peer", "gone"}),
    )


def measure(
    tiny: Mode, folder: Path, monkeypatch: pytest.MonkeyPatch, *, rounds: int = 1
) -> tuple[int, dict[str, object], str, str]:
    """Measure a mode; return the exit code, the JSON, the Markdown and what was said on the way."""
    monkeypatch.setenv("HUMUS_TEST_KAFKA", "nobody:1")
    monkeypatch.setattr(Noise, "listen", lambda: QUIET)
    said, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(sys, "stdout", out)
    code = conductor.measure([tiny], frozenset(), replace(AMOUNTS, rounds=rounds), folder)
    [data] = folder.glob("*.json")
    return code, json.loads(data.read_text()), data.with_suffix(".md").read_text(), said.getvalue()


def outcome(name: str, rate: float | None, fault: str | None = None) -> Outcome:
    """Return how a run ended."""
    return Outcome(name, 2.0, None if rate is None else {"msgs_per_s": rate}, fault)


def test_who_is_missing_is_listed_and_the_rest_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that can't be had here is in the table as not run, with why; it fails nothing."""
    rates = {"bare": 1000.0, "ours": 500.0, "peer": 10.0}
    tiny = mode(lambda name: outcome(name, rates[name]), ["bare", "ours", "peer", "gone"], missing=["gone"])
    code, data, markdown, said = measure(tiny, tmp_path, monkeypatch)
    assert code == conductor.EXIT_WELL
    assert data["not_run"] == {"gone": "no go on PATH: install Go"}
    assert "| gone | not run |" in markdown
    assert "- **Not run**: `gone`: no go on PATH: install Go" in markdown
    assert "| peer | 10 | 0.01 | 50.0 |" in markdown
    assert "gone is not run: no go on PATH" in said


def test_who_fails_is_listed_and_the_rest_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that dies is in the table as failed, the others are measured, and the exit code says so."""

    def run_one(name: str) -> Outcome:
        return outcome(name, None, "exit code 1: out of luck") if name == "peer" else outcome(name, 100.0)

    code, _, markdown, _ = measure(mode(run_one, ["bare", "ours", "peer"]), tmp_path, monkeypatch)
    assert code == conductor.EXIT_FAILED
    assert "| peer | failed |" in markdown
    assert "- **Failed**: round 1, `peer`: exit code 1: out of luck" in markdown
    assert "| ours | 100 | 1.00 |" in markdown


def test_who_failed_twice_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang costs its whole time-out: after two failures running, the rounds go on without it."""
    runs: list[str] = []

    def run_one(name: str) -> Outcome:
        runs.append(name)
        return outcome(name, None, "not done within 1 s") if name == "peer" else outcome(name, 100.0)

    measure(mode(run_one, ["bare", "ours", "peer"]), tmp_path, monkeypatch, rounds=5)
    assert (runs.count("peer"), runs.count("ours")) == (2, 5)


def test_each_round_begins_with_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coming first is nobody's advantage."""
    runs: list[str] = []

    def run_one(name: str) -> Outcome:
        runs.append(name)
        return outcome(name, 100.0)

    measure(mode(run_one, ["bare", "ours"]), tmp_path, monkeypatch, rounds=3)
    assert runs == ["bare", "ours", "ours", "bare", "bare", "ours"]


def test_a_fault_of_the_conductor_is_one_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the conductor can't ask of a run, such as its group's offsets, fails that run alone."""

    def run_one(name: str) -> Outcome:
        if name == "peer":
            raise MeasurementFailed("the broker does not say")
        return outcome(name, 100.0)

    code, _, markdown, _ = measure(mode(run_one, ["bare", "ours", "peer"]), tmp_path, monkeypatch)
    assert code == conductor.EXIT_FAILED
    assert "`peer`: MeasurementFailed: the broker does not say" in markdown


def test_a_mode_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mode whose topic can't be made has failed, and the next one is measured."""

    def no_topic(_brokers: str, _amounts: Amounts) -> str:
        raise MeasurementFailed("the disk is full")

    monkeypatch.setenv("HUMUS_TEST_KAFKA", "nobody:1")
    monkeypatch.setattr(Noise, "listen", lambda: QUIET)
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    well = mode(lambda name: outcome(name, 100.0), ["bare", "ours"])
    ill = replace(well, name="ill", prepare=no_topic)
    assert conductor.measure([ill, well], frozenset(), AMOUNTS, tmp_path) == conductor.EXIT_FAILED
    assert "error: ill: the disk is full" in said.getvalue()
    assert [path.name.endswith("-tiny.json") for path in tmp_path.glob("*.json")] == [True]


def test_the_pace_is_that_of_the_last_runs() -> None:
    """What is left is told by the last run of each, and by what is typical where there was none."""
    pace = Pace(10.0)
    pace.took("a", 2.0)
    pace.took("a", 3.0)
    assert pace.left(["a", "b", "a"]) == 16.0
    assert (in_words(0.2), in_words(60), in_words(600)) == ("1 s", "60 s", "10 min")


# -- the catalogue -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_is_locked(name: str) -> None:
    """A peer's library is locked to a version, with hashes, and its lock names no index and no path."""
    peer = PEERS[name]
    assert "?" not in peer.what
    if peer.environment == "go":
        assert (ROOT / "bench/peers/go/go.sum").exists()
        return
    lock = (ROOT / f"bench/peers/requirements/{peer.environment}.txt").read_text()
    pins = [line for line in lock.splitlines() if "==" in line]
    assert pins
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock
    assert (ROOT / f"{peer.arguments[0].replace('.', '/')}.py").exists()


def test_locked_version_of_both_kinds_of_locks() -> None:
    """A version is read from pip's locks and from a go.mod alike."""
    assert locked_version("six==1.0 \\\n    --hash=x\nfaststream[confluent]==0.7.8 \\\n", "faststream") == "0.7.8"
    assert (
        locked_version("module m\n\nrequire (\n\tgithub.com/twmb/franz-go v1.2.3\n)\n", "github.com/twmb/franz-go")
        == "1.2.3"
    )
    assert locked_version("aiokafka==1\n", "kafka") == "?"


def test_without_go_it_is_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where Go is absent, the peer in Go says that Go is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailable, match="no go on PATH"):
        environments.go_program()


def test_an_install_that_fails_is_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A failing step is told with the last line of its output, and leaves nothing half made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(_command: Sequence[str], doing: str) -> None:
        raise NotAvailable(f"{doing} failed: no route to host")

    monkeypatch.setattr(environments, "run", fail)
    with pytest.raises(NotAvailable, match="no route to host"):
        environments.python("faststream")
    assert [path.name for path in (tmp_path / "humus-tests/bench").iterdir()] == ["lock"]


def test_a_step_tells_its_last_line() -> None:
    """A step that fails is told with what it did and its last line."""
    with pytest.raises(NotAvailable, match="installing it failed: no network"):
        environments.run(
            [sys.executable, "-c", "import sys; print('x', flush=True); sys.exit('no network\\n')"], "installing it"
        )


def test_a_command_has_the_order_before_its_words() -> None:
    """A peer in Python takes the order first and then its own words; the Go program its word first."""
    python = PEERS["faststream"].command(["python", "-m", *PEERS["faststream"].arguments], ORDER)
    assert python == ["python", "-m", "bench.peers.faststream_peer", ORDER.as_json(), "NACK_ON_ERROR"]
    go = PEERS["franz-go"].command(["franz", "marked"], ORDER)
    assert go == ["franz", "marked", ORDER.as_json()]


# -- what is shown -------------------------------------------------------------------------------------------------


def shown() -> dict[str, object]:
    """Return the JSON of a throughput with one of each kind, one that failed, and one that was not run."""
    throughput = MODES["throughput"]
    names = ["bare", "humus-async", "aiokafka", "faust", "franz-go"]
    figures = {"cpu_us": 1.0, "peak_mib": 5.0, "records": 1.0, "seconds": 1.0, "startup_s": 1.0}
    rates = {"bare": 2000.0, "humus-async": 1000.0, "aiokafka": 100.0}
    runs = [Run(QUIET, Outcome(name, 1.0, {"msgs_per_s": rate, **figures})) for name, rate in rates.items()]
    runs.append(Run(QUIET, Outcome("faust", 1.0, fault="died")))
    machine = {"python": "CPython 3.11.7", "kafka": "4.3.1", "librdkafka": "2.16.0", "cores": 2, "cpu": "some"}
    found = Results(throughput, AMOUNTS, machine, BEGAN, names, [Round(runs)], not_run={"franz-go": "no Go"})
    data: dict[str, object] = json.loads(json.dumps(found.as_dict()))
    return data


def test_the_plot_shows_who_has_figures() -> None:
    """The plot shows those with figures, the fastest first, each in the colour of its kind."""
    assert [(bar.name, bar.kind) for bar in bars(shown())] == [
        ("bare", "bare"),
        ("humus-async", "humus"),
        ("aiokafka", "other"),
    ]


def test_the_readme_has_a_line_for_each() -> None:
    """The README's block has a line for each candidate, and says who failed or was not run."""
    block = readme.section("bench/results/x.json", shown(), plotted=True)
    lines = [line.split("|")[2:6] for line in block.splitlines() if line.startswith("| ") and "`" in line]
    assert [[cell.strip() for cell in line] for line in lines] == [
        ["2,000", "", "1.00", ""],
        ["1,000", "50 %", "1.00", ""],
        ["100", "5 %", "1.00", "10"],
        ["failed", "", "", ""],
        ["not run", "", "", ""],
    ]
    assert "(bench/results/x.svg)" in block
    assert "(bench/results/x.md)" in block


def test_the_readme_says_what_was_measured() -> None:
    """The README's figures are those of the results that it names, not typed by hand."""
    page = (ROOT / "README.md").read_text()
    file = readme.named(page)
    results = json.loads((ROOT / file).read_text())
    plotted = (ROOT / file).with_suffix(".svg").exists()
    assert readme.replaced(page, file, results, plotted=plotted) == page
