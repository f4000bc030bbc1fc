"""Offsets against the obvious model: the list of what was received, and the set of what was handled."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from humus.queue.kafka._offsets import Offsets


@dataclass
class Model:
    """Every range that was received, in order, and which of them are handled."""

    start: int
    ranges: list[tuple[int, int]] = field(default_factory=list)
    done: set[tuple[int, int]] = field(default_factory=set)

    @property
    def safe(self) -> int:
        """The end of the unbroken run of handled ranges."""
        at = self.start
        for one in self.ranges:
            if one not in self.done:
                break
            at = one[1]
        return at


logs = st.tuples(st.integers(0, 1000), st.lists(st.integers(0, 5), min_size=1, max_size=40))
"""Where an epoch starts, and the gaps before each of its records."""


def ranges_of(start: int, gaps: list[int]) -> list[tuple[int, int]]:
    """Return what each record's completion covers: from the end of the record before, a gap included."""
    found, at = [], start
    for gap in gaps:
        found.append((at, at + gap + 1))
        at += gap + 1
    return found


@given(logs, st.data())
def test_the_watermark_is_the_end_of_the_unbroken_handled_run(log: tuple[int, list[int]], data: st.DataObject) -> None:
    """D10: in any order of receiving and handling, nothing unhandled is passed and nothing handled is left out."""
    model, offsets = Model(log[0]), Offsets(log[0])
    coming = ranges_of(*log)
    while coming or len(model.done) < len(model.ranges):
        pending = [one for one in model.ranges if one not in model.done]
        before = offsets.watermark
        if coming and (not pending or data.draw(st.booleans())):
            model.ranges.append(coming.pop(0))
            offsets.received(model.ranges[-1][1])
        else:
            one = data.draw(st.sampled_from(pending))
            model.done.add(one)
            offsets.handled(*one)
        assert offsets.watermark == model.safe
        assert offsets.watermark >= before
        assert offsets.outstanding == (len(model.done) < len(model.ranges))
    assert offsets.watermark == offsets.end


@given(logs, st.lists(st.integers(0, 300), max_size=20))
def test_handled_in_order_the_watermark_is_the_position(log: tuple[int, list[int]], positions: list[int]) -> None:
    """D10: the short way for records handled in order says the same, and never goes back."""
    offsets = Offsets(log[0])
    offsets.received(ranges_of(*log)[-1][1])
    highest = log[0]
    for position in positions:
        reached = min(log[0] + position, offsets.end)
        offsets.handled_below(reached)
        highest = max(highest, reached)
        assert offsets.watermark == highest


@given(logs, st.integers(-20, 400))
def test_the_clients_position_moves_only_forward(log: tuple[int, list[int]], position: int) -> None:
    """D4: with nothing outstanding the client's position counts, unless it is behind."""
    offsets = Offsets(log[0])
    end = ranges_of(*log)[-1][1]
    offsets.received(end)
    offsets.handled_below(end)
    offsets.skip_to(log[0] + position)
    assert offsets.watermark == offsets.end == max(end, log[0] + position)
