"""Stand-ins for the children that look for text: everything but the models themselves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = list[list[Any]]


class Searched:
    """Answers for every piece; `find` gets its pixels, (rows, columns, samples)."""

    def __init__(self, find: Callable[[NDArray[Any]], Boxes] = lambda _piece: []) -> None:
        self.find = find
        self.pieces = 0

    @contextmanager
    def crew(self) -> Iterator["Searched"]:
        yield self

    def look(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        self.pieces += 1
        shape = job["rows"], job["columns"], job["samples"]
        return {"found": self.find(np.frombuffer(data, job["dtype"]).reshape(shape))}


def where_white(piece: NDArray[Any]) -> Boxes:
    """Take a rectangle of the value 255 for a line of text."""
    rows, columns, _ = np.nonzero(piece == 255)
    if not rows.size:
        return []
    return [[int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()), ""]]
