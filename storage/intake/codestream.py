"""Read how large a compressed frame says it is, before any decoder believes it.

A JPEG 2000 file of 6 kB whose own header says 60000 x 60000 makes decoders ask for gigabytes,
whatever the DICOM header says; so both must agree.
"""

import struct
from collections.abc import Iterator
from typing import Final

_HEAD: Final = 65_536  # bytes searched; comments and profiles come before a JPEG's frame header
_J2K_START: Final = b"\xff\x4f\xff\x51"
_JP2_START: Final = b"\x00\x00\x00\x0cjP  "
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_SEQUENTIAL: Final = frozenset([0xC0, 0xC1])
_SCAN: Final = 0xDA
WHOLE_SPECTRUM: Final = b"\0\x3f\0"  # how a sequential scan must end its header
_ALONE: Final = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length


def frame_size(head: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and components of a JPEG, JPEG-LS or JPEG 2000 codestream.

    Args:
        head: The first bytes of the frame.

    Returns:
        None where `head` is none of them, or ends before it says.
    """
    if head[:2] == b"\xff\xd8":
        return _jpeg(head[:_HEAD])
    start = _in_box(head) if head.startswith(_JP2_START) else 0
    return _jpeg_2000(head, start) if head.startswith(_J2K_START, start) else None


def _in_box(head: bytes) -> int:
    """Return where the codestream begins inside a JP2 file (ISO 15444-1 I.4)."""
    at = 0
    while at + 8 <= len(head):
        (length,) = struct.unpack_from(">I", head, at)
        if head[at + 4 : at + 8] == b"jp2c":
            return at + 8 if length != 1 else at + 16
        if length < 8:
            break
        at += length
    return len(head)


def _jpeg_2000(head: bytes, start: int) -> tuple[int, int, int] | None:
    """Read the SIZ marker (ISO 15444-1 A.5.1)."""
    if len(head) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", head, start + 8)
    (components,) = struct.unpack_from(">H", head, start + 40)
    return bottom - top, right - left, components


def _jpeg(head: bytes) -> tuple[int, int, int] | None:
    """Read the frame header (ISO 10918-1 B.2.2)."""
    for marker, at, _ in _segments(head):
        if marker in _FRAME_HEADERS:
            if at + 10 > len(head):
                return None
            rows, columns, components = struct.unpack_from(">HHB", head, at + 5)
            return rows, columns, components
    return None


def misstated_scan(head: bytes) -> int | None:
    """Return where a sequential JPEG's first scan misstates its spectrum; None where it does not.

    The three bytes there can only be `WHOLE_SPECTRUM` (ISO 10918-1 table B.3), yet an old
    encoder left them 0, and a strict decoder then refuses the frame.
    """
    sequential = False
    for marker, at, length in _segments(head[:_HEAD]):
        sequential = sequential or marker in _SEQUENTIAL
        if marker == _SCAN:
            place = at + 2 + length - len(WHOLE_SPECTRUM)
            found = head[place : at + 2 + length]
            wrong = len(found) == len(WHOLE_SPECTRUM) and found != WHOLE_SPECTRUM
            return place if sequential and wrong else None
    return None


def _segments(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, place and length of a JPEG's segments, up to the first scan."""
    at = 2
    while at + 4 <= len(head):
        if head[at] != 0xFF:
            return
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", head, at + 2)
        yield marker, at, max(2, length)
        if marker == _SCAN:
            return
        at += 2 + max(2, length)
