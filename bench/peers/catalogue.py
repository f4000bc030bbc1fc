"""Which peers there are, each configured for at least once as its own documentation says, or as `what` says."""

from dataclasses import dataclass
from typing import Literal

from bench.peers import environments
from bench.work import Order

__all__ = ["PEERS", "Peer"]

Commits = Literal["what was handled", "ahead"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another runtime or client, and how it is used.

    `environment` is the stem of its requirements, or `go`; `commits` is what its commits promise: no offset beyond the
    records that were handled, or also one ahead of them.
    """

    how: str
    environment: str
    arguments: tuple[str, ...]
    commits: Commits = "what was handled"

    @property
    def what(self) -> str:
        """Its library, the version that is locked, and how it is used."""
        return f"{environments.version(self.environment)}, {self.how}"

    def prepare(self) -> list[str]:
        """Make what it needs, where it is not there yet, and return the command that runs it but for the order.

        Raises:
            NotAvailable: it can't be had here; says what is missing.
        """
        if self.environment == "go":
            return [str(environments.go_program()), *self.arguments]
        return [str(environments.python(self.environment)), "-m", *self.arguments]

    def command(self, prepared: list[str], order: Order) -> list[str]:
        """Return the whole command."""
        where = len(prepared) if self.environment == "go" else 3
        return [*prepared[:where], order.as_json(), *prepared[where:]]


PEERS: dict[str, Peer] = {
    "aiokafka": Peer("`async for`, commits each second", "aiokafka", ("bench.peers.aiokafka_peer", "one-by-one")),
    "aiokafka-getmany": Peer(
        "getmany(), a partition's batch committed when it was handled",
        "aiokafka",
        ("bench.peers.aiokafka_peer", "in-batches"),
    ),
    "quix": Peer("a function on a frame, commits each second", "quixstreams", ("bench.peers.quix_peer",)),
    "arroyo": Peer("RunTask and CommitOffsets, once a second", "arroyo", ("bench.peers.arroyo_peer",)),
    "faust": Peer("an agent over events, commits each second", "faust", ("bench.peers.faust_peer",)),
    "faststream": Peer(
        "on confluent-kafka, AckPolicy.NACK_ON_ERROR", "faststream", ("bench.peers.faststream_peer", "NACK_ON_ERROR")
    ),
    "faststream-ack-first": Peer(
        "on confluent-kafka, AckPolicy.ACK_FIRST, its default: at most once",
        "faststream",
        ("bench.peers.faststream_peer", "ACK_FIRST"),
        commits="ahead",
    ),
    "franz-go": Peer("Go, a goroutine a partition, commits each second", "go", ("marked",)),
    "franz-go-each": Peer("Go, a goroutine a partition, one synchronous commit a record", "go", ("each",)),
}
