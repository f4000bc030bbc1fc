"""Brings Apache Kafka's jars and a certificate for its TLS listener, once a user and version.

`python -m tests.kafka.distribution` does it ahead of the tests, so that no test pays for the download.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KEYSTORE_PASSWORD", "VERSION", "Distribution", "KafkaUnavailable", "distribution", "java"]

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
_JAVA_AT_LEAST = 17
_LAYOUT = b"1"
"""To be changed with what else than the jars is made here (the certificate), so that caches are made afresh."""
KEYSTORE_PASSWORD = "of-no-worth"  # noqa: S105 - protects a key made for this machine's tests alone
_OTHERWISE = "or set HUMUS_TEST_KAFKA=host:port,... to run the tests on a broker that you have (see CONTRIBUTING.md)"


def _version() -> str:
    found = re.search(r"<kafka\.version>([^<]+)<", POM.read_text("utf-8"))
    assert found, f"{POM} names no kafka.version"
    return found[1]


VERSION = _version()


class KafkaUnavailable(Exception):  # noqa: N818 - reads as what happened
    """No Kafka can be started here; the message says what to install or to set."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where the jars and the TLS listener's certificate are."""

    folder: Path

    @property
    def classpath(self) -> str:
        """The class path for every Kafka program, broker and tools alike."""
        return f"{self.folder / 'jars'}/*"

    @property
    def keystore(self) -> Path:
        """The broker's key and certificate, PKCS 12."""
        return self.folder / "broker.p12"

    @property
    def ca_file(self) -> Path:
        """The certificate that a client has to trust, PEM."""
        return self.folder / "ca.pem"


def java() -> str:
    """Return the path of a Java that can run Kafka.

    Raises:
        KafkaUnavailable: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    where = f"in JAVA_HOME={home}" if home else "on PATH"
    if found is None:
        raise KafkaUnavailable(f"no java {where}: install a Java of at least {_JAVA_AT_LEAST}, {_OTHERWISE}")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    number = re.search(r'version "(?:1\.)?(\d+)', said)
    if number is None or int(number[1]) < _JAVA_AT_LEAST:
        first_line = next(iter(said.splitlines()), "it says nothing")
        raise KafkaUnavailable(
            f"Kafka {VERSION} needs Java {_JAVA_AT_LEAST} or later, {found} is: {first_line}; install one, {_OTHERWISE}"
        )
    return found


def distribution() -> Distribution:
    """Return the distribution, bringing it first where this user has none of this version.

    Several test runs may ask at once: one brings it, the others wait.

    Raises:
        KafkaUnavailable: Java or Maven is missing, or the download failed.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humus-tests"
    key = hashlib.sha256(POM.read_bytes() + _LAYOUT).hexdigest()[:12]
    target = cache / f"kafka-{VERSION}-{key}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / "lock"):
            if not target.is_dir():
                _bring(target)
    return Distribution(target)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bring(target: Path) -> None:
    java_path, maven = java(), shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable(f"no mvn on PATH, which fetches Kafka {VERSION}: install Maven, {_OTHERWISE}")
    print(f"fetching Apache Kafka {VERSION} (54 MB, once) ...", file=sys.stderr, flush=True)  # noqa: T201
    unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unfinished-"))
    try:
        _fetch_jars(maven, unfinished)
        _make_certificate(java_path, Distribution(unfinished))
        unfinished.rename(target)  # whole or not at all
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch_jars(maven: str, folder: Path) -> None:
    # Maven leaves a `target` folder beside the POM that it is given: give it a copy.
    pom = shutil.copy(POM, folder)
    jars = f"-DoutputDirectory={folder / 'jars'}"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", jars]
    _run([maven, "-q", "-B", "-C", "-f", str(pom), *goal], f"fetching Kafka {VERSION} with Maven")


def _make_certificate(java_path: str, made: Distribution) -> None:
    # The same program as `keytool`, which not every package of Java puts on PATH.
    keytool = [java_path, "-m", "java.base/sun.security.tools.keytool.Main"]
    store = ["-keystore", str(made.keystore), "-storepass", KEYSTORE_PASSWORD, "-alias", "broker"]
    key = ["-genkeypair", "-keyalg", "RSA", "-validity", "3650", "-storetype", "PKCS12", "-dname", "CN=localhost"]
    _run([*keytool, *key, "-ext", "SAN=dns:localhost,ip:127.0.0.1", *store], "making the broker's certificate")
    _run([*keytool, "-exportcert", "-rfc", "-file", str(made.ca_file), *store], "exporting the broker's certificate")


def _run(command: list[str], doing: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KafkaUnavailable(f"{doing} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        java()
        distribution()
    except KafkaUnavailable as error:
        sys.exit(f"error: {error}")
