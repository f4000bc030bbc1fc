"""What `queue.run` does about telemetry, in a process of its own: providers are global, and set once."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

APP = """
    import sys
    from humus import queue
    from humus.telemetry import meter_provider, tracer_provider

    def say(*words):
        print(*words, flush=True)

    def name(provider):
        return None if provider is None else type(provider).__module__ + "." + type(provider).__qualname__

    class Ending:
        async def process_queue(self):
            say(name(tracer_provider()), name(meter_provider()), "opentelemetry" in sys.modules)

    def init():
        return queue.App(Ending())

    {before}
    queue.run(queue.yaml_source("config.yaml"), init)
"""
SDK = ("opentelemetry.sdk.trace.TracerProvider", "opentelemetry.sdk.metrics._internal.MeterProvider")
SECTION = """
otel:
  file_format: "1.0"
  tracer_provider: {processors: [{simple: {exporter: {console: {}}}}]}
  meter_provider: {readers: [{periodic: {exporter: {console: {}}}}]}
  propagator: {composite: [{tracecontext: {}}]}
"""


def run(folder: Path, config: str = "", before: str = "", **environ: str) -> tuple[int, list[str], str]:
    """Run the application; return exit code, stdout and stderr."""
    code = textwrap.dedent(APP).replace("{before}", textwrap.dedent(before))
    (folder / "app.py").write_text(code, encoding="utf-8")
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "app.py"],
        cwd=folder,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_nothing_configured_costs_nothing(tmp_path: Path) -> None:
    """With nothing configured OpenTelemetry is not even imported, and there are no providers to record to."""
    assert run(tmp_path, OTEL_SERVICE_NAME="shop") == (0, ["None None False"], "")


def test_the_section_sets_the_providers(tmp_path: Path) -> None:
    """The section's providers are the global ones for as long as the application runs; nothing is said on stderr."""
    assert run(tmp_path, SECTION) == (0, [" ".join((*SDK, "True"))], "")


def test_only_the_signal_that_is_asked_for(tmp_path: Path) -> None:
    """A signal without an exporter gets no provider: nobody pays for it."""
    code, out, err = run(tmp_path, OTEL_TRACES_EXPORTER="console")
    assert (code, out, err) == (0, [f"{SDK[0]} None True"], "")


def test_a_disabled_sdk_records_nothing(tmp_path: Path) -> None:
    """OTEL_SDK_DISABLED turns everything off, the section's providers too."""
    code, out, _ = run(tmp_path, SECTION, OTEL_SDK_DISABLED="true")
    assert (code, out) == (0, ["None None True"])


OWN = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
class Mine(TracerProvider):
    def shutdown(self):
        say("mine is shut down")
trace.set_tracer_provider(Mine(shutdown_on_exit=False))
"""


@pytest.mark.parametrize(
    ("config", "environ", "meter"),
    [("", {}, "None"), (SECTION, {}, SDK[1]), ("", {"OTEL_TRACES_EXPORTER": "console"}, "None")],
)
def test_the_applications_own_provider(tmp_path: Path, config: str, environ: dict[str, str], meter: str) -> None:
    """A provider that the application set before stays and is its own affair; the others are set up all the same."""
    code, out, err = run(tmp_path, config, OWN, **environ)
    assert (code, out) == (0, [f"__main__.Mine {meter} True"]), err
    assert ("otel: tracer_provider is not used: the application has set its own" in err) is bool(config)
    assert "Overriding" not in err


def test_a_provider_set_in_init(tmp_path: Path) -> None:
    """A provider that `init` sets is the one that is recorded to."""
    in_init = f"inner = init\ndef init():\n{textwrap.indent(OWN, '    ')}\n    return inner()\n"
    code, out, err = run(tmp_path, "", in_init)
    assert (code, out, err) == (0, ["__main__.init.<locals>.Mine None True"], "")


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER: no exporter is called zipkin; there are: console, ",
        ),
        ({"OTEL_CONFIG_FILE": "no.yaml"}, "OTEL_CONFIG_FILE: no.yaml: Configuration file not found"),
        (
            {"OTEL_CONFIG_FILE": "otel.yaml"},
            "OTEL_CONFIG_FILE: otel.yaml: Configuration does not match the schema (at ",
        ),
    ],
)
def test_a_wrong_variable(tmp_path: Path, environ: dict[str, str], fault: str) -> None:
    """A variable that cannot be followed is one line that names it, and exit code 2; no value, no traceback."""
    (tmp_path / "otel.yaml").write_text('file_format: "1.0"\ntracer_provider: {processors: secret}\n', encoding="utf-8")
    code, out, err = run(tmp_path, **environ)
    assert (code, out) == (2, [])
    assert err.startswith(fault)
    assert len(err.splitlines()) == 1
    assert "secret" not in err


def test_a_file_of_opentelemetry(tmp_path: Path) -> None:
    """Without a section, OTEL_CONFIG_FILE is followed."""
    section = SECTION.removeprefix("\notel:\n")
    (tmp_path / "otel.yaml").write_text(textwrap.dedent(section), encoding="utf-8")
    code, out, err = run(tmp_path, OTEL_CONFIG_FILE="otel.yaml")
    assert (code, out, err) == (0, [" ".join((*SDK, "True"))], "")


def test_variables_without_the_sdk(tmp_path: Path) -> None:
    """Variables that a platform sets for every process keep none from starting: without the SDK, one line says so."""
    hidden = "sys.modules['opentelemetry.sdk'] = None"
    code, out, err = run(tmp_path, before=hidden, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert (code, out[0].startswith("None None")) == (0, True), err
    (line,) = err.splitlines()
    assert "pip install 'humus-queue[otel]'" in line


def test_without_a_propagator(tmp_path: Path) -> None:
    """A section that makes traces and forgets the propagator is told that they start anew with every record."""
    section = SECTION.replace("  propagator: {composite: [{tracecontext: {}}]}\n", "")
    code, _, err = run(tmp_path, section)
    (line,) = err.splitlines()
    assert code == 0
    assert "otel: there is no propagator, so traces do not go on from a record's producer" in line


def test_a_thread_left_behind_does_not_cost_the_last_batch(tmp_path: Path) -> None:
    """D60: Where closing takes too long and the process is ended, telemetry is flushed before."""
    section = SECTION.replace("{simple: {exporter", "{batch: {schedule_delay: 3600000, exporter")
    code, out, err = run(
        tmp_path,
        section,
        """
        import asyncio, time
        from opentelemetry import trace
        async def process_queue(self):
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
            trace.get_tracer("mine").start_span("the last one").end()
        Ending.process_queue = process_queue
        """,
    )
    assert code == 0
    assert "left behind" in err
    assert any('"name": "the last one"' in line for line in out)


@pytest.mark.parametrize(
    ("module", "shown"), [("opentelemetry.instrumentation.logging.handler", True), ("mine", False)]
)
def test_handlers_that_were_there(tmp_path: Path, module: str, shown: bool) -> None:
    """A handler of the application's own is the only one; one that exports logs does not take the lines off stderr."""
    code, _, err = run(
        tmp_path,
        before=f"""
        import logging
        class Theirs(logging.Handler):
            __module__ = "{module}"
            def emit(self, record):
                pass
        logging.getLogger().addHandler(Theirs())
        async def process_queue(self):
            logging.getLogger("mine").warning("careful")
        Ending.process_queue = process_queue
        """,
    )
    assert (code, "careful" in err) == (0, shown)
