"""The base of a user's configuration, with the sections that every application has."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Config", "HealthSettings", "LogLevel", "LogSettings"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _otel(value: Any) -> Any:
    from humus.config._otel import checked_otel  # noqa: PLC0415 - with a schema validator; only for who has a section

    return checked_otel(value)


LogLevel = Annotated[Literal["critical", "error", "warning", "info", "debug"], BeforeValidator(_lower)]
"""A level of `logging`; case does not matter."""


class LogSettings(BaseModel):
    """The `log:` section: what is logged to stderr.

    `level` holds for all loggers, `levels` for those named and below. `format`: `text` is readable lines, in colours on
    a terminal; `json` is one JSON object a line; `auto` is `text` on a terminal and `json` elsewhere.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    level: LogLevel = "info"
    format: Annotated[Literal["auto", "json", "text"], BeforeValidator(_lower)] = "auto"
    levels: dict[str, LogLevel] = Field(default_factory=dict)


class HealthSettings(BaseModel):
    """The `health:` section: where the health server listens (`port: 0` is any free port, which is logged).

    On loopback, unless `host` says otherwise: it asks nobody who they are, and what it shows (topics, offsets, errors)
    is for who runs the service.

    `metrics` adds `/metrics` for Prometheus; it needs the extra `prometheus`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    metrics: bool = False


class Config(BaseModel):
    """Base class of a user's configuration; add your own sections as fields.

    Immutable; unknown keys are faults. `otel` is OpenTelemetry's declarative configuration as it stands. `health: null`
    turns the health server off; without the section it listens at its defaults, if they are free.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    otel: Annotated[dict[str, Any] | None, BeforeValidator(_otel)] = Field(default=None, repr=False)
    health: HealthSettings | None = HealthSettings()
    log: LogSettings = LogSettings()
