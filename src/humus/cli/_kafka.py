"""How commands reach Kafka: `--brokers`, or the `kafka:` section of a service's own configuration.

A command takes both options and makes the client's configuration of them::

    @group.command()
    def lag(group_id: str, brokers: Brokers = None, config: ConfigFiles = None) -> None:
        connection = connect(brokers, config)
        client = AdminClient({**connection.client, ...})
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humus.errors import ConfigError

if TYPE_CHECKING:
    from humus.queue.kafka import Settings

__all__ = ["Brokers", "ConfigFiles", "Connection", "connect"]

_PANEL = "Connection"

Brokers = Annotated[
    str | None,
    typer.Option(
        "--brokers",
        "-b",
        metavar="HOST:PORT,...",
        help="Where Kafka is. Wins over the configuration's brokers.",
        rich_help_panel=_PANEL,
    ),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A service's configuration: brokers, TLS and SASL come from its kafka: section. Several files merge.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the brokers.

    Attributes:
        brokers: `host:port`, separated by commas.
        client: librdkafka keys for a client of any kind, secrets included: never to be shown.
        settings: the `kafka:` section that they come from; `None` with `--brokers` alone.
    """

    brokers: str
    client: Mapping[str, Any] = field(repr=False)
    settings: "Settings | None" = None


def connect(brokers: str | None, config: list[Path] | None) -> Connection:
    """Return how to reach the brokers; nothing is connected yet.

    Raises:
        ConfigError: neither is given, or the configuration has faults.
    """
    from humus.queue.kafka._client_config import connection_config  # noqa: PLC0415 - not for `--help`
    from humus.queue.kafka._options import check  # noqa: PLC0415
    from humus.queue.kafka._security import security_config  # noqa: PLC0415

    given = None
    if brokers is not None:
        try:
            given = check("brokers", brokers, {})
        except ConfigError as error:
            raise ConfigError(f"--brokers: {fault}" for fault in error.faults) from None
    settings = _settings(config) if config else None
    if settings is None:
        if given is None:
            raise ConfigError("say where Kafka is: --brokers HOST:PORT, or --config with a service's configuration")
        return Connection(",".join(given), {"bootstrap.servers": ",".join(given), "client.id": "humus-cli"})
    found = ",".join(given or settings.brokers)
    client = {
        "bootstrap.servers": found,
        "client.id": settings.client_id,
        **security_config(settings.tls, settings.sasl),
        **connection_config(settings.librdkafka or {}),
    }
    return Connection(found, client, settings)


def _settings(files: list[Path]) -> "Settings":
    from humus.cli._service import any_service, kafka_sections  # noqa: PLC0415
    from humus.config import load, yaml_source  # noqa: PLC0415

    return kafka_sections(load(yaml_source(*files), any_service(needs_kafka=True)))["kafka"]
