"""Offsets: the examples that explain the rule. The rule itself is held by tests/property/test_offsets_model.py."""

import pytest

from humus.queue.kafka._offsets import Offsets


def test_nothing_is_safe_before_something_is_handled() -> None:
    """D10: receiving moves the end, not the watermark."""
    offsets = Offsets(5)
    offsets.received(9)
    assert (offsets.watermark, offsets.end, offsets.outstanding) == (5, 9, True)


def test_a_hole_holds_the_watermark_until_it_closes() -> None:
    """D10: what is handled above an unhandled record counts once the record is handled."""
    offsets = Offsets(0)
    offsets.received(10)
    offsets.handled(4, 6)
    offsets.handled(6, 10)
    offsets.handled(1, 4)
    assert offsets.watermark == 0
    offsets.handled(0, 1)
    assert (offsets.watermark, offsets.outstanding) == (10, False)


def test_a_lower_position_changes_nothing() -> None:
    """D10: the watermark never goes back."""
    offsets = Offsets(0)
    offsets.received(10)
    offsets.handled_below(7)
    offsets.handled_below(3)
    assert offsets.watermark == 7


def test_records_are_received_once() -> None:
    """D1: the end only grows."""
    offsets = Offsets(0)
    offsets.received(3)
    with pytest.raises(AssertionError, match="received already"):
        offsets.received(3)


@pytest.mark.parametrize(("first", "end"), [(0, 4), (2, 2), (3, 11), (8, 6)])
def test_only_what_was_received_and_not_handled_can_be_handled(first: int, end: int) -> None:
    """D10: a completion outside of what is outstanding is a defect of ours, and says so."""
    offsets = Offsets(0)
    offsets.received(10)
    offsets.handled_below(2)
    with pytest.raises(AssertionError, match="is not within"):
        offsets.handled(first, end)


def test_control_records_are_passed_only_with_nothing_outstanding() -> None:
    """D4 D10: the client's position is ahead of records that are not handled yet."""
    offsets = Offsets(0)
    offsets.received(3)
    with pytest.raises(AssertionError, match="outstanding"):
        offsets.skip_to(5)
    offsets.handled_below(3)
    offsets.skip_to(5)
    assert (offsets.watermark, offsets.end) == (5, 5)
    offsets.skip_to(4)
    assert offsets.watermark == 5
