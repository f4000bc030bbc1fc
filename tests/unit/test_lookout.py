"""The lookout's own end: it never ends unheard."""

import queue

import pytest

from humus.queue.kafka import _lookout
from humus.queue.kafka._lookout import Blind, Lookout


def test_a_lookout_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """D72: without it nobody tells where partitions begin, so its end by an error ends the runtime, loudly."""

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("no memory for a thread")

    monkeypatch.setattr(_lookout, "AdminClient", broken)
    said: queue.SimpleQueue[object] = queue.SimpleQueue()
    lookout = Lookout({"group.id": "g"}, ["orders"], said.put)
    lookout.start()
    found = said.get(timeout=30)
    assert isinstance(found, Blind)
    assert str(found.error) == "no memory for a thread"
