"""Messages between the parent and a decoding child: JSON and byte strings, with lengths.

Never pickle: what comes back from a child that decoded a hostile file is data to be checked.
"""

import json
import socket
import struct
import time
from typing import Any, Final

from storage.intake.refusals import RefusedFileError

MOST_JSON_BYTES: Final = 16 * 1024 * 1024
ORDER: Final = struct.Struct("<I")  # to and from the nursery: a process to end, or 0 for a new one
_PIECE: Final = 1024 * 1024


def send(
    channel: socket.socket, message: dict[str, Any], *parts: bytes, deadline: float | None = None
) -> None:
    """Send one message; `deadline` is a reading of `time.monotonic`.

    Raises:
        OSError: the other end is gone or too slow.
    """
    head = json.dumps({"message": message, "parts": [len(part) for part in parts]}).encode()
    for piece in (struct.pack("<I", len(head)) + head, *parts):
        _set_timeout(channel, deadline)
        channel.sendall(piece)


def receive(
    channel: socket.socket, *, most_bytes: int, deadline: float | None = None
) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one message.

    Args:
        channel: Connected stream socket.
        most_bytes: Refuse byte strings that together are longer.
        deadline: As for `send`.

    Raises:
        EOFError: the other end closed the channel.
        OSError: the other end is too slow.
        RefusedFileError: `decode_failed`: not a message.
    """
    (length,) = struct.unpack("<I", _exactly(channel, 4, deadline))
    if length > MOST_JSON_BYTES:
        raise RefusedFileError("decode_failed")
    try:
        head = json.loads(_exactly(channel, length, deadline))
        message, sizes = head["message"], head["parts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedFileError("decode_failed") from None
    fits = isinstance(sizes, list) and all(type(size) is int and size >= 0 for size in sizes)
    if not isinstance(message, dict) or not fits or sum(sizes) > most_bytes:
        raise RefusedFileError("decode_failed")
    return message, [_exactly(channel, size, deadline) for size in sizes]


def _exactly(channel: socket.socket, length: int, deadline: float | None) -> bytes:
    """Receive `length` bytes."""
    buffer = bytearray(length)
    view, at = memoryview(buffer), 0
    while at < length:
        _set_timeout(channel, deadline)
        got = channel.recv_into(view[at : at + _PIECE])
        if not got:
            raise EOFError
        at += got
    return bytes(buffer)


def _set_timeout(channel: socket.socket, deadline: float | None) -> None:
    """Let the next call wait until the deadline at most."""
    channel.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
