"""What the client says of itself: its statistics (librdkafka, STATISTICS.md), as far as metrics are made of them."""

import msgspec

__all__ = ["BrokerFigures", "ClientFigures", "read_statistics"]


class _Window(msgspec.Struct):
    """A rolling window, in microseconds."""

    avg: int = 0
    p99: int = 0


class BrokerFigures(msgspec.Struct):
    """One connection. Counts are since the client began; `rtt` is the time between a request and its answer."""

    nodename: str = ""
    nodeid: int = -1
    state: str = ""
    tx: int = 0
    txbytes: int = 0
    txerrs: int = 0
    rxbytes: int = 0
    rxerrs: int = 0
    req_timeouts: int = 0
    connects: int = 0
    disconnects: int = 0
    waitresp_cnt: int = 0
    rtt: _Window = msgspec.field(default_factory=_Window)


class _Partition(msgspec.Struct):
    fetchq_cnt: int = 0
    fetchq_size: int = 0


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Group(msgspec.Struct):
    state: str = ""
    join_state: str = ""
    rebalance_cnt: int = 0
    rebalance_age: int = 0
    assignment_size: int = 0


class ClientFigures(msgspec.Struct):
    """All of it, as of a moment ago; immutable by agreement."""

    brokers: dict[str, BrokerFigures] = {}
    topics: dict[str, _Topic] = {}
    cgrp: _Group = msgspec.field(default_factory=_Group)

    def nodes(self) -> list[BrokerFigures]:
        """Return the brokers of the cluster: not the addresses that the client began with, which have no number."""
        return [broker for broker in self.brokers.values() if broker.nodeid >= 0]

    def queued(self) -> tuple[int, int]:
        """Return records and bytes that wait in the client's queue."""
        partitions = [one for topic in self.topics.values() for one in topic.partitions.values()]
        return sum(one.fetchq_cnt for one in partitions), sum(one.fetchq_size for one in partitions)


_decode = msgspec.json.Decoder(ClientFigures).decode


def read_statistics(text: str) -> ClientFigures:
    """Read the client's statistics; what is not needed is skipped."""
    return _decode(text)
