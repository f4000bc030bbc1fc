"""What is released: the same bytes from the same commit, with what belongs into it, under one version."""

import configparser
import re
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest

from humus import __version__
from tests.release import build as building
from tests.release.build import ROOT, BuildFailed, build, twice
from tests.release.pythons import find

INSIDE: Final = f"humus_queue-{__version__}.dist-info"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build both packages twice; return one of each by its kind."""
    folder = tmp_path_factory.mktemp("dist")
    found = {}
    for name, content in twice(folder / "build").items():
        (folder / name).write_bytes(content)
        found["wheel" if name.endswith(".whl") else "sdist"] = folder / name
    return found


def test_two_builds_are_the_same(packages: dict[str, Path]) -> None:
    """Under another umask, time zone and folder, and out of the sdist, the packages are the same byte for byte."""
    assert {kind: path.name for kind, path in packages.items()} == {
        "wheel": f"humus_queue-{__version__}-py3-none-any.whl",
        "sdist": f"humus_queue-{__version__}.tar.gz",
    }


def test_builds_that_differ_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of the build gets into the packages, `twice` says which differ."""
    times = iter(("1700000000", "1700000060", "1700000120"))
    monkeypatch.setattr(building, "commit_time", lambda: next(times))
    with pytest.raises(BuildFailed, match=r"not the same: humus_queue.*\.whl.*out of the sdist"):
        twice(tmp_path)


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    """A source that hatchling refuses is told with its words."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/pyproject.toml").write_text("[project]\n")
    with pytest.raises(BuildFailed, match="hatchling"):
        build(tmp_path / "build", source=tmp_path / "empty")


def test_the_wheel_has_what_the_source_has(packages: dict[str, Path]) -> None:
    """Every file of the package is in it, templates and `py.typed` too, and nothing but the package."""
    with zipfile.ZipFile(packages["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if not name.startswith(INSIDE)}
        points = configparser.ConfigParser()
        points.read_string(wheel.read(f"{INSIDE}/entry_points.txt").decode())
        about = Parser().parsestr(wheel.read(f"{INSIDE}/METADATA").decode())
        assert f"{INSIDE}/licenses/LICENSE" in wheel.namelist()
    tracked = building.git("ls-files", "src/humus").splitlines()
    assert names == {name.removeprefix("src/") for name in tracked}
    assert "humus/py.typed" in names
    assert dict(points["pytest11"]) == {"humus": "humus.testing.pytest_plugin"}
    assert dict(points["console_scripts"]) == {"humus": "humus.cli:main"}
    assert (about["Name"], about["Version"]) == ("humus-queue", __version__)


def test_the_sdist_has_what_a_build_needs(packages: dict[str, Path]) -> None:
    """Source, metadata, licence, changelog: no tests, which need a Kafka, and nothing of this machine."""
    with tarfile.open(packages["sdist"]) as sdist:
        top = {name.split("/")[1] for name in sdist.getnames()}
        owners = {(member.uid, member.gid, member.uname, member.gname) for member in sdist}
    pages = {"README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"}
    assert top == {"src", "pyproject.toml", "PKG-INFO", ".gitignore", *pages}
    assert owners == {(0, 0, "", "")}


def test_the_version_is_in_one_place() -> None:
    """The first section of the changelog is this version's, README names it, and versions go down from there."""
    sections = re.findall(
        r"^## \[(\d+)\.(\d+)\.(\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$", _read("CHANGELOG.md"), re.MULTILINE
    )
    versions = [tuple(map(int, numbers)) for *numbers, _ in sections]
    assert ".".join(map(str, versions[0])) == __version__
    assert versions == sorted(versions, reverse=True)
    assert [when for *_, when in sections[1:] if when == "unreleased"] == []
    assert len(sections) == _read("CHANGELOG.md").count("\n## ")
    assert set(re.findall(r"[Vv]ersion (\d+\.\d+\.\d+)", _read("README.md"))) <= {__version__}
    assert re.findall(r'^version = "', _read("pyproject.toml"), re.MULTILINE) == []


def test_a_python_that_is_not_there_is_not_found() -> None:
    """A version that nobody has is `None`, and so is a name that leads to another version."""
    assert find((3, 99)) is None


def _read(name: str) -> str:
    return (ROOT / name).read_text()
