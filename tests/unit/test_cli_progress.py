"""What a replay's group remembers of a partition."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humus.cli._progress import METADATA_LIMIT, BadMetadata, Progress

stretches = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda each: (each[0], sum(each))), max_size=9
)


@given(st.integers(0, 20), st.lists(stretches, max_size=4))
def test_it_is_the_set_of_what_was_added(below: int, added: list[list[tuple[int, int]]]) -> None:
    """In any order and with any overlap, an offset is in it if below or in a stretch; the form is the least."""
    progress, model = Progress(below), set(range(below))
    for each in added:
        progress = progress.plus(each)
        model |= {offset for start, end in each for offset in range(start, end)}
    assert {offset for offset in range(80) if offset in progress} == model
    edges = [progress.below, *(edge for stretch in progress.above for edge in stretch)]
    assert edges == sorted(set(edges))
    assert progress.below not in progress


@given(st.integers(0, 2**40), stretches)
def test_what_is_committed_is_read_again(below: int, added: list[tuple[int, int]]) -> None:
    """The offset and its metadata hold all of it."""
    progress = Progress(below).plus((below + start, below + end) for start, end in added)
    assert Progress.read(progress.below, progress.metadata()) == progress


def test_nothing_above_needs_no_metadata() -> None:
    """The usual case, all in order, is a plain committed offset."""
    assert Progress(7).metadata() == ""
    assert Progress.read(7, None) == Progress(7)


@pytest.mark.parametrize(
    "metadata", ["hello", "humus-replay:2:", "humus-replay:1:", "humus-replay:1:AAAA", "humus-replay:1:ü"]
)
def test_what_no_replay_wrote_is_refused(metadata: str) -> None:
    """A group that holds something else is not taken for a replay's."""
    with pytest.raises(BadMetadata):
        Progress.read(0, metadata)


@given(st.binary(max_size=12))
def test_damaged_metadata_never_looks_like_progress(garbage: bytes) -> None:
    """Cut anywhere, it is refused and not read as less."""
    whole = Progress(0).plus([(5, 9), (20, 21), (300, 4000)]).metadata()
    for end in range(len("humus-replay:1:"), len(whole)):
        with pytest.raises(BadMetadata):
            Progress.read(0, whole[:end])
    with pytest.raises(BadMetadata):
        Progress.read(0, "humus-replay:1:" + garbage.hex())


@pytest.mark.parametrize(("share", "letters"), [(0.5, 20_000), (0.02, 120_000), (0.98, 120_000)])
def test_how_much_fits(share: float, letters: int) -> None:
    """As many letters as the documentation says fit, chosen by chance; and what does not is known before."""
    luck = random.Random(7)  # noqa: S311 - no secret
    chosen = [offset for offset in range(1, letters) if luck.random() < share]
    progress = Progress(0).plus((offset, offset + 1) for offset in chosen)
    assert progress.fits
    assert len(progress.metadata()) <= METADATA_LIMIT
    many = [luck.randrange(10**9) for _ in range(3_000)]
    assert not Progress(0).plus((offset, offset + 1) for offset in many).fits
