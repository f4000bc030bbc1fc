"""Foreign bytes on a terminal."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from humus.cli._render import as_json, as_text, printable, table


@given(st.text())
def test_nothing_foreign_moves_the_cursor(text: str) -> None:
    """Control characters become visible; lines are kept only where they are asked for."""
    assert printable(text).isprintable()
    assert set(printable(text, lines=True)) - {"\n", "\t"} <= set(filter(str.isprintable, printable(text, lines=True)))


@given(st.none() | st.binary(max_size=40), st.integers(0, 50))
def test_bytes_are_text_or_hex_and_within_bounds(data: bytes | None, limit: int) -> None:
    """Whatever the bytes are, what is shown of them is printable, cut to size, and says what was cut."""
    shown, told = as_text(data, limit), as_json(data, limit)
    assert shown.isprintable()
    if data is None:
        assert (shown, told) == ("(none)", None)
        return
    assert told is not None
    assert told["bytes"] == len(data)
    assert told["cut"] == (len(data) > limit) == ("bytes more)" in shown)
    body = told["text"].encode() if "text" in told else bytes.fromhex(told["hex"])
    assert data.startswith(body)
    assert len(body) <= limit
    assert len(data[:limit]) - len(body) <= 3  # a character that was cut in two


def test_a_cut_within_a_character_keeps_the_text() -> None:
    """A limit in the middle of a character does not turn a text into hex digits."""
    assert as_text("aä".encode(), 2) == "a... (1 bytes more)"
    assert as_text(b"\xff\x00", 9) == "0xff00"
    assert as_text(b"a\x1b[2J\n", 9, lines=True) == "a\\x1b[2J\n"


def test_a_table_takes_no_markup_and_no_escapes() -> None:
    """Square brackets in a foreign text stay, and escapes are shown."""
    stream = io.StringIO()
    Console(file=stream, width=80, markup=True).print(table(("A", "B"), [("[red]x\x1b[0m", 1), (None, 22)]))
    assert stream.getvalue().splitlines()[1].split() == ["[red]x\\x1b[0m", "1"]
    assert stream.getvalue().splitlines()[2].split() == ["-", "22"]
