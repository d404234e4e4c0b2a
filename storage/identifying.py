"""Texts in which a safety rule saw an identity; no export takes them out of the house.

The rules stand in `inference/safety`; here only their kind is known, by which their flags are
stored beside every text that a person typed or a model wrote.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

KIND: Final = "identifier"


def identifying(*flags: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether any of these lists of stored flags has one that saw an identity."""
    return any(flag.get("kind") == KIND for some in flags for flag in some)
