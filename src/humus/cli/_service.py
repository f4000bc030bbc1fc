"""The type of a service's configuration: its own `Config`, or, where nobody says which, one that takes any."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ConfigDict, create_model

from humus.config import Config
from humus.errors import ConfigError

if TYPE_CHECKING:
    from humus.queue.kafka import Settings

__all__ = ["AppOption", "any_service", "is_any_service", "kafka_sections", "service_of"]

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        "--model",
        "-a",
        metavar="APP",
        help="The service's code, for its own keys: app.py, app.py:Config or module:Config; it is imported. "
        "Without a name, what init takes.",
    ),
]


class _AnyService(Config):
    """Any service's configuration; keys of its own pass, whatever they are."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


def any_service(*, needs_kafka: bool = False) -> type[Config]:
    """Return the type for a service that is not known; its `kafka:` section may be left out unless it is needed."""
    from humus.queue.kafka import Settings  # noqa: PLC0415 - brings the client: not for `--help`

    kafka: Any = (Settings, ...) if needs_kafka else (Settings | None, None)
    return create_model("Service", __base__=_AnyService, __doc__=_AnyService.__doc__, kafka=kafka)


def is_any_service(model: type[Config]) -> bool:
    """Tell whether this type says nothing of the service's own keys."""
    return issubclass(model, _AnyService)


def kafka_sections(config: Config) -> "dict[str, Settings]":
    """Return the sections of a configuration that say how to reach Kafka, by key."""
    from humus.queue.kafka import Settings  # noqa: PLC0415

    values = {name: getattr(config, name) for name in type(config).model_fields}
    return {name: value for name, value in values.items() if isinstance(value, Settings)}


def service_of(app: str | None) -> type[Config]:
    """Return the type that `--app` names; without it, that for any service.

    Raises:
        ConfigError: it cannot be imported, or there is no `Config` in it.
    """
    if app is None:
        return any_service()
    place, colon, name = app.rpartition(":")
    if not colon:
        place, name = app, ""
    module = _load(place)
    if name:
        return _named(module, name, app)
    for name in ("init", "Config"):
        if hasattr(module, name):
            return _named(module, name, app)
    raise ConfigError(f"--app {app}: there is neither an init nor a Config in it: say {app}:NAME")


def _named(module: ModuleType, name: str, app: str) -> type[Config]:
    from humus.queue._init import config_type  # noqa: PLC0415

    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and issubclass(found, Config):
        return found
    if found is None or isinstance(found, type) or not callable(found):
        raise ConfigError(f"--app {app}: {name} is no class that is derived from humus.queue.Config, and no init")
    try:
        return config_type(found)
    except ConfigError as error:
        raise ConfigError(f"--app {app}: {fault}" for fault in error.faults) from None


def _load(place: str) -> ModuleType:
    """Import a file or a module as Python itself would: what stands beside a file can be imported by it."""
    path = Path(place)
    is_file = path.suffix == ".py"
    if is_file and not path.is_file():
        raise ConfigError(f"--app: there is no file {place} (looked in {path.absolute().parent})")
    sys.path.insert(0, str(path.absolute().parent if is_file else Path.cwd()))
    try:
        return _load_file(path) if is_file else importlib.import_module(place)
    except Exception as error:
        # The user's code: where it failed, and in what, is theirs to see.
        raise ConfigError(f"--app {place} cannot be imported: {type(error).__name__}: {error}") from error


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pydantic looks there for what annotations stand for
    spec.loader.exec_module(module)
    return module
