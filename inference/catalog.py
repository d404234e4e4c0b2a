"""Which published models there are, where from, under what licence, and what they need.

Plain data for both sides of the process boundary: no model library is imported here. An entry
whose repository is empty is either packaged with us or, like `openai`, lives behind a URL.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model. `licence` is shown to the operator before first use."""

    id: str
    family: str
    title: str
    reads: str
    licence: str
    research_only: bool
    repository: str = ""
    revision: str = ""
    alternative: str = ""  # another repository of the same weights that the family reads
    needs: tuple[str, ...] = ()  # repositories whose small files or base weights are read too
    packaged: str = ""  # folder inside this package
    memory_gb: Mapping[str, float] = field(default_factory=dict)  # weights, 10^9 bytes, by format
    kv_cache_bytes_per_token: Mapping[str, int] = field(default_factory=dict)

    @property
    def packaged_folder(self) -> Path | None:
        """The folder that comes with the package, if this entry has one."""
        return Path(__file__).parent / self.packaged if self.packaged else None


@cache
def catalog() -> Mapping[str, CatalogEntry]:
    """Return every entry by id, in the order of the file."""
    text = (files("inference") / "catalog.toml").read_text(encoding="utf-8")
    return {
        name: CatalogEntry(id=name, **{**entry, "needs": tuple(entry.get("needs", ()))})
        for name, entry in tomllib.loads(text)["models"].items()
    }
