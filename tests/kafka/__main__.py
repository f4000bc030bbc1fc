"""Keeps a Kafka running until Ctrl-C, to run tests on it again and again: `python -m tests.kafka [BROKERS]`."""

import signal
import sys

from tests.kafka.access import VARIABLE
from tests.kafka.cluster import Cluster
from tests.kafka.distribution import VERSION, KafkaUnavailable


def _main(size: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Cluster(size) as cluster:
            print(f"export {VARIABLE}={cluster.bootstrap}", flush=True)  # noqa: T201
            print(f"Apache Kafka {VERSION} runs until Ctrl-C", file=sys.stderr)  # noqa: T201
            signal.pause()
    except KeyboardInterrupt:
        pass
    except KafkaUnavailable as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    _main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
