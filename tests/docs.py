"""The pages of the documentation, and the code blocks in them."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    page for where in ("*.md", "docs/**/*.md", "examples/**/*.md", "deploy/*.md") for page in ROOT.glob(where)
)

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>file|other|title): (?P<of>[^>\n]+) -->\n(?P=indent))?"
    r"```(?P<language>[a-z]+)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    `file` is the name that the page gives it, if it is a file of an example; `other` is the library that it shows, if
    that is not ours and not installed here.
    """

    page: Path
    line: int
    language: str
    file: str | None
    other: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Find the blocks of all pages, those within tabs too."""
    for page in PAGES:
        text = page.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("text")) + 1
            file, other = (found["of"] if found["mark"] == mark else None for mark in ("file", "other"))
            yield Block(page, line, found["language"], file, other, textwrap.dedent(found["text"]))


BLOCKS = list(blocks())


def write_files(page: str, folder: Path) -> None:
    """Write the files that a page shows into a folder."""
    for block in BLOCKS:
        if block.page == ROOT / page and block.file:
            (folder / block.file).write_text(block.text)
