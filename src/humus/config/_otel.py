"""The `otel:` section: OpenTelemetry's declarative configuration, checked before it is handed to the SDK.

The schema is the one in OpenTelemetry's own package. Beside it this knows what the schema leaves open or promises too
early: names of plugins that nobody installed, keys that the package reads past. A fault never shows a value: headers
hold API keys.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from humus.config._tree import Path

__all__ = ["PACKAGE", "checked_otel"]

PACKAGE: Final = "opentelemetry.configuration"
_EXTRA: Final = (
    "this section needs OpenTelemetry's configuration package: pip install 'humus-queue[otel-config]'; "
    "without the section, the OTEL_* environment variables apply"
)

_PLUGINS: Final = {
    "SpanExporter": "opentelemetry_traces_exporter",
    "PushMetricExporter": "opentelemetry_metrics_exporter",
    "PullMetricExporter": "opentelemetry_pull_metric_exporter",
    "LogRecordExporter": "opentelemetry_logs_exporter",
    "Sampler": "opentelemetry_sampler",
    "IdGenerator": "opentelemetry_id_generator",
    "TextMapPropagator": "opentelemetry_propagator",
    "ExperimentalResourceDetector": "opentelemetry_resource_detector",
    "SpanProcessor": None,
    "LogRecordProcessor": None,
    "ExperimentalComposableSampler": None,
}
"""Definitions of the schema that take any key, and the entry points that give it a meaning; `None`: nothing does."""

_TLS: Final = (
    "the package does not read it yet, so the exporter would go without: set OTEL_EXPORTER_OTLP_CERTIFICATE, "
    "OTEL_EXPORTER_OTLP_CLIENT_KEY and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE in the environment"
)
_NOT_BUILT: Final = "the package does not support it yet"
_READ_PAST: Final = {
    ("OtlpHttpExporter", "tls"): _TLS,
    ("OtlpGrpcExporter", "tls"): _TLS,
    ("OtlpHttpMetricExporter", "tls"): _TLS,
    ("OtlpGrpcMetricExporter", "tls"): _TLS,
    ("Sampler", "jaeger_remote/development"): _NOT_BUILT,
    ("Sampler", "probability/development"): _NOT_BUILT,
    ("LogRecordProcessor", "event_to_span_event_bridge/development"): _NOT_BUILT,
}
"""What the schema allows, and opentelemetry-configuration 0.66b2 ignores or refuses."""

_PARTS: Final = {
    "otlp_http": ("opentelemetry.exporter.otlp.proto.http", "opentelemetry-exporter-otlp-proto-http"),
    "otlp_grpc": ("opentelemetry.exporter.otlp.proto.grpc", "opentelemetry-exporter-otlp-proto-grpc"),
    "otlp_file/development": ("opentelemetry.exporter.otlp.json.file", "opentelemetry-exporter-otlp-json-file"),
    "prometheus/development": ("opentelemetry.exporter.prometheus", "opentelemetry-exporter-prometheus"),
}
"""Exporters of the schema: the module that each needs, and where it comes from."""

_COMPRESSIONS: Final = {
    "OtlpHttpExporter": ("gzip", "deflate", "none"),
    "OtlpHttpMetricExporter": ("gzip", "deflate", "none"),
    "OtlpGrpcExporter": ("gzip", "none"),
    "OtlpGrpcMetricExporter": ("gzip", "none"),
}

_TYPES: Final = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}


class _Fault(NamedTuple):
    path: Path
    message: str
    missing: bool = False


def checked_otel(section: Any) -> Any:
    """Return the section as it is. A validator of pydantic.

    Raises:
        ValidationError: with all faults, each at its path.
    """
    if section is None:
        return None
    faults = list(_faults(section))
    if faults:
        raise ValidationError.from_exception_data("otel", [_details(fault) for fault in faults])
    return section


def _details(fault: _Fault) -> InitErrorDetails:
    error = "missing" if fault.missing else PydanticCustomError("otel", "{message}", {"message": fault.message})
    return InitErrorDetails(type=error, loc=fault.path, input=None)


def _faults(section: Any) -> Iterator[_Fault]:
    if not _is_there(PACKAGE):
        yield _Fault((), _EXTRA)
        return
    found = list(_against_the_schema(section))
    yield from found
    for path, name, schema, node in _visit(section, _schema(), ()):
        if isinstance(node, Mapping) and not any(fault.path == path for fault in found):
            yield from _plugin_faults(path, name, schema, node)
            yield from _part_faults(path, name, node)
    version = section.get("file_format") if isinstance(section, Mapping) else None
    if isinstance(version, str) and version.partition(".")[0] != "1":
        yield _Fault(("file_format",), 'must be a version that is supported, "1.0"')


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((files(PACKAGE) / "schema.json").read_text("utf-8"))
    return {**schema, "additionalProperties": False}  # a key at the top that is unknown is a slip


def _against_the_schema(section: Any) -> Iterator[_Fault]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - comes with the extra

    for error in Draft202012Validator(_schema()).iter_errors(section):
        path, wanted = tuple(error.absolute_path), error.validator_value
        schema: Any = error.schema
        if error.validator == "additionalProperties" and wanted is False:
            known = list(schema.get("properties", {}))
            for key in error.instance.keys() - known:
                yield _Fault((*path, key), _unknown("key", key, known))
        elif error.validator == "required":
            for key in wanted:
                if key not in error.instance:
                    yield _Fault((*path, key), "is missing", missing=True)
        elif path == ("file_format",):
            yield _Fault(path, 'must be a string, in quotes: "1.0"')
        else:
            yield _Fault(path, _phrase(str(error.validator), wanted))


def _phrase(rule: str, wanted: Any) -> str:
    phrases = {
        "minimum": f"must be at least {wanted}",
        "exclusiveMinimum": f"must be greater than {wanted}",
        "maximum": f"must be at most {wanted}",
        "minItems": "must not be empty",
        "minProperties": "must not be empty",
        "maxProperties": "must have exactly one key",  # the schema knows no other number
        "oneOf": "must be text, a number, true or false, or a list of one kind of them",
    }
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return "must be " + " or ".join(_TYPES[kind] for kind in kinds if kind != "null")
    if rule == "enum":
        return "must be one of " + ", ".join(str(one) for one in wanted)
    return phrases.get(rule, f"does not fit OpenTelemetry's schema ({rule})")


def _visit(node: Any, schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str, Mapping[str, Any], Any]]:
    """Yield what the schema describes by name: path, name, definition, value."""
    name = ""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = _schema()["$defs"][name]
    yield path, name, schema, node
    if isinstance(node, Mapping):
        for key, child in node.items():
            if key in (properties := schema.get("properties", {})):
                yield from _visit(child, properties[key], (*path, key))
    elif isinstance(node, list) and "items" in schema:
        for index, child in enumerate(node):
            yield from _visit(child, schema["items"], (*path, index))


def _plugin_faults(path: Path, name: str, schema: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[_Fault]:
    if name not in _PLUGINS:
        return
    group = _PLUGINS[name]
    plugins = [] if group is None else [point.name for point in entry_points(group=group)]
    built_in = list(schema.get("properties", {}))
    for key in node:
        if key not in built_in and key not in plugins:
            yield _Fault((*path, key), _unknown("name", key, [*built_in, *plugins]))


def _part_faults(path: Path, name: str, node: Mapping[str, Any]) -> Iterator[_Fault]:
    for key, value in node.items():
        if (name, key) in _READ_PAST and value is not None:
            yield _Fault((*path, key), _READ_PAST[name, key])
        if name in _PLUGINS and key in _PARTS and not _is_there(_PARTS[key][0]):
            yield _Fault((*path, key), f"needs a package that is not installed: pip install {_PARTS[key][1]}")
    compression = node.get("compression")
    if name in _COMPRESSIONS and isinstance(compression, str) and compression.lower() not in _COMPRESSIONS[name]:
        yield _Fault((*path, "compression"), "must be one of " + ", ".join(_COMPRESSIONS[name]))


def _unknown(what: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f"unknown {what}; did you mean {close[0]}?" if close else f"unknown {what}"
