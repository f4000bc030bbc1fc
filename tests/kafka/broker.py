"""One broker: a process that can be started, stopped, killed, frozen and started again."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.kafka import processes
from tests.kafka.distribution import HERE, Distribution, java
from tests.kafka.properties import PASSWORD, USER, Listener, Place, server_properties

__all__ = ["Broker", "BrokerDied"]

_STARTED = b"Kafka Server started"
_GAVE_UP = re.compile(rb"Fatal error during \w+ startup|Exiting Kafka due to fatal exception")
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)
"""No second compiler: a test's broker lives too short a life to gain from it, and it costs other processes."""
_START_WITHIN = 90.0
_STOP_WITHIN = 30.0
_TAIL = 15
_COMPLAINTS = 12
_COMPLAINT = re.compile(r" (ERROR|FATAL) |^(Caused by: )?[\w.]+(Exception|Error)\b")


class BrokerDied(Exception):  # noqa: N818 - reads as what happened
    """A broker did not come up; the message ends with what its log complains of."""


def jvm(distribution: Distribution, main: str, *arguments: str, heap_mb: int, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs one of Kafka's programs."""
    memory = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-Xshare:auto"]
    logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    return [java(), *memory, *options, logging, "-cp", distribution.classpath, main, *arguments]


class Broker:
    """One broker of a cluster, which is a controller as well. Made by `Cluster`."""

    def __init__(
        self,
        place: Place,
        places: Sequence[Place],
        distribution: Distribution,
        heap_mb: int,
        *,
        long: bool = False,
        listeners: Sequence[Listener] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.place = place
        self._options = (*options, *(() if long else _SHORT_LIVED))
        self.heap_mb = heap_mb
        self._distribution = distribution
        self._folder = processes.make_folder(f"humus-kafka-{place.node}-")
        self._config = self._folder / "server.properties"
        properties = server_properties(place, places, self._folder, distribution.keystore, listeners)
        self._config.write_text(properties, "utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._log_seen_from = 0

    @property
    def log_file(self) -> Path:
        """What the broker wrote, over all its starts."""
        return self._folder / "broker.log"

    @property
    def data(self) -> Path:
        """The folder of its logs: a folder a partition, `{topic}-{partition}`."""
        return self._folder / "data"

    @property
    def pid(self) -> int:
        """The process's number; only while it runs."""
        return self._running().pid

    def launch(self, cluster_id: str) -> None:
        """Format the storage where it is new, and start the process; `wait_started` tells when it serves."""
        assert self._process is None, "the broker runs already"
        if not (self._folder / "data").exists():
            self._format(cluster_id)
        with self.log_file.open("ab") as log:
            self._log_seen_from = log.seek(0, os.SEEK_END)
            self._process = processes.start(self._command("kafka.Kafka", str(self._config)), output=log)

    def wait_started(self) -> None:
        """Wait until the broker serves.

        Raises:
            BrokerDied: it ended, or is not up within 90 s.
        """
        process, deadline = self._running(), time.monotonic() + _START_WITHIN
        while _STARTED not in (log := self._log_since_launch()):
            if process.poll() is not None:
                raise BrokerDied(f"broker {self.place.node} ended with code {process.returncode}:\n{self.log_tail()}")
            if _GAVE_UP.search(log):  # it may hang for minutes on its way out
                raise BrokerDied(f"broker {self.place.node} gave up:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerDied(f"broker {self.place.node} not up after {_START_WITHIN:g} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in good order: leaders move away first, the log is closed."""
        process = self._running()
        process.terminate()
        try:
            process.wait(_STOP_WITHIN)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill with SIGKILL; what it has on disk stays for the next `launch`."""
        if self._process is not None:
            processes.end(self._process)
            self._process = None

    def freeze(self) -> None:
        """Halt the process where it stands (SIGSTOP): connections stay open, nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def discard(self) -> None:
        """Kill the process and remove its data."""
        self.kill()
        processes.remove_folder(self._folder)

    def log_tail(self) -> str:
        """Return the log's first complaints, which a long shutdown may follow, and its last lines."""
        lines = self._log_since_launch().decode("utf-8", "replace").splitlines()
        complaints = [line for line in lines if _COMPLAINT.search(line)]
        return "\n".join([*complaints[:_COMPLAINTS], "...", *lines[-_TAIL:], f"(all of it: {self.log_file})"])

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"broker {self.place.node} does not run"
        return self._process

    def _log_since_launch(self) -> bytes:
        with self.log_file.open("rb") as log:
            log.seek(self._log_seen_from)
            return log.read()

    def _command(self, main: str, *arguments: str) -> list[str]:
        return jvm(self._distribution, main, *arguments, heap_mb=self.heap_mb, options=self._options)

    def _format(self, cluster_id: str) -> None:
        user = f"[name={USER},password={PASSWORD}]"
        users = [option for size in (256, 512) for option in ("--add-scram", f"SCRAM-SHA-{size}={user}")]
        arguments = ("format", "-t", cluster_id, "-c", str(self._config), "--ignore-formatted", *users)
        command = self._command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerDied(f"formatting the storage of broker {self.place.node} failed:\n{done.stdout}{done.stderr}")
