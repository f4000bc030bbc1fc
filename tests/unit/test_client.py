"""The client's translation of what happened in one call, without a broker."""

import pytest
from tests.pieces import tp_of

from humus.queue.kafka._client import Assigned, Event, Lost, Revoked, Statistics, _came_back

A, B = tp_of(0), tp_of(1)


@pytest.mark.parametrize(
    ("events", "back"),
    [
        ([], set()),
        ([Assigned([A, B])], set()),
        ([Lost([A, B]), Assigned([A])], {A}),
        ([Assigned([A, B]), Revoked([B])], set()),
        ([Assigned([A, B]), Lost([A, B])], set()),
        ([Assigned([A]), Lost([A]), Statistics("{}"), Assigned([A, B])], {A}),
        ([Lost([A, B]), Assigned([A, B]), Revoked([B])], {A}),
    ],
)
def test_only_what_came_again_is_fetched_afresh(events: list[Event], back: set[object]) -> None:
    """D40: a partition that came and left again within one call is another member's, and is not assigned again."""
    assert _came_back(events) == back
