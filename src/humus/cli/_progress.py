"""Which letters of a partition are replayed: an offset below which all are, and stretches above it. Pure.

A replay may choose among letters, so one number a partition cannot say how far it came. The committed offset of the
replay's group is the first letter that is not replayed yet, and what is replayed above it stands in the commit's
metadata, a text of at most 4 KB. So one group holds the progress of all replays of a topic, whatever they chose: what
was passed over is still there for a later one, and what was replayed never goes out again.

The text is `humus-replay:1:` and base 85 of zlib of varints, which are lengths by turns: not replayed, replayed, not
replayed, ... from the committed offset on. In the worst case, every second letter chosen by chance, about 20,000
letters fit.
"""

import base64
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["METADATA_LIMIT", "BadMetadata", "Progress"]

METADATA_LIMIT: Final = 4096
"""Bytes of metadata that a broker takes with a committed offset, unless `offset.metadata.max.bytes` says otherwise."""
_MARK: Final = "humus-replay:1:"
_UNPACKED_LIMIT: Final = 1 << 20
_VARINT_LIMIT: Final = 63

Stretch = tuple[int, int]
"""Offsets from the first to before the second."""


class BadMetadata(ValueError):  # noqa: N818 - reads as what is there
    """A committed offset has metadata that no replay wrote."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Replayed is all `below`, and the stretches `above`: in order, apart from one another and from `below`."""

    below: int
    above: tuple[Stretch, ...] = ()

    def __contains__(self, offset: int) -> bool:
        if offset < self.below:
            return True
        low, high = 0, len(self.above)
        while low < high:
            middle = (low + high) // 2
            if self.above[middle][1] <= offset:
                low = middle + 1
            else:
                high = middle
        return low < len(self.above) and self.above[low][0] <= offset

    def plus(self, stretches: Iterable[Stretch]) -> "Progress":
        """Return the progress with more stretches replayed; they may touch and overlap."""
        below = self.below
        merged: list[Stretch] = []
        for start, end in sorted([*self.above, *stretches]):
            if start >= end:
                continue
            if start <= below and not merged:
                below = max(below, end)
            elif merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return Progress(below, tuple(merged))

    def metadata(self) -> str:
        """Return the text that is committed beside `below`; empty where there is nothing above it."""
        return _packed(self._lengths()) if self.above else ""

    @property
    def fits(self) -> bool:
        """Whether a broker takes the metadata."""
        lengths = self._lengths()
        return len(lengths) <= _UNPACKED_LIMIT and len(_packed(lengths)) <= METADATA_LIMIT

    def _lengths(self) -> bytes:
        lengths = bytearray()
        at = self.below
        for start, end in self.above:
            for length in (start - at, end - start):
                _put(lengths, length)
            at = end
        return bytes(lengths)

    @classmethod
    def read(cls, committed: int, metadata: str | None) -> "Progress":
        """Read what a replay committed.

        Raises:
            BadMetadata: no replay did.
        """
        if not metadata:
            return cls(committed)
        if not metadata.startswith(_MARK):
            raise BadMetadata("the metadata of its committed offset is none of a replay's")
        try:
            return cls(committed, tuple(_stretches(committed, _unpacked(metadata.removeprefix(_MARK)))))
        except (ValueError, zlib.error):
            raise BadMetadata("the metadata of its committed offset is damaged") from None


def _packed(lengths: bytes) -> str:
    # Lengths by chance are best left to Huffman alone, those with a pattern to the whole of zlib.
    packed = min((_compressed(lengths, each) for each in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)), key=len)
    return _MARK + base64.b85encode(packed).decode("ascii")


def _compressed(data: bytes, strategy: int) -> bytes:
    packer = zlib.compressobj(9, strategy=strategy)
    return packer.compress(data) + packer.flush()


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    lengths = unpacker.decompress(base64.b85decode(text), _UNPACKED_LIMIT)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError
    return lengths


def _stretches(at: int, lengths: bytes) -> Iterator[Stretch]:
    numbers = list(_take(lengths))
    if len(numbers) % 2 or 0 in numbers:
        raise ValueError
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        yield at + gap, at + gap + length
        at += gap + length


def _put(into: bytearray, number: int) -> None:
    while number > 0x7F:
        into.append(number & 0x7F | 0x80)
        number >>= 7
    into.append(number)


def _take(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift >= _VARINT_LIMIT:
                raise ValueError
            continue
        yield number
        number = shift = 0
    if shift:
        raise ValueError
