"""What the documentation shows is run: its code, its configurations, its links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ConfigDict
from tests.docs import BLOCKS, PAGES, ROOT, Block

from humus.config import Config, load, yaml_source
from humus.queue import kafka

_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_REFERENCE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_IN_TIME = 60.0
_SECTIONS = {"kafka", "otel", "health", "log"}
_BASE = "kafka: {brokers: localhost, group_id: orders, topics: [{name: orders, semantic: at-least-once}]}"
_FILES = ("ca.pem", "client.pem", "client.key", "kafka-password")


class AnyConfig(Config):
    """A service's configuration, with whatever keys of its own."""

    model_config = ConfigDict(extra="allow")

    kafka: kafka.Settings


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and not b.file and not b.other], ids=str)
def test_a_block_of_code_runs(block: Block, tmp_path: Path) -> None:
    """Each Python block that is no file of an example runs, alone or by pytest, without an error or a warning."""
    script = tmp_path / "block.py"
    script.write_text(block.text)
    # Not as `__main__`: a block may show how a service is started.
    how = ["-c", "import runpy; runpy.run_path('block.py')"]
    if re.search(r"^def test_", block.text, re.MULTILINE):
        how = ["-m", "pytest", "-p", "no:asyncio", "block.py"]
    done = subprocess.run(  # noqa: S603 - the page's own code
        [sys.executable, "-W", "error", *how],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_IN_TIME,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and (b.file or b.other)], ids=str)
def test_code_that_is_not_run_here_is_python(block: Block) -> None:
    """Each Python block that shows another library, or a file that another test runs, is Python."""
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_a_block_of_yaml_is_a_configuration(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each YAML block that has a section of ours is one that a service would start with, where it says no more."""
    given = list(yaml.safe_load_all(block.text))
    assert all(given)
    if not _SECTIONS & given[0].keys():
        return
    (tmp_path / "base.yaml").write_text(_BASE)
    (tmp_path / "block.yaml").write_text(block.text.replace("/run/secrets/", ""))
    for name in _FILES:
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    load(yaml_source("base.yaml", "block.yaml"), AnyConfig, dict.fromkeys(_REFERENCE.findall(block.text), "x"))


def test_a_configuration_that_cannot_work_is_noticed(tmp_path: Path) -> None:
    """The test above can fail: a key that is misspelt, and a value that cannot be, are found."""
    page = Block(tmp_path / "page.md", 1, "yaml", None, None, "kafka: {session_timout: 45s}\nhealth: {port: 99999}\n")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError, match="session_timout") as caught:
        test_a_block_of_yaml_is_a_configuration(page, tmp_path, patch)
    assert "health.port" in str(caught.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository names one that exists."""
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing
