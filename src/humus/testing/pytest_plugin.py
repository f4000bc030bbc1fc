"""The pytest plugin, loaded by itself where humus is installed: fixtures for tests of services.

It knows nothing of asyncio plugins and needs none: `run_app` gives a coroutine, for `pytest-asyncio`, `anyio` or
`asyncio.run` to run. `-p no:humus` leaves it out. A fixture of yours with the same name takes its place.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from humus.testing import KafkaBroker, RunApp


@pytest.fixture(name="kafka_broker")
def _kafka_broker() -> "Iterator[KafkaBroker]":
    """Run an embedded Kafka broker for one test; `with humus.testing.kafka_broker(...)` has options."""
    from humus.testing import kafka_broker  # noqa: PLC0415 - nobody pays for Kafka who does not ask for it

    with kafka_broker() as broker:
        yield broker


@pytest.fixture(name="run_app")
def _run_app() -> "RunApp":
    """Run a service in the test's loop: `await run_app(init, config, until=...)`; see `humus.testing.run_app`."""
    from humus.testing import run_app  # noqa: PLC0415 - as above

    return run_app
