"""The services that the documentation shows work, as somebody who follows it would run them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from tests.docs import write_files

from humus.testing import kafka_broker

_IN_TIME = 60.0


class Program:
    """A program of a page, its output line by line, and its log."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self.lines: list[str] = []
        self._log = log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(map(str.rstrip, self.process.stdout))

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text()

    def type(self, line: str) -> None:
        """Give it a line of input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Ctrl-D."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that the program brings about."""
        deadline = time.monotonic() + _IN_TIME
        while not happened():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, (self.lines, self.log)
            time.sleep(0.05)

    def stop(self) -> int:
        """Stop it as Ctrl-C and Kubernetes do; return the exit code, its output being complete."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_IN_TIME)
        self._reader.join()
        return code


@contextmanager
def running(folder: Path, program: str, brokers: str = "") -> Iterator[Program]:
    """Run a program of the folder; it is killed at the end, if it still runs."""
    log = folder / f"{program}.{time.monotonic_ns()}.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 - a program of the page
            [sys.executable, program],
            cwd=folder,
            env={**os.environ, "KAFKA_BROKERS": brokers},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        found = Program(process, log)
        try:
            yield found
        finally:
            process.kill()
            found._reader.join()  # noqa: SLF001 - before its pipe is closed


def test_the_readme_service_works(tmp_path: Path) -> None:
    """The README's service with the README's configuration handles its records, and on SIGTERM commits and exits 0."""
    write_files("README.md", tmp_path)
    with kafka_broker(topics={"orders": 2}) as broker:
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        for number in range(5):
            producer.produce("orders", b'{"order_id": "%d", "amount": 2.5}' % number, partition=number % 2)
        producer.produce("orders", b"no order", partition=0)
        assert producer.flush(10) == 0
        with running(tmp_path, "service.py", broker.brokers) as service:
            service.wait_until(lambda: len(service.lines) == 5 and committed_offsets(broker.brokers) == [4, 2])
            assert service.stop() == 0, service.log
        committed = committed_offsets(broker.brokers)

    assert sorted(service.lines) == [f"booked {number}: 2.50" for number in range(5)]
    assert committed == [4, 2], "the record that is no order is a dead letter after its retries, and committed"


def committed_offsets(brokers: str) -> list[int]:
    """Ask the broker for the committed offsets of the README's group."""
    asking = Consumer({"bootstrap.servers": brokers, "group.id": "order-service", "log_level": 0})
    try:
        return [place.offset for place in asking.committed([TopicPartition("orders", n) for n in (0, 1)], 5)]
    finally:
        asking.close()


def test_the_quick_start_works(tmp_path: Path) -> None:
    """Followed without a Kafka: what is typed is booked, what is no order set aside, and a restart repeats nothing."""
    write_files("docs/quick-start.md", tmp_path)
    with running(tmp_path, "broker.py") as broker:
        broker.wait_until(lambda: bool(broker.lines))
        brokers = broker.lines[0].removeprefix("export KAFKA_BROKERS=")
        with running(tmp_path, "service.py", brokers) as service:
            broker.type('{"order_id": "1", "amount": 9.5}')
            service.wait_until(lambda: service.lines == ["booked 1: 9.50"])
            broker.type("this is no order")
            service.wait_until(lambda: "attempt 3 failed, a dead letter goes to orders.dlt" in service.log)
            broker.type('{"order_id": "2", "amount": 1}')
            service.wait_until(lambda: service.lines[1:] == ["booked 2: 1.00"])
            assert service.stop() == 0, service.log
        with running(tmp_path, "service.py", brokers) as service:
            broker.type('{"order_id": "3", "amount": 1}')
            service.wait_until(lambda: bool(service.lines))
            assert service.stop() == 0, service.log
        assert service.lines == ["booked 3: 1.00"]
        broker.end_input()
        broker.process.wait(_IN_TIME)
    assert broker.lines[1:] == ["dead letter: b'this is no order'"]
