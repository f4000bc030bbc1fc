"""What the documentation shows is run: its service, its configuration, its other code, its links."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from humus.testing import kafka_broker

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>python|yaml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_IN_TIME = 60.0


@dataclass(frozen=True)
class Block:
    """A code block of a page; `file` is the name that the page gives it, if it is a file of an example."""

    page: Path
    line: int
    language: str
    file: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Find the Python and YAML blocks of all pages."""
    for page in PAGES:
        text = page.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("text")) + 1
            yield Block(page, line, found["language"], found["file"], found["text"])


BLOCKS = list(blocks())


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and not b.file], ids=str)
def test_a_block_of_code_runs(block: Block, tmp_path: Path) -> None:
    """Each Python block that is no file of an example runs, alone or by pytest, without an error or a warning."""
    script = tmp_path / "block.py"
    script.write_text(block.text)
    by_pytest = ["-m", "pytest", "-p", "no:asyncio"] if re.search(r"^def test_", block.text, re.MULTILINE) else []
    done = subprocess.run(  # noqa: S603 - the page's own code
        [sys.executable, "-W", "error", *by_pytest, str(script)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_IN_TIME,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_a_block_of_yaml_parses(block: Block) -> None:
    """Each YAML block is YAML."""
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository names one that exists."""
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_readme_service_works(tmp_path: Path) -> None:
    """The README's service with the README's configuration handles its records, and on SIGTERM commits and exits 0."""
    for block in BLOCKS:
        if block.page.name == "README.md" and block.file:
            (tmp_path / block.file).write_text(block.text)
    with kafka_broker(topics={"orders": 2}) as broker:
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        for number in range(5):
            producer.produce("orders", b'{"order_id": "%d", "amount": 2.5}' % number, partition=number % 2)
        producer.produce("orders", b"no order", partition=0)
        assert producer.flush(10) == 0
        lines, code, log = run_service(tmp_path, broker.brokers, number_of_lines=5)
        committed = committed_offsets(broker.brokers)

    assert code == 0, log
    assert sorted(lines) == [f"booked {number}: 2.50" for number in range(5)]
    assert committed == [4, 2], "the record that is no order is skipped after its retries, and committed"


def run_service(folder: Path, brokers: str, number_of_lines: int) -> tuple[list[str], int, str]:
    """Run service.py until it has printed that many lines and has given up its bad record, then stop it."""
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "service.py"],
            cwd=folder,
            env={**os.environ, "KAFKA_BROKERS": brokers},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    lines: list[str] = []
    assert service.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(map(str.rstrip, service.stdout or ())), daemon=True)
    reader.start()
    deadline = time.monotonic() + _IN_TIME
    try:
        while (len(lines) < number_of_lines or committed_offsets(brokers) != [4, 2]) and service.poll() is None:
            assert time.monotonic() < deadline, (lines, (folder / "log").read_text())
            time.sleep(0.1)
        service.send_signal(signal.SIGTERM)
        code = service.wait(_IN_TIME)
    finally:
        service.kill()
        service.wait()
        reader.join()
        service.stdout.close()
    return lines, code, (folder / "log").read_text()


def committed_offsets(brokers: str) -> list[int]:
    """Ask the broker for the committed offsets of the README's group."""
    asking = Consumer({"bootstrap.servers": brokers, "group.id": "order-service", "log_level": 0})
    try:
        return [place.offset for place in asking.committed([TopicPartition("orders", n) for n in (0, 1)], 5)]
    finally:
        asking.close()
