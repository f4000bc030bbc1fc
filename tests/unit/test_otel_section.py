"""The `otel:` section: every fault by file, line and key; nothing that the SDK would ignore goes unsaid."""

from pathlib import Path

import pytest

from humus.config import Config, _otel, load, yaml_source
from humus.errors import ConfigError

EXPORTER = """\
otel:
  file_format: "1.0"
  tracer_provider:
    processors:
      - batch:
          exporter:
            {exporter}
"""


def faults(folder: Path, text: str) -> tuple[str, ...]:
    """Return what is wrong with a file."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(yaml_source(path), Config, {})
    return tuple(fault.removeprefix(f"{folder}/config.yaml:") for fault in caught.value.faults)


def test_a_section_is_kept_as_it_stands(tmp_path: Path) -> None:
    """What the SDK gets is the section, substituted and typed, with nothing added."""
    path = tmp_path / "config.yaml"
    path.write_text(EXPORTER.replace("{exporter}", 'otlp_http: {endpoint: "${E}", timeout: "${T}"}'), encoding="utf-8")
    config = load(yaml_source(path), Config, {"E": "http://collector:4318/v1/traces", "T": "500"})
    exporter = {"otlp_http": {"endpoint": "http://collector:4318/v1/traces", "timeout": 500}}
    processors = [{"batch": {"exporter": exporter}}]
    assert config.otel == {"file_format": "1.0", "tracer_provider": {"processors": processors}}
    assert "collector" not in repr(config), "headers may hold keys"


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Unknown keys, wrong types, what is missing and what is too little are named together, each in its line."""
    text = """\
otel:
  file_format: 1.0
  resouce: {}
  tracer_provider:
    processors:
      - batch:
          schedule_delay: soon
          max_queue_size: 0
          exporter: {console: {}}
      - batch: {}
    sampler:
      always_on:
      always_off:
  meter_provider:
    readers: []
  logger_provider: 5
  log_level: loud
"""
    found = faults(tmp_path, text)
    assert found[:-1] == (
        '2: otel.file_format: must be a string, in quotes: "1.0"',
        "3: otel.resouce: unknown key; did you mean resource?",
        "7: otel.tracer_provider.processors[0].batch.schedule_delay: must be a whole number",
        "8: otel.tracer_provider.processors[0].batch.max_queue_size: must be greater than 0",
        "10: otel.tracer_provider.processors[1].batch.exporter: is missing",
        "11: otel.tracer_provider.sampler: must have exactly one key",
        "15: otel.meter_provider.readers: must not be empty",
        "16: otel.logger_provider: must be a mapping",
    )
    assert found[-1].startswith("17: otel.log_level: must be one of trace, trace2, ")


@pytest.mark.parametrize(
    ("exporter", "fault"),
    [
        ("otlp_htp: {}", "otlp_htp: unknown name; did you mean otlp_http?"),
        ("zipkin: {}", "zipkin: unknown name"),
        ("otlp_grpc: {compression: deflate}", "otlp_grpc.compression: must be one of gzip, none"),
        (
            "otlp_http: {tls: {ca_file: ca.pem}}",
            "otlp_http.tls: the package does not read it yet, so the exporter would",
        ),
        ("otlp_file/development: {}", "otlp_file/development: needs a package that is not installed: pip install open"),
    ],
)
def test_exporters_that_the_schema_lets_pass(tmp_path: Path, exporter: str, fault: str) -> None:
    """An exporter that is not there, and a key that would be ignored, are faults though the schema allows them."""
    (found,) = faults(tmp_path, EXPORTER.replace("{exporter}", exporter))
    assert found.startswith(f"7: otel.tracer_provider.processors[0].batch.exporter.{fault}")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{file_format: "2.0"}', 'otel.file_format: must be a version that is supported, "1.0"'),
        ("{}", "otel.file_format: is missing"),
        ("5", "otel: must be a mapping"),
        (
            '{file_format: "1.0", propagator: {composite: [{tracecontex: {}}]}}',
            "otel.propagator.composite[0].tracecontex: unknown name; did you mean tracecontext?",
        ),
        (
            '{file_format: "1.0", tracer_provider: {processors: [{batched: {}}]}}',
            "otel.tracer_provider.processors[0].batched: unknown name; did you mean batch?",
        ),
    ],
)
def test_one_fault(tmp_path: Path, text: str, fault: str) -> None:
    """Versions, propagators, processors and sections of the wrong kind are named by their key."""
    assert faults(tmp_path, f"otel: {text}\n") == (f"1: {fault}",)


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The section without OpenTelemetry's package is a fault that names the extra to install."""
    monkeypatch.setattr(_otel, "PACKAGE", "no_such_package.configuration")
    (fault,) = faults(tmp_path, 'otel: {file_format: "1.0"}\n')
    assert fault.startswith("1: otel: this section needs OpenTelemetry's configuration package")
    assert "pip install 'humus-queue[otel-config]'" in fault


def test_null_is_no_section(tmp_path: Path) -> None:
    """`otel: null` is the same as no section, so that an override can take it away."""
    path = tmp_path / "config.yaml"
    path.write_text("otel: null\n", encoding="utf-8")
    assert load(yaml_source(path), Config, {}).otel is None
