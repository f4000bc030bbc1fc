"""The `kafka:` section of the YAML file: a shape for pydantic, whose rules are those of the constructor.

Each option goes through the same table as in code (`_options.check`), field by field, so that a fault has its line in
the file. Objects of the runtime's own (`TLS`, `Retry`, ...) come out of the section as what they are in code.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from humus.config import Duration, Size
from humus.errors import ConfigError
from humus.queue._protocols import ProcessorLike
from humus.queue.kafka._message import Message
from humus.queue.kafka._options import (
    DEFAULTS,
    OPTION_NAMES,
    AutoOffsetReset,
    ClientValue,
    GroupProtocol,
    IsolationLevel,
    TraceParent,
    check,
)
from humus.queue.kafka._retry import FailurePolicy, Retry, dead_letter, halt, shut_down, skip
from humus.queue.kafka._security import SASL, TLS, Mechanism
from humus.queue.kafka._subscription import Subscription, at_least_once, at_most_once, letters_fault, topic_fault

_Made = TypeVar("_Made")

__all__ = ["RuntimeArguments", "Settings", "TopicSettings", "runtime_arguments"]


def _under_its_key(make: Callable[[], _Made], value: object) -> _Made:
    """Return what `make` makes; each fault of its `ConfigError` becomes an error under the key being validated."""
    try:
        return make()
    except ConfigError as error:
        errors = [
            InitErrorDetails(type=PydanticCustomError("humus", "{fault}", {"fault": fault}), input=value)
            for fault in error.faults
        ]
        raise ValidationError.from_exception_data("kafka", errors, hide_input=True) from None


@dataclass(frozen=True, slots=True)
class _Section:
    """An object of the runtime's own that a section of the file, shaped like `model`, describes."""

    kind: type
    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self._build,
            handler.generate_schema(self.model),
            # As text, which hides secrets: a dump of the settings must not show them.
            serialization=core_schema.to_string_ser_schema(),
        )

    def _build(self, value: object, validate: Callable[[object], BaseModel]) -> object:
        if isinstance(value, self.kind):
            return value
        section = validate(value)
        given = {name: _revealed(getattr(section, name)) for name in section.model_fields_set}
        return _under_its_key(lambda: self.kind(**given), value)


def _revealed(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TLSSection(_Model):
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: SecretStr | None = None
    verify: bool = True


class SASLSection(_Model):
    mechanism: Mechanism
    username: str | None = None
    password: SecretStr | None = None
    token_endpoint: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scope: str | None = None


class RetrySection(_Model):
    max_attempts: int | None = None
    initial: Duration = 0.1
    maximum: Duration = 30.0
    multiplier: float = 2.0
    jitter: float = 0.5


_POLICIES: Final[Mapping[str, Callable[[], FailurePolicy]]] = {"halt": halt, "skip": skip, "shut_down": shut_down}
_POLICY_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"enum": list(_POLICIES)},
        {
            "type": "object",
            "properties": {"dead_letter": {"type": "string"}},
            "required": ["dead_letter"],
            "additionalProperties": False,
        },
    ]
}


def _policy(value: object) -> FailurePolicy:
    return _under_its_key(lambda: _parse_policy(value), value)


def _parse_policy(value: object) -> FailurePolicy:
    if isinstance(value, FailurePolicy):
        return value
    if isinstance(value, str) and value in _POLICIES:
        return _POLICIES[value]()
    if isinstance(value, Mapping) and list(value) == ["dead_letter"] and isinstance(value["dead_letter"], str):
        policy = dead_letter(value["dead_letter"])
        fault = letters_fault(None, policy)
        if fault is not None:
            raise ConfigError(fault)
        return policy
    raise ConfigError(f"must be {', '.join(_POLICIES)} or {{dead_letter: TOPIC}}")


def _brokers(value: object) -> tuple[str, ...]:
    found: tuple[str, ...] = _under_its_key(lambda: check("brokers", value, {}), value)
    return found


class TopicSettings(_Model):
    """One entry of `topics`: a topic, when its records count as consumed, and what happens to a failed one."""

    name: str
    semantic: Literal["at-least-once", "at-most-once"]
    retry: Annotated[Retry, _Section(Retry, RetrySection)] = Field(default_factory=Retry)
    on_failure: Annotated[
        FailurePolicy,
        PlainValidator(_policy),
        PlainSerializer(str),
        WithJsonSchema(_POLICY_SCHEMA),
    ] = Field(default_factory=halt)

    @field_validator("name")
    @classmethod
    def _is_topic(cls, name: str) -> str:
        fault = topic_fault(name)
        if fault is not None:
            raise PydanticCustomError("humus", "{fault}", {"fault": fault})
        return name

    @model_validator(mode="after")
    def _fits_semantic(self) -> "TopicSettings":
        extra = sorted({"retry", "on_failure"} & self.model_fields_set)
        if self.semantic == "at-most-once" and extra:
            raise PydanticCustomError(
                "humus",
                "{keys} has no meaning with at-most-once, whose records are handled once: leave it out",
                {"keys": " and ".join(extra)},
            )
        fault = letters_fault(self.name, self.on_failure)
        if fault is not None:
            raise PydanticCustomError("humus", "on_failure: {fault}", {"fault": fault})
        return self

    def subscribe(self, processor: ProcessorLike[Message]) -> Subscription:
        """Return the subscription of this topic to a processor."""
        if self.semantic == "at-most-once":
            return at_most_once(self.name, processor)
        return at_least_once(self.name, processor, retry=self.retry, on_failure=self.on_failure)


class Settings(_Model):
    """The `kafka:` section. Times are in seconds and sizes in bytes once it is loaded; secrets are never shown."""

    brokers: Annotated[
        tuple[str, ...],
        PlainValidator(_brokers),
        PlainSerializer(list),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ]
    group_id: str
    topics: tuple[TopicSettings, ...] = ()
    # In the order of the table of options: a check sees the fields above its own.
    group_protocol: GroupProtocol = DEFAULTS["group_protocol"]
    session_timeout: Duration | None = DEFAULTS["session_timeout"]
    rebalance_timeout: Duration = DEFAULTS["rebalance_timeout"]
    drain_timeout: Duration | None = DEFAULTS["drain_timeout"]
    commit_interval: Duration = DEFAULTS["commit_interval"]
    handler_timeout: Duration | None = DEFAULTS["handler_timeout"]
    stall_timeout: Duration = DEFAULTS["stall_timeout"]
    fetch_max_bytes: Size = DEFAULTS["fetch_max_bytes"]
    buffer_max_bytes: Size = DEFAULTS["buffer_max_bytes"]
    max_concurrent_fetches: int | None = DEFAULTS["max_concurrent_fetches"]
    group_instance_id: str | None = DEFAULTS["group_instance_id"]
    client_id: str = DEFAULTS["client_id"]
    client_rack: str | None = DEFAULTS["client_rack"]
    auto_offset_reset: AutoOffsetReset = DEFAULTS["auto_offset_reset"]
    isolation_level: IsolationLevel = DEFAULTS["isolation_level"]
    trace_parent: TraceParent = DEFAULTS["trace_parent"]
    process_duration: bool = DEFAULTS["process_duration"]
    client_metrics: bool = DEFAULTS["client_metrics"]
    tls: Annotated[TLS, _Section(TLS, TLSSection)] | None = DEFAULTS["tls"]
    sasl: Annotated[SASL, _Section(SASL, SASLSection)] | None = DEFAULTS["sasl"]
    # `check` says what is wrong with a value better than four errors of a union.
    librdkafka: Annotated[dict[str, ClientValue], WrapValidator(lambda value, _: value)] = Field(
        default_factory=dict, repr=False
    )

    @field_validator("*")
    @classmethod
    def _is_sound(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name
        if name not in OPTION_NAMES or name == "brokers":
            return value
        return _under_its_key(lambda: check(name, value, info.data), value)

    @field_validator("topics")
    @classmethod
    def _differ(cls, topics: tuple[TopicSettings, ...]) -> tuple[TopicSettings, ...]:
        names = [topic.name for topic in topics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PydanticCustomError("humus", "{twice} is there more than once", {"twice": ", ".join(twice)})
        return topics


class RuntimeArguments(NamedTuple):
    """What the runtime's constructor is called with."""

    brokers: tuple[str, ...]
    group_id: str
    subscriptions: tuple[Subscription, ...]
    options: dict[str, Any]


def runtime_arguments(settings: Settings, processors: Mapping[str, ProcessorLike[Message]]) -> RuntimeArguments:
    """Return the constructor's arguments: the settings' topics, each with the processor of its name.

    Raises:
        ConfigError: a topic without a processor, a processor without a topic, a processor of the wrong shape; all at
            once.
    """
    topics = {topic.name: topic for topic in settings.topics}
    subscriptions = tuple(topic.subscribe(processors[name]) for name, topic in topics.items() if name in processors)
    faults = [
        *(f"topic {name!r} has no processor{_near(name, processors)}" for name in topics if name not in processors),
        *(f"processor {name!r} has no topic{_near(name, topics)}" for name in processors if name not in topics),
        *(fault for subscription in subscriptions for fault in subscription.faults),
    ]
    if faults:
        raise ConfigError(f"Runtime.from_settings: {fault}" for fault in faults)
    options = {name: getattr(settings, name) for name in DEFAULTS}
    return RuntimeArguments(settings.brokers, settings.group_id, subscriptions, options)


def _near(name: str, others: Iterable[str]) -> str:
    near = get_close_matches(str(name), [str(other) for other in others], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ": each topic of the settings needs a processor of its name"
