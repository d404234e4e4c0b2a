"""Walk the elements of a DICOM file without any DICOM library, in bounded time and memory.

Nothing is recursive and nothing is copied: an element is a place in the bytes. Libraries read
nested sequences by recursion, believe lengths and swallow what does not fit; this walk stops
at the first thing that is out of order. It ends with the top-level PixelData, so that bytes
after the image are never handed on.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from storage.intake.limits import Limits
from storage.intake.refusals import RefusedFileError

PIXEL_DATA: Final = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)


@dataclass(frozen=True, slots=True)
class Element:
    """Where one element's value lies; `fragments` are those of encapsulated pixel data."""

    tag: int
    vr: str
    start: int
    length: int
    depth: int
    fragments: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """First byte after the value."""
        return self.start + self.length


@dataclass(slots=True)
class _Level:
    """A dataset or a sequence that is being walked."""

    sequence: bool
    end: int  # where it must end at the latest
    defined: bool  # whether `end` is also where it does end
    implicit: bool


@dataclass(slots=True)
class _Walk:
    """The state of one walk; `ends` is the byte order as struct spells it."""

    data: bytes
    limits: Limits
    ends: str
    position: int
    levels: list[_Level]
    items: int = 0
    elements: int = 0
    seen: set[int] = field(default_factory=set)


def walk(
    data: bytes, start: int, *, implicit: bool, big_endian: bool, limits: Limits
) -> Iterator[Element]:
    """Yield every element from `start` on, sequences only through what they hold.

    Stops after the top-level PixelData.

    Raises:
        RefusedFileError: `truncated`, `malformed` or `too_complex`.
    """
    top = _Level(sequence=False, end=len(data), defined=True, implicit=implicit)
    state = _Walk(data, limits, ">" if big_endian else "<", start, [top])
    while state.levels:
        level = state.levels[-1]
        if state.position >= level.end:
            if state.position > level.end or not level.defined:
                raise RefusedFileError("truncated")
            state.levels.pop()
        elif level.sequence:
            _next_item(state, level)
        else:
            element = _next_element(state, level)
            if element is not None:
                yield element
                if element.tag == PIXEL_DATA and element.depth == 0:
                    return


def _next_item(state: _Walk, level: _Level) -> None:
    """Enter the next item of a sequence, or leave the sequence."""
    tag, length = _tag_and_length(state, level)
    if tag == SEQUENCE_END and not level.defined:
        state.levels.pop()
        return
    if tag != ITEM:
        raise RefusedFileError("malformed")
    _count_item(state)
    state.levels.append(_inner(state, level, length, sequence=False, implicit=level.implicit))


def _next_element(state: _Walk, level: _Level) -> Element | None:
    """Read one element's header; None when it opened or closed a level."""
    start = state.position
    if level.end - start < 8:
        raise RefusedFileError("truncated")
    group, number = struct.unpack_from(state.ends + "HH", state.data, start)
    tag = group << 16 | number
    if tag == ITEM_END and not level.defined:
        state.position += 8
        state.levels.pop()
        return None
    if group == 0xFFFE:
        raise RefusedFileError("malformed")
    vr, length = _vr_and_length(state, level, tag)
    state.elements += 1
    if state.elements > state.limits.elements:
        raise RefusedFileError("too_complex")
    depth = len(state.levels) // 2
    if depth == 0:
        if tag in state.seen:
            raise RefusedFileError("malformed")  # which of the two would a reader believe?
        state.seen.add(tag)
    if tag == PIXEL_DATA and length == UNDEFINED:
        return _fragments(state, level, tag, vr, depth)
    if vr == "SQ" or length == UNDEFINED:
        if vr not in ("SQ", "UN"):
            raise RefusedFileError("malformed")
        if depth >= state.limits.depth:
            raise RefusedFileError("too_complex")
        implicit = level.implicit or vr == "UN"  # PS3.5 6.2.2: unknown sequences are implicit
        state.levels.append(_inner(state, level, length, sequence=True, implicit=implicit))
        return None
    if length > level.end - state.position:
        raise RefusedFileError("truncated")
    element = Element(tag, vr, state.position, length, depth)
    state.position = element.end
    return element


def _vr_and_length(state: _Walk, level: _Level, tag: int) -> tuple[str, int]:
    """Read value representation and length, and move to the value."""
    at = state.position + 4
    if level.implicit:
        (length,) = struct.unpack_from(state.ends + "I", state.data, at)
        state.position = at + 4
        return vr_of(tag), length
    vr = state.data[at : at + 2]
    if vr in SHORT_VRS:
        (length,) = struct.unpack_from(state.ends + "H", state.data, at + 2)
        state.position = at + 4
    elif vr in LONG_VRS:
        if level.end - at < 8:
            raise RefusedFileError("truncated")
        (length,) = struct.unpack_from(state.ends + "I", state.data, at + 4)
        state.position = at + 8
    else:
        raise RefusedFileError("malformed")
    return vr.decode("ascii"), length


def _fragments(state: _Walk, level: _Level, tag: int, vr: str, depth: int) -> Element:
    """Read the fragments of encapsulated pixel data (PS3.5 A.4)."""
    start, found = state.position, []
    while True:
        item, length = _tag_and_length(state, level)
        if item == SEQUENCE_END:
            break
        if item != ITEM or length == UNDEFINED:
            raise RefusedFileError("malformed")
        _count_item(state)
        if length > level.end - state.position:
            raise RefusedFileError("truncated")
        found.append((state.position, length))
        state.position += length
    return Element(tag, vr, start, state.position - start, depth, tuple(found))


def _inner(state: _Walk, level: _Level, length: int, *, sequence: bool, implicit: bool) -> _Level:
    """Return the level that begins here, inside `level`."""
    if length == UNDEFINED:
        return _Level(sequence, level.end, defined=False, implicit=implicit)
    if length > level.end - state.position:
        raise RefusedFileError("truncated")
    return _Level(sequence, state.position + length, defined=True, implicit=implicit)


def _tag_and_length(state: _Walk, level: _Level) -> tuple[int, int]:
    """Read an item's or delimiter's eight bytes."""
    if level.end - state.position < 8:
        raise RefusedFileError("truncated")
    group, number, length = struct.unpack_from(state.ends + "HHI", state.data, state.position)
    state.position += 8
    return group << 16 | number, length


def _count_item(state: _Walk) -> None:
    """Count one more item."""
    state.items += 1
    if state.items > state.limits.items:
        raise RefusedFileError("too_complex")


@lru_cache(maxsize=4096)
def vr_of(tag: int) -> str:
    """Return the dictionary's value representation of a tag, `UN` where it knows none."""
    return str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"
