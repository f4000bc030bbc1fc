"""Which `OTEL_*` variables ask for what."""

import pytest

from humus.errors import ConfigError
from humus.telemetry._environment import config_file, exporters

GRPC, HTTP = "otlp_proto_grpc", "otlp_proto_http"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, {}),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_PROPAGATORS": "b3"}, {}),
        ({"OTEL_TRACES_EXPORTER": ""}, {}),
        ({"OTEL_TRACES_EXPORTER": "none"}, {}),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, {"traces": ["console", GRPC]}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, {"traces": [GRPC], "metrics": [GRPC], "logs": [GRPC]}),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_LOGS_EXPORTER": "none"},
            {"traces": [GRPC], "metrics": [GRPC]},
        ),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, {"metrics": [GRPC]}),
        (
            {
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_METRICS_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc",
            },
            {"traces": [HTTP], "metrics": [GRPC]},
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, {}),
    ],
)
def test_exporters(environ: dict[str, str], wanted: dict[str, list[str]]) -> None:
    """A signal is exported where an exporter is named or an OTLP endpoint is set, and nowhere else."""
    assert exporters(environ) == wanted


def test_a_protocol_that_nobody_speaks() -> None:
    """A wrong protocol names the variable and what it may be."""
    with pytest.raises(ConfigError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL: must be grpc or http/protobuf$"):
        exporters({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_config_file() -> None:
    """The variable for a file counts unless the SDK is off."""
    assert config_file({"OTEL_CONFIG_FILE": "otel.yaml"}) == "otel.yaml"
    assert config_file({"OTEL_CONFIG_FILE": "otel.yaml", "OTEL_SDK_DISABLED": "true"}) is None
    assert config_file({"OTEL_CONFIG_FILE": " "}) is None
