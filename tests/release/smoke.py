"""Tries an installed humus as somebody would who has just installed it. A script: nothing of this repository is there.

`python smoke.py bare README VERSION FOLDER`; with all extras and pytest `full` in place of `bare`.
Says what is wrong, and exits with 1.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import distribution
from pathlib import Path

WITHIN = 60.0
ORDERS = {n: f'{{"order_id": "{n}", "amount": 2.5}}' for n in range(5)}


def main(what: str, readme: Path, version: str, folder: Path) -> None:
    """Try it."""
    os.chdir(folder)
    versions(version)
    if what == "bare":
        the_command_says_what_it_needs()
        quick_start(readme)
    else:
        entry_points()
        a_new_service()


def versions(version: str) -> None:
    """The version is the same wherever one asks, and what is imported is what was installed."""
    import humus  # noqa: PLC0415
    from humus.queue import kafka  # noqa: F401, PLC0415

    package = Path(humus.__file__).parent
    expect(humus.__version__, version)
    expect(distribution("humus-queue").version, version)
    expect(package.parent, Path(str(distribution("humus-queue").locate_file(""))))
    expect((package / "py.typed").is_file(), True)


def the_command_says_what_it_needs() -> None:
    """Without its extra the command line names it."""
    done = run(str(command()), "--version")
    expect((done.returncode, "pip install 'humus-queue[cli]'" in done.stderr), (1, True))


def quick_start(readme: Path) -> None:
    """README's service handles what the embedded broker has, stops at SIGTERM with 0, and has committed all of it."""
    from humus.testing import kafka_broker  # noqa: PLC0415

    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL)
    expect([name for name, _ in files], ["service.py", "config.yaml"])
    for name, text in files:
        Path(name).write_text(text)
    with kafka_broker(topics={"orders": 1}) as broker:
        broker.produce("orders", *ORDERS.values(), "no order")
        service = subprocess.Popen(
            [sys.executable, "-W", "error", "service.py"],
            env={**os.environ, "KAFKA_BROKERS": broker.brokers},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said: list[str] = []
        listening = threading.Thread(target=lambda: said.extend(service.communicate()), daemon=True)
        listening.start()
        deadline = time.monotonic() + WITHIN
        while service.poll() is None and time.monotonic() < deadline and len(broker.records("orders.dlt")) < 1:
            time.sleep(0.1)
        service.send_signal(signal.SIGTERM)
        listening.join(WITHIN)
        service.kill()
        expect((service.returncode, said[0].splitlines()), (0, [f"booked {n}: 2.50" for n in ORDERS]), *said[1:])
        expect(broker.committed("order-service", "orders"), {0: 6})


def entry_points() -> None:
    """The command and the pytest plugin are there."""
    found = {(one.group, one.name) for one in distribution("humus-queue").entry_points}
    expect(found, {("console_scripts", "humus"), ("pytest11", "humus")})
    done = run(str(command()), "--version")
    expect((done.returncode, done.stdout), (0, f"humus {distribution('humus-queue').version}\n"), done.stderr)


def a_new_service() -> None:
    """`humus new` has its templates with it, and the service that it makes passes its own tests."""
    done = run(str(command()), "new", "smoke-service")
    expect(done.returncode, 0, done.stderr)
    done = run(sys.executable, "-W", "error", "-m", "pytest", "-q", folder=Path("smoke-service"))
    expect((done.returncode, "3 passed" in done.stdout), (0, True), done.stdout, done.stderr)


def command() -> Path:
    """Return where the command was installed."""
    return Path(sys.executable).with_name("humus")


def run(*words: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run something to its end."""
    return subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True, timeout=WITHIN)  # noqa: S603


def expect(found: object, wanted: object, *said: str) -> None:
    """Go on if they are the same."""
    if found != wanted:
        sys.exit("\n".join([f"found  {found!r}", f"wanted {wanted!r}", *said]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
