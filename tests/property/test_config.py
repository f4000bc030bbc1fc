"""Properties of substitution, durations and sizes."""

from decimal import Decimal

import yaml
from hypothesis import given
from hypothesis import strategies as st

from humus.config import parse_duration, parse_size
from humus.config._scalars import core_value
from humus.config._substitution import substitute
from humus.config._tree import Branch, Leaf
from humus.config._yaml import parse_yaml

# No surrogates: they stand for bytes of the environment that are no text.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_escaped_text_comes_back(text: str) -> None:
    """A text whose dollars are doubled is what it was, whatever is in the environment."""
    assert substitute(text.replace("$", "$$"), {}).text == text


@given(TEXT, TEXT, TEXT)
def test_value_is_put_in_as_it_is(before: str, value: str, after: str) -> None:
    """A variable's value is put in verbatim and not looked at again."""
    text = before.replace("$", "$$") + "${NAME}" + after.replace("$", "$$")
    assert substitute(text, {"NAME": value}).text == before + value + after


@given(TEXT)
def test_value_never_changes_the_structure(value: str) -> None:
    """Whatever a variable holds, the keys around it stay what they were, and it stays one scalar."""
    root, faults = parse_yaml("a: ${NAME}\nb: [x, '${NAME}']\nc: 1\n", "f", {"NAME": value})
    assert not faults
    assert isinstance(root, Branch)
    assert list(root.items) == ["a", "b", "c"]
    leaf = root.items["a"]
    assert isinstance(leaf, Leaf)
    assert leaf.other == value
    assert repr(leaf.value) == repr(core_value(value))  # nan is not equal to itself


@given(TEXT)
def test_arbitrary_text_is_a_tree_or_faults(text: str) -> None:
    """No text makes the reader fail in any other way than by a fault."""
    root, faults = parse_yaml(text, "f", {})
    assert root is not None or faults


_UNITS = {unit: Decimal(seconds) for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1), ("ms", "0.001"))}


@given(st.dictionaries(st.sampled_from(list(_UNITS)), st.decimals(0, 10**6, places=3), min_size=1))
def test_compact_durations(parts: dict[str, Decimal]) -> None:
    """A compact duration is the sum of its parts."""
    text = "".join(f"{parts[unit]}{unit}" for unit in _UNITS if unit in parts)
    assert parse_duration(text) == float(sum((number * _UNITS[unit] for unit, number in parts.items()), Decimal()))


@given(st.floats(0, allow_nan=False, allow_infinity=False))
def test_numbers_are_seconds(number: float) -> None:
    """Any finite number from zero on is that many seconds."""
    assert parse_duration(number) == number


@given(st.text(max_size=8))
def test_duration_or_refusal(text: str) -> None:
    """Any text is a duration from zero on, or refused."""
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert str(error).startswith("must be a duration")  # noqa: PT017 - either outcome is right


@given(st.integers(0, 2**40), st.sampled_from([("KiB", 1024), ("MB", 10**6), ("GiB", 2**30), ("", 1)]))
def test_sizes(number: int, unit: tuple[str, int]) -> None:
    """A size is its number times its unit."""
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)))
def test_plain_scalars_that_yaml_writes(value: object) -> None:
    """Constants and numbers that PyYAML writes are read as the same value."""
    written = yaml.safe_dump(value, width=2**20).removesuffix("...\n").removesuffix("\n")
    assert core_value(written) == value
