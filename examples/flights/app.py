"""A service: departure delays of flights, added up by carrier and airport.

Reads the topic `flights` at least once, and writes the sums to `report` when it is stopped (SIGTERM or Ctrl-C).
They are kept in memory, which is enough to show; a service that may crash keeps them in a database, written so that
the same flight twice counts once.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from humus import queue
from humus.queue import kafka


class Flight(BaseModel):
    """What this service needs of a flight; times are null where it was cancelled."""

    carrier: str
    origin: str
    dep_time: int | None
    dep_delay: int | None


class Delays:
    """The processor. Sums by carrier and airport, delays in minutes."""

    def __init__(self) -> None:
        self.flights: dict[str, int] = {}
        self.minutes: dict[str, int] = {}

    async def process(self, msg: kafka.Message) -> None:
        """Add one flight to the sums."""
        flight = Flight.model_validate_json(msg.value or b"")
        if flight.dep_time is None or flight.dep_delay is None:
            raise kafka.Reject("it never departed")
        route = f"{flight.carrier} {flight.origin}"
        self.flights[route] = self.flights.get(route, 0) + 1
        self.minutes[route] = self.minutes.get(route, 0) + flight.dep_delay


class Config(queue.Config):
    """The file config.yaml."""

    kafka: kafka.Settings
    report: Path


def init(cfg: Config) -> Iterator[queue.App]:
    """Build the service; what follows the `yield` runs when it has stopped."""
    delays = Delays()
    yield queue.App(kafka.Runtime.from_settings(cfg.kafka, {"flights": delays}))
    cfg.report.write_text(json.dumps({"flights": delays.flights, "minutes": delays.minutes}))


if __name__ == "__main__":
    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
