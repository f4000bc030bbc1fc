"""The base of a user's configuration, with the sections that every application has."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

__all__ = ["Config", "HealthSettings", "LogLevel", "LogSettings"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _available_format(value: Any) -> Any:
    if value == "json":
        raise PydanticCustomError("not_yet", "JSON lines are not part of this version yet: use auto or text")
    return value


def _not_yet(value: Any) -> Any:
    if value is not None:
        raise PydanticCustomError("not_yet", "this section is not part of this version yet: remove it")
    return value


LogLevel = Annotated[Literal["critical", "error", "warning", "info", "debug"], BeforeValidator(_lower)]
"""A level of `logging`; case does not matter."""


class LogSettings(BaseModel):
    """The `log:` section: what is logged to stderr.

    `level` holds for all loggers, `levels` for those named and below. `format`: `auto` and `text` are readable lines.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    level: LogLevel = "info"
    format: Annotated[Literal["auto", "text"], BeforeValidator(_available_format)] = "auto"
    levels: dict[str, LogLevel] = Field(default_factory=dict)


class HealthSettings(BaseModel):
    """The `health:` section: where the health server listens (`port: 0` is any free port, which is logged).

    `metrics` adds `/metrics` for Prometheus; it needs the extra `prometheus`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    metrics: bool = False


class Config(BaseModel):
    """Base class of a user's configuration; add your own sections as fields.

    Immutable; unknown keys are faults. `health: null` turns the health server off; without the section it listens at
    its defaults, if they are free. `otel` is reserved: giving it is a fault in this version.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    otel: Annotated[None, BeforeValidator(_not_yet)] = None
    health: HealthSettings | None = HealthSettings()
    log: LogSettings = LogSettings()
