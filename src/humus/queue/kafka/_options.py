"""The runtime's options: the default, the kind and the limits of each, in one table.

The runtime's constructor goes through the table with `validate`, which names all faults at once; the `kafka:` section
of the YAML file goes through it option by option with `check`, so that each fault has its line in the file.
The order of the table counts: a check sees the options above its own.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from humus.errors import ConfigError
from humus.queue.kafka._owned_keys import owner_of
from humus.queue.kafka._retry import seconds
from humus.queue.kafka._security import SASL, TLS, security_config
from humus.queue.kafka._subscription import Subscription

__all__ = [
    "DEFAULTS",
    "OPTION_NAMES",
    "AutoOffsetReset",
    "ClientValue",
    "GroupProtocol",
    "IsolationLevel",
    "Options",
    "TraceParent",
    "check",
    "validate",
]

GroupProtocol = Literal["classic", "consumer"]
AutoOffsetReset = Literal["earliest", "latest", "error"]
IsolationLevel = Literal["read_committed", "read_uncommitted"]
TraceParent = Literal["link", "parent"]
ClientValue = str | int | float | bool
"""What librdkafka takes as the value of a key."""

_CLASSIC_SESSION_TIMEOUT: Final = 45.0
_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_FETCH_MAX_LIMIT: Final = 2_147_483_135
"""The client's own limit of `fetch.max.bytes`."""


@dataclass(frozen=True, slots=True)
class Options:
    """Validated options: times in seconds, sizes in bytes, every default filled in.

    `session_timeout` is `None` under the consumer protocol, where it is the broker's.
    """

    brokers: str
    group_id: str
    subscriptions: tuple[Subscription, ...]
    group_protocol: GroupProtocol
    session_timeout: float | None
    rebalance_timeout: float
    drain_timeout: float
    commit_interval: float
    handler_timeout: float | None
    stall_timeout: float
    fetch_max_bytes: int
    buffer_max_bytes: int
    max_concurrent_fetches: int | None
    group_instance_id: str | None
    client_id: str
    client_rack: str | None
    auto_offset_reset: AutoOffsetReset
    isolation_level: IsolationLevel
    trace_parent: TraceParent
    process_duration: bool
    client_metrics: bool
    tls: TLS | None = None
    sasl: SASL | None = None
    librdkafka: Mapping[str, ClientValue] = field(default_factory=dict, repr=False)


def validate(brokers: object, group_id: object, subscriptions: Iterable[object], **options: object) -> Options:
    """Return the options as the runtime uses them; those not given have their defaults.

    Raises:
        ConfigError: every fault of every option and subscription, one line each.
        TypeError: there is no such option.
    """
    unknown = options.keys() - DEFAULTS.keys()
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    given: dict[str, object] = {"brokers": brokers, "group_id": group_id, **DEFAULTS, **options}
    topics = tuple(subscriptions)
    faults = _subscription_faults(topics)
    found: dict[str, Any] = {}
    for name in _CHECKS:
        try:
            found[name] = check(name, given[name], found)
        except ConfigError as error:
            faults += [f"{name}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    found["brokers"] = ",".join(found["brokers"])
    if found["session_timeout"] is None and found["group_protocol"] == "classic":
        found["session_timeout"] = _CLASSIC_SESSION_TIMEOUT
    if found["drain_timeout"] is None:
        found["drain_timeout"] = found["rebalance_timeout"] / 2
    return Options(subscriptions=cast("tuple[Subscription, ...]", topics), **found)


def check(name: str, value: object, above: Mapping[str, Any]) -> Any:
    """Return one option's value as the runtime uses it. `above` holds the options above it that are sound.

    Raises:
        ConfigError: what is wrong with it, one line a fault, without the option's name.
    """
    return _CHECKS[name](value, above)


_Check = Callable[[object, Mapping[str, Any]], Any]


def _subscription_faults(subscriptions: Sequence[object]) -> list[str]:
    if not subscriptions:
        return ["no topic to consume: give at least one at_least_once(topic, processor) or at_most_once(...)"]
    faults: list[str] = []
    seen: set[str] = set()
    twice: set[str] = set()
    for subscription in subscriptions:
        if not isinstance(subscription, Subscription):
            faults.append(f"a {type(subscription).__name__} is no subscription: make one with at_least_once(...)")
            continue
        faults += subscription.faults
        if isinstance(subscription.topic, str):
            (twice if subscription.topic in seen else seen).add(subscription.topic)
    faults += [f"topic {topic!r} is subscribed more than once: one processor a topic" for topic in sorted(twice)]
    return faults + _circles(
        {
            one.topic: one.on_failure.topic
            for one in subscriptions
            if isinstance(one, Subscription) and isinstance(one.topic, str)
        }
    )


def _circles(letters: Mapping[str, str | None]) -> list[str]:
    """Find dead letters that come back to where they came from; a topic that is its own is a fault already."""
    found: dict[frozenset[str], str] = {}
    for start in letters:
        way = [start]
        while (following := letters.get(way[-1])) is not None and following not in way:
            way.append(following)
        if following == start and len(way) > 1:
            text = f"dead letters go round in a circle: {' -> '.join([*way, start])}"
            found.setdefault(frozenset(way), text)
    return list(found.values())


# -- kinds of values -----------------------------------------------------------------------------------------------


def _time(*, least: float, most: float = math.inf, optional: bool = False) -> _Check:
    def checked(value: object, _above: Mapping[str, Any]) -> float | None:
        if value is None and optional:
            return None
        found = seconds(cast("float", value))
        if found < least or found <= 0:
            raise ConfigError(f"must be {f'at least {least:g} s' if least else 'above 0 s'}; it is {found:g} s")
        if found > most:
            raise ConfigError(f"must be at most {most:g} s; it is {found:g} s")
        return found

    return checked


def _whole(*, least: int, most: int | None = None, unit: str = "", optional: bool = False) -> _Check:
    def checked(value: object, _above: Mapping[str, Any]) -> int | None:
        if value is None and optional:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"must be a whole number{unit and ' of'}{unit}; it is {value!r}")
        if value < least:
            raise ConfigError(f"must be at least {least:,}{unit}; it is {value:,}{unit}")
        if most is not None and value > most:
            raise ConfigError(f"must be at most {most:,}{unit}; it is {value:,}{unit}")
        return value

    return checked


def _text(*, optional: bool = False) -> _Check:
    def checked(value: object, _above: Mapping[str, Any]) -> str | None:
        if value is None and optional:
            return None
        if not isinstance(value, str):
            raise ConfigError(f"must be a string; it is {_kind(value)}")
        if not value.strip():
            raise ConfigError("must not be empty")
        if "\0" in value:
            raise ConfigError("must not contain a NUL character")
        return value

    return checked


def _one_of(literal: Any) -> _Check:
    names: tuple[str, ...] = get_args(literal)

    def checked(value: object, _above: Mapping[str, Any]) -> str:
        if not isinstance(value, str) or value not in names:
            raise ConfigError(f"must be {' or '.join(repr(name) for name in names)}; it is {value!r}")
        return value

    return checked


def _instance(kind: type) -> _Check:
    def checked(value: object, _above: Mapping[str, Any]) -> Any:
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"must be a {kind.__name__}(...); it is {_kind(value)}")
        return value

    return checked


def _switch(value: object, _above: Mapping[str, Any]) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"must be true or false; it is {value!r}")
    return value


# -- options that look at more than their kind ---------------------------------------------------------------------

_BROKER: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/,\[\]]+)(?::(?P<port>[0-9]{1,5}))?")


def _brokers(value: object, _above: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(value, str):
        entries = value.split(",")
        if entries[-1].strip() == "":
            entries.pop()  # one comma too many at the end, as in a list put together by a script
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        entries = [part for item in value for part in (item.split(",") if isinstance(item, str) else [item])]
    else:
        raise ConfigError(f"must be 'host:port,host:port' or a list of 'host:port'; it is {_kind(value)}")
    if not entries:
        raise ConfigError("must not be empty: give at least one host:port")
    faults = [fault for entry in entries if (fault := _broker_fault(entry)) is not None]
    if faults:
        raise ConfigError(faults)
    return tuple(entry.strip() for entry in entries)


def _broker_fault(entry: object) -> str | None:
    if not isinstance(entry, str):
        return f"a broker must be a string host:port; one is {_kind(entry)}"
    if not entry.strip():
        return "one of the brokers is empty: give host:port"
    shown = repr(re.sub(r".*@", "***@", entry.strip()))  # a URL's user part is a secret
    if "://" in entry:
        return f"{shown} is no host:port: leave out what stands before '://'; use the options tls and sasl"
    found = _BROKER.fullmatch(entry.strip())
    if found is None or (found["port"] is not None and not 0 < int(found["port"]) < 65536):
        return f"{shown} is no host:port (port 1 to 65535; an IPv6 address in brackets)"
    return None


def _session_timeout(value: object, above: Mapping[str, Any]) -> float | None:
    if value is not None and above.get("group_protocol") == "consumer":
        raise ConfigError(
            "is the broker's with group_protocol='consumer' (group.consumer.session.timeout.ms there): leave it out"
        )
    return cast("float | None", _time(least=0.1, most=3600, optional=True)(value, above))


def _drain_timeout(value: object, above: Mapping[str, Any]) -> float | None:
    found = cast("float | None", _time(least=0, optional=True)(value, above))
    rebalance = above.get("rebalance_timeout")
    if found is not None and rebalance is not None and found >= rebalance:
        raise ConfigError(
            f"must be below rebalance_timeout ({rebalance:g} s), or partitions are given back too late; "
            f"it is {found:g} s"
        )
    return found


def _librdkafka(value: object, above: Mapping[str, Any]) -> dict[str, ClientValue]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"must be a mapping of librdkafka keys; it is {_kind(value)}")
    taken = security_config(above.get("tls"), above.get("sasl"))
    faults = []
    for key, setting in value.items():
        if not isinstance(key, str) or not key.strip():
            faults.append(f"a key must be a string that is not empty; one is {key!r}")
        elif (reason := owner_of(key, taken)) is not None:
            faults.append(f"the key {key!r} belongs to the runtime: {reason}")
        elif not isinstance(setting, ClientValue) or (isinstance(setting, float) and not math.isfinite(setting)):
            # Never the value: it may be a secret.
            faults.append(f"the value of {key!r} must be a string, a number or a boolean; it is {_kind(setting)}")
    if faults:
        raise ConfigError(faults)
    return dict(value)


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


# -- the table -----------------------------------------------------------------------------------------------------

_CHECKS: Final[Mapping[str, _Check]] = {
    "brokers": _brokers,
    "group_id": _text(),
    "group_protocol": _one_of(GroupProtocol),
    "session_timeout": _session_timeout,
    "rebalance_timeout": _time(least=0.1, most=86_400),
    "drain_timeout": _drain_timeout,
    "commit_interval": _time(least=0),
    "handler_timeout": _time(least=0, optional=True),
    "stall_timeout": _time(least=0.1),
    "fetch_max_bytes": _whole(least=_KIB, most=_FETCH_MAX_LIMIT, unit=" bytes"),
    "buffer_max_bytes": _whole(least=_MIB, unit=" bytes"),
    "max_concurrent_fetches": _whole(least=1, optional=True),
    "group_instance_id": _text(optional=True),
    "client_id": _text(),
    "client_rack": _text(optional=True),
    "auto_offset_reset": _one_of(AutoOffsetReset),
    "isolation_level": _one_of(IsolationLevel),
    "trace_parent": _one_of(TraceParent),
    "process_duration": _switch,
    "client_metrics": _switch,
    "tls": _instance(TLS),
    "sasl": _instance(SASL),
    "librdkafka": _librdkafka,
}

OPTION_NAMES: Final = tuple(_CHECKS)
"""All options, `brokers` and `group_id` included, in the order of their checks."""

# What the signature of `Runtime` says, too.
DEFAULTS: Final[Mapping[str, Any]] = {
    "group_protocol": "classic",
    "session_timeout": None,
    "rebalance_timeout": 30.0,
    "drain_timeout": None,
    "commit_interval": 1.0,
    "handler_timeout": None,
    "stall_timeout": 60.0,
    "fetch_max_bytes": 50 * _MIB,
    "buffer_max_bytes": 64 * _MIB,
    "max_concurrent_fetches": None,
    "group_instance_id": None,
    "client_id": "humus",
    "client_rack": None,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "trace_parent": "link",
    "process_duration": True,
    "client_metrics": False,
    "tls": None,
    "sasl": None,
    "librdkafka": None,
}
