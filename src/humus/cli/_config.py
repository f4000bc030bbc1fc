"""`humus config`: check a service's configuration, show it, describe it for editors."""

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humus.cli._commands import examples, group
from humus.cli._exit import ExitCode
from humus.cli._output import Json, note, out, print_json
from humus.cli._service import AppOption, kafka_sections, service_of
from humus.errors import ConfigError

if TYPE_CHECKING:
    from humus.config import Config

__all__ = ["commands"]

commands = group("Check, show and describe a service's configuration.")

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="One configuration; several files merge, later ones win.")
]


@commands.command(
    epilog=examples(
        ("humus config check config.yaml", "all faults at once, with their lines"),
        ("humus config check config.yaml --app app.py", "the service's own keys as well"),
        ("humus config check base.yaml production.yaml", "two files as one configuration"),
    )
)
def check(files: Files, app: AppOption = None, as_json: Json = False) -> None:
    """Check a configuration as the service would at its start, with this environment; connects to nobody.

    References ${NAME} and overrides HUMUS__SECTION__KEY count. Without --app the service's own keys are not looked at.
    """
    try:
        config = _load(files, app)
        _check_clients(config, files)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "faults": [" ".join(fault.split("\n")) for fault in error.faults]})
            raise typer.Exit(ExitCode.USAGE) from None
        raise
    unknown = _unknown(config)
    if as_json:
        print_json({"ok": True, "faults": [], "not_checked": unknown})
        return
    out(f"{', '.join(map(str, files))}: no faults")
    for key in unknown:
        close = difflib.get_close_matches(key, type(config).model_fields, n=1)
        note(f"not checked, as it is the service's own: {key}" + (f" (did you mean {close[0]}?)" if close else ""))
    if unknown:
        note("with --app app.py they are checked as well")


@commands.command(
    epilog=examples(
        ("humus config show config.yaml --app app.py", "every value that the service would run with"),
        ("HUMUS__KAFKA__GROUP_ID=x humus config show config.yaml", "an override at work"),
    )
)
def show(files: Files, app: AppOption = None, as_json: Json = False) -> None:
    """Show the effective configuration: files merged, references and overrides applied, defaults filled in.

    Secrets are masked: what is typed as pydantic's SecretStr, what comes out of a ${file:PATH}, and whatever looks like
    one. Times are in seconds, sizes in bytes. Without --app the service's own values are masked altogether.
    """
    from humus.cli._masked import masked, without  # noqa: PLC0415 - brings the client
    from humus.config import yaml_source  # noqa: PLC0415
    from humus.config._load import values_of_files  # noqa: PLC0415

    config = _load(files, app)
    shown = _own_first(without(masked(config), values_of_files(yaml_source(*files))))
    if as_json:
        print_json(shown)
    else:
        import yaml  # noqa: PLC0415

        out(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120).rstrip())
    if unknown := _unknown(config):
        note(f"the service's own values are masked: {', '.join(unknown)}; --app app.py shows what is no secret")


@commands.command(
    epilog=examples(
        ("humus config schema > config.schema.json", "for any service"),
        ("humus config schema --app app.py:Config", "with the service's own keys"),
    )
)
def schema(app: AppOption = None) -> None:
    """Print the JSON schema of the configuration file, for editors that complete and check it.

    Many find it by the file's first line: "# yaml-language-server: $schema=config.schema.json"
    """
    from humus.cli._schema import file_schema  # noqa: PLC0415

    out(json.dumps(file_schema(service_of(app)), indent=2))


def _load(files: list[Path], app: str | None) -> "Config":
    from humus.config import load, yaml_source  # noqa: PLC0415

    return load(yaml_source(*files), service_of(app))


def _check_clients(config: "Config", files: list[Path]) -> None:
    """Let the client look at its own keys and at certificates, as it does when a runtime is made.

    Raises:
        ConfigError: it refuses them.
    """
    from humus.queue.kafka._runtime import Runtime  # noqa: PLC0415 - brings the client
    from humus.queue.kafka._settings import TopicSettings  # noqa: PLC0415

    faults = []
    for key, settings in kafka_sections(config).items():
        # Where the topics are in the code, one stands in for them: without any there is no runtime.
        topics = settings.topics or (TopicSettings(name="topic", semantic="at-most-once"),)
        sound = settings.model_copy(update={"topics": topics})
        try:
            Runtime.from_settings(sound, {topic.name: _handle for topic in topics})
        except ConfigError as error:
            faults += [f"{files[-1]}: {key}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)


def _handle(_msg: Any) -> None:
    """Stand in for a processor: nothing is consumed."""


def _unknown(config: "Config") -> list[str]:
    return sorted(config.model_extra or {})


def _own_first(shown: dict[str, Any]) -> dict[str, Any]:
    from humus.config import Config  # noqa: PLC0415

    return {**{key: shown[key] for key in shown if key not in Config.model_fields}, **shown}
