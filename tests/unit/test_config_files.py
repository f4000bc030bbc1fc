"""`${file:PATH}`: values out of files, which are mostly secrets."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from humus.config import Config, Size, load, yaml_source
from humus.errors import ConfigError

SECRET = "hunter2-very-secret"  # noqa: S105 - invented


class Database(BaseModel):
    """A section of the user's own."""

    password: SecretStr
    url: str = ""
    size: Size = 0
    retries: int = 0


class Mine(Config):
    """A configuration of the user's own."""

    database: Database


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, so that faults name `config.yaml` without a path."""
    monkeypatch.chdir(tmp_path)


def read(section: str) -> Database:
    """Load a configuration with this `database:` section in flow style."""
    Path("config.yaml").write_text(f"log: {{level: info}}\ndatabase: {section}\n", encoding="utf-8")
    return load(yaml_source("config.yaml"), Mine, {"NAME": "orders"}).database


def faults(section: str) -> list[str]:
    """Return the faults of such a configuration."""
    with pytest.raises(ConfigError) as caught:
        read(section)
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.value)
    return list(caught.value.faults)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_a_file_gives_its_text(quote: str, end: str) -> None:
    """The text of the file is the value, without the line end that an editor leaves behind; it is not shown."""
    Path("secret").write_bytes(f"{SECRET}{end}".encode())
    reference = "${file:secret}"
    found = read(f"\n  password: {quote}{reference}{quote}")
    assert found.password.get_secret_value() == SECRET
    assert SECRET not in repr(found)


@pytest.mark.parametrize("text", ["null", "true", "007", "1e3", "~", "${NAME}", "$$", " a: {b} #c ", "\ufeffpäss"])
def test_what_a_file_holds_is_text(text: str) -> None:
    """Nothing in a file is looked at again, or taken for anything but text where text is wanted."""
    Path("secret").write_text(text, encoding="utf-8")
    assert read("{password: '${file:secret}'}").password.get_secret_value() == text.removeprefix("\ufeff")
    assert read("\n  password: ${file:secret}").password.get_secret_value() == text.removeprefix("\ufeff")


def test_a_file_gives_a_number_where_one_is_wanted() -> None:
    """A number in a file is one for a key that wants a number."""
    Path("number").write_text("12\n")
    found = read("{password: a, retries: '${file:number}', size: '${file:number}'}")
    assert (found.retries, found.size) == (12, 12)


def test_files_and_variables_in_one_value() -> None:
    """A reference to a file stands anywhere in a value, beside others; its path is taken as it stands."""
    Path("a secret:-b").write_text(f"{SECRET}\n")
    absolute = Path("a secret:-b").absolute()
    found = read(f"{{password: a, url: 'kafka://${{NAME}}:${{file:{absolute}}}@$${{host}}'}}")
    assert found.url == f"kafka://orders:{SECRET}@${{host}}"


def test_a_linked_file() -> None:
    """A mounted secret is a link to a link, as in Kubernetes."""
    Path("..data").mkdir()
    Path("..data/secret").write_text(SECRET)
    Path("secret").symlink_to("..data/secret")
    assert read("{password: '${file:secret}'}").password.get_secret_value() == SECRET


def test_faults_say_what_is_wrong_with_the_file() -> None:
    """A file that gives no value is a fault with the line, the key and the path, and nothing of what is in it."""
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("empty").write_text("\n")
    Path("binary").write_bytes(b"\xff" + SECRET.encode())
    Path("cut").write_bytes(SECRET.encode() + b"\0more")
    Path("large").write_text(SECRET * 100_000)
    cases = {
        "gone": f"there is no file 'gone' (looked in {Path.cwd()})",
        "/no/such/secret": "there is no file '/no/such/secret'",
        "folder": "'folder' is no plain file",
        "pipe": "'pipe' is no plain file",
        "/dev/zero": "'/dev/zero' is no plain file",
        "empty": "the file 'empty' is empty",
        "binary": "the file 'binary' holds no text in UTF-8",
        "cut": "the file 'cut' holds no text in UTF-8",
        "large": "the file 'large' is larger than 1,048,576 bytes: is it the right one?",
        "empty/below": "the file 'empty/below' cannot be read: Not a directory",
    }
    for path, says in cases.items():
        assert faults(f"{{password: '${{file:{path}}}'}}") == [f"config.yaml:2: database.password: {says}"]


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of somebody else is a fault that says so."""

    def refuse(_path: str) -> bytes:
        raise PermissionError(13, "Permission denied")  # root, who may run this, would be let in

    monkeypatch.setattr("humus.config._files._read", refuse)
    assert faults("{password: '${file:secret}'}") == [
        "config.yaml:2: database.password: the file 'secret' may not be read by this user"
    ]


def test_a_fault_of_a_value_out_of_a_file_does_not_show_it() -> None:
    """What the model has against a value is said without the value."""
    Path("secret").write_text(SECRET)
    found = faults("{password: ['${file:secret}'], retries: '${file:secret}', size: '${file:secret}'}")
    assert len(found) == 3
