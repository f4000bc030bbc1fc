"""`queue.run` in a process of its own: exit codes, signals, the order of what is closed.

Nothing here sleeps: the process prints a line when it has reached a point, and the test waits for that line.
"""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

PRELUDE = """
import asyncio, logging, sys, threading, time
from humus import queue

def say(line):
    print(line, flush=True)

class Config(queue.Config):
    name: str = "orders"

class Runtime:
    '''Waits until it is told to stop, from whatever thread, then drains.'''
    def __init__(self, name="runtime"):
        self.name = name
        self.stopped = threading.Event()
    def stop(self):
        self.stopped.set()
    async def process_queue(self):
        say("ready")
        while not self.stopped.is_set():
            await asyncio.sleep(0.001)
        say(f"{self.name} drained")

class Failing:
    def __init__(self, error):
        self.error = error
    async def process_queue(self):
        raise self.error

class Waiting:
    '''Has no stop(): is cancelled.'''
    async def process_queue(self):
        say("ready")
        try:
            await asyncio.Event().wait()
        finally:
            say("waiting drained")
"""


class Process:
    """The application in a process of its own."""

    def __init__(self, folder: Path, code: str, config: str) -> None:
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        script = folder / "app.py"
        script.write_text(
            PRELUDE + textwrap.dedent(code) + '\nqueue.run(queue.yaml_source("config.yaml"), init)\n', encoding="utf-8"
        )
        self.popen = subprocess.Popen(  # noqa: S603 - the test's own script
            [sys.executable, str(script)],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # what is not flushed must be missed
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, line: str) -> None:
        """Read until the process prints a line."""
        assert self.popen.stdout is not None
        read = []
        for found in self.popen.stdout:
            if found.strip() == line:
                return
            read.append(found)
        pytest.fail(f"no line {line!r} in {read}; stderr: {self.end()[2]}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def end(self) -> tuple[int, list[str], str]:
        """Wait for the end; return the exit code, the lines that were not read yet, and stderr."""
        out, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, out.splitlines(), err


class Start:
    """Starts processes and makes sure that they end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []

    def __call__(self, code: str, config: str = "") -> Process:
        """Start an application that defines `init`."""
        self.started.append(Process(self.folder, code, config))
        return self.started[-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a way to start applications."""
    start = Start(tmp_path)
    yield start
    for process in start.started:
        process.popen.kill()
        process.popen.communicate()


PLAIN = "def init(cfg: Config): return queue.App(Runtime())"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_gracefully(start: Start, number: signal.Signals) -> None:
    """One SIGTERM or SIGINT drains the runtime and the exit code is 0 (D60)."""
    process = start(PLAIN)
    process.wait_for("ready")
    process.send(number)
    code, out, err = process.end()
    assert (code, out) == (0, ["runtime drained"])
    assert f"{number.name}: stopping gracefully" in err


def test_signal_cancels_a_runtime_without_stop(start: Start) -> None:
    """A runtime without `stop()` is cancelled, which drains it; the exit code is 0 (D60)."""
    process = start("def init(cfg: Config): return queue.App(Waiting())")
    process.wait_for("ready")
    process.send(signal.SIGTERM)
    assert process.end()[:2] == (0, ["waiting drained"])


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_second_signal_ends_at_once(start: Start, second: signal.Signals, code: int) -> None:
    """A second signal cuts the drain short with 128 + its number, after a line that says so (D60)."""
    process = start(
        """
        class Stubborn(Runtime):
            async def process_queue(self):
                say("ready")
                while not self.stopped.is_set():
                    await asyncio.sleep(0.001)
                say("draining")
                await asyncio.Event().wait()
        def init(cfg: Config): return queue.App(Stubborn())
        """
    )
    process.wait_for("ready")
    process.send(signal.SIGTERM)
    process.wait_for("draining")
    process.send(second)
    found, _, err = process.end()
    assert found == code
    assert f"{second.name}: the second signal; ending at once" in err


def test_second_signal_does_not_wait_for_stop(start: Start) -> None:
    """A second signal ends the process also when a runtime's `stop()` itself never returns."""
    process = start(
        """
        class Blocking(Runtime):
            def stop(self):
                say("asked")
                threading.Event().wait()
        def init(cfg: Config): return queue.App(Blocking())
        """
    )
    process.wait_for("ready")
    process.send(signal.SIGTERM)
    process.wait_for("asked")
    process.send(signal.SIGTERM)
    assert process.end()[0] == 143


def test_stop_reaches_the_runtime_while_the_loop_is_blocked(start: Start) -> None:
    """While a processor keeps the loop busy, a SIGTERM still reaches the runtime's own thread at once (D60)."""
    process = start(
        """
        class Busy(Runtime):
            async def process_queue(self):
                say("ready")
                while not self.stopped.is_set():
                    pass
                say("stopped while the loop was blocked")
        def init(cfg: Config): return queue.App(Busy())
        """
    )
    process.wait_for("ready")
    process.send(signal.SIGTERM)
    assert process.end()[:2] == (0, ["stopped while the loop was blocked"])


def test_second_signal_ends_a_blocked_loop(start: Start) -> None:
    """A second signal ends a process whose loop never comes back."""
    process = start(
        """
        class Stuck(Runtime):
            def stop(self):
                say("asked")
            async def process_queue(self):
                say("ready")
                while True:
                    pass
        def init(cfg: Config): return queue.App(Stuck())
        """
    )
    process.wait_for("ready")
    process.send(signal.SIGINT)
    process.wait_for("asked")
    process.send(signal.SIGINT)
    assert process.end()[0] == 130


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ValueError('bad')", "the application failed: ValueError: bad"),
        ("SystemExit(0)", "the application failed: HumusError: Failing was stopped by SystemExit"),
        ("KeyboardInterrupt()", "the application failed: HumusError: Failing was stopped by KeyboardInterrupt"),
        ("queue.EndOfQueue()", "the application failed: EndOfQueue"),
    ],
)
def test_error_in_the_runtime(start: Start, error: str, line: str) -> None:
    """An error of a runtime drains the others and the exit code is 1, also for `SystemExit(0)` (D34)."""
    process = start(f"def init(cfg: Config): return queue.App(Runtime(), Failing({error}))")
    code, out, err = process.end()
    assert (code, out) == (1, ["ready", "runtime drained"])
    assert line in err
    assert "Traceback" in err


def test_error_of_our_own_needs_no_traceback(start: Start) -> None:
    """A `HumusError` without a cause is one line."""
    process = start(
        """
        from humus.errors import BrokerError
        def init(cfg: Config): return queue.App(Failing(BrokerError("no permission; ask for it")))
        """
    )
    code, _, err = process.end()
    assert code == 1
    assert "BrokerError: no permission; ask for it" in err
    assert "Traceback" not in err


def test_configuration_error(start: Start) -> None:
    """A configuration error is exit code 2, one line for each fault, no traceback."""
    process = start(PLAIN, config="nam: x\nlog: {level: loud}\n")
    code, _, err = process.end()
    assert code == 2
    assert err.splitlines() == [
        "config.yaml:1: nam: unknown key; did you mean name?",
        "config.yaml:2: log.level: must be 'critical', 'error', 'warning', 'info' or 'debug'",
    ]


def test_configuration_error_out_of_init(start: Start) -> None:
    """A `ConfigError` that `init` raises, such as an App without a runtime, is exit code 2 as well."""
    code, _, err = start("def init(cfg: Config): return queue.App()").end()
    assert (code, err) == (2, "App: give at least one runtime\n")


def test_error_in_init(start: Start) -> None:
    """Any other error in `init` is exit code 1, with its traceback."""
    code, _, err = start("def init(cfg: Config): raise SystemExit(0)").end()
    assert code == 1
    assert "the application failed: SystemExit: 0" in err


FORMS = {
    "function": """
        def init(cfg: Config):
            say(f"open {cfg.name}")
            return queue.App(Ending())
        """,
    "coroutine function": """
        async def init(cfg: Config):
            say(f"open {cfg.name}")
            return queue.App(Ending())
        """,
    "generator": """
        def init(cfg: Config):
            say(f"open {cfg.name}")
            yield queue.App(Ending(), on_shutdown=[lambda: say("on_shutdown")])
            asyncio.get_running_loop()
            say("closed")
        """,
    "async generator": """
        async def init(cfg: Config):
            say(f"open {cfg.name}")
            loop = asyncio.get_running_loop()
            yield queue.App(Ending(), on_shutdown=[lambda: say("on_shutdown")])
            assert loop is asyncio.get_running_loop()
            say("closed")
        """,
}
ENDING = """
class Ending:
    async def process_queue(self):
        say("ended")
"""


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_init(start: Start, form: str) -> None:
    """`init` is a function, a coroutine function or a generator; what follows the yield runs last, on the loop."""
    process = start(ENDING + textwrap.dedent(FORMS[form]), config="name: flights\n")
    code, out, _ = process.end()
    closing = ["on_shutdown", "closed"] if "generator" in form else []
    assert (code, out) == (0, ["open flights", "ended", *closing])


@pytest.mark.parametrize("prefix", ["", "async "])
def test_resources_are_closed_after_an_error(start: Start, prefix: str) -> None:
    """What follows a bare `yield` runs also when a runtime failed, after `on_shutdown`."""
    process = start(
        f"""
        {prefix}def init(cfg: Config):
            yield queue.App(Runtime(), Failing(ValueError("bad")), on_shutdown=[lambda: say("on_shutdown")])
            say("closed")
        """
    )
    assert process.end()[:2] == (1, ["ready", "runtime drained", "on_shutdown", "closed"])


def test_signal_during_init_cancels_it(start: Start) -> None:
    """A SIGTERM while `init` waits cancels it; what it opened is closed, and the exit code is 0."""
    process = start(
        """
        async def init(cfg: Config):
            try:
                say("opening")
                await asyncio.Event().wait()
                yield queue.App(Runtime())
            finally:
                say("closed")
        """
    )
    process.wait_for("opening")
    process.send(signal.SIGTERM)
    assert process.end()[:2] == (0, ["closed"])


def test_signal_during_a_blocking_init(start: Start) -> None:
    """A SIGTERM while a plain `init` blocks the loop: the runtimes are not started, what was opened is closed."""
    process = start(
        """
        class Heard(logging.Handler):
            event = threading.Event()
            def emit(self, record):
                self.event.set()
        def init(cfg: Config):
            logging.getLogger("humus.app").addHandler(Heard())
            say("opening")
            Heard.event.wait()
            while any(thread.name == "humus-stop" for thread in threading.enumerate()):
                pass
            yield queue.App(Runtime(), on_shutdown=[lambda: say("on_shutdown")])
            say("closed")
        """
    )
    process.wait_for("opening")
    process.send(signal.SIGTERM)
    assert process.end()[:2] == (0, ["on_shutdown", "closed"])


def test_task_that_exits_does_not_hide_the_drain(start: Start) -> None:
    """`SystemExit` out of a task of the user's own drains the runtimes and is exit code 1, not 0 (D34)."""
    process = start(
        """
        async def init(cfg: Config):
            running = asyncio.Event()
            class Noticed(Waiting):
                async def process_queue(self):
                    running.set()
                    await super().process_queue()
            async def task():
                await running.wait()
                raise SystemExit(0)
            keep = asyncio.create_task(task())
            yield queue.App(Noticed())
            say("closed")
        """
    )
    assert process.end()[:2] == (1, ["ready", "waiting drained", "closed"])


def test_exit_right_after_init_closes_what_it_opened(start: Start) -> None:
    """`SystemExit` out of a task before the App runs still closes what `init` opened; exit code 1."""
    process = start(
        """
        async def init(cfg: Config):
            async def task():
                raise SystemExit(0)
            keep = asyncio.create_task(task())
            yield queue.App(Waiting())
            say("closed")
        """
    )
    assert process.end()[:2] == (1, ["closed"])


@pytest.mark.parametrize(("ending", "code"), [("pass", 0), ("raise ValueError", 1)])
def test_thread_that_never_ends_does_not_keep_the_process(start: Start, ending: str, code: int) -> None:
    """A call in `asyncio.to_thread` that never returns is left behind, and the exit code is what it would be (D60)."""
    process = start(
        f"""
        import humus.queue._run
        humus.queue._run.CLOSING_SECONDS = 0.1
        class Blocked:
            async def process_queue(self):
                call = asyncio.create_task(asyncio.to_thread(threading.Event().wait))
                await asyncio.sleep(0)
                call.cancel()
                {ending}
        def init(cfg: Config): return queue.App(Blocked(), on_shutdown=[lambda: print("unflushed", end="")])
        """
    )
    found, out, err = process.end()
    assert (found, out) == (code, ["unflushed"])
    assert "does not end; it is left behind" in err


def test_log_section(start: Start) -> None:
    """The `log:` section sets the levels of the lines on stderr; nothing goes to stdout."""
    code = """
        def init(cfg: Config):
            logging.getLogger("mine").debug("quiet")
            logging.getLogger("mine.loud").debug("heard")
            logging.getLogger("other").info("unheard")
            return queue.App(Ending())
        """
    process = start(
        ENDING + textwrap.dedent(code),
        config="log: {level: warning, format: text, levels: {mine: INFO, mine.loud: debug}}\n",
    )
    exit_code, out, err = process.end()
    assert (exit_code, out) == (0, ["ended"])
    (line,) = err.splitlines()
    assert line.endswith("Z DEBUG    mine.loud: heard")


def test_garbage_is_collected_less_often(start: Start) -> None:
    """In a process of ours a batch of records starts no collection of garbage: that is set before `init`."""
    process = start("import gc\n\ndef init(cfg: Config):\n    print(gc.get_threshold()[0])\n    raise ValueError\n")
    assert process.end()[:2] == (1, ["10000"])


def test_importing_the_queue_does_not_load_the_client() -> None:
    """`humus.queue` without Kafka does not load the Kafka client."""
    code = "import sys, humus.queue; sys.exit('confluent_kafka' in sys.modules)"
    assert (
        subprocess.run(  # noqa: S603 - the test's own code
            [sys.executable, "-c", code], check=False
        ).returncode
        == 0
    )
