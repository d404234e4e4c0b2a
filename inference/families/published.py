"""Reading other people's files: JSON, safetensors, and pickles that may only hold tensors.

Nothing here runs what it reads. A pickle is opened with `weights_only=True`; the one release that
holds numpy numbers beside its tensors gets inert stand-ins for them. Every file read is hashed,
so that the manifest of the imported folder can say what it was made from.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from inference.errors import ModelFolderRefusedError
from inference.families.folder import read_json, refuse_code_keys, sha256_of
from inference.families.tensors import SAFETENSORS_DTYPES, StoredTensor, shorten

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


class Discarded:
    """Stands in for a numpy number inside a training checkpoint; whatever it was is dropped."""

    def __init__(self, *_: object) -> None:
        """Take any arguments."""

    def __setstate__(self, _: object) -> None:
        """Take any state."""


STAND_INS: list[tuple[Callable[..., Any], str]] = [
    (Discarded, name)
    for name in (
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "_codecs.encode",
    )
]


@dataclass(frozen=True, slots=True)
class Converted:
    """What a family makes of published files: our layout, not yet written."""

    config: Mapping[str, Any]  # transformers' LlavaConfig as a dict
    tensors: Mapping[str, StoredTensor]  # by our names
    settings: Mapping[str, Any]  # for the manifest
    files: Mapping[str, bytes]  # tokenizer files, by name


@dataclass
class Published:
    """A release as fetched, with an optional folder that stands for the hub.

    Use as a context manager: tensors stay memory-mapped until the end.
    """

    source: Path
    hub: Path | None = None
    tower_dims: Path | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Published":
        if not self.source.is_dir():
            raise ModelFolderRefusedError("There is no such folder to import from.")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def part(self, name: str) -> "Published":
        """Return another repository's folder inside the hub, under the same record of hashes.

        Raises:
            ModelFolderRefusedError: there is no hub folder, or it lacks the repository.
        """
        if self.hub is None or not self.has_part(name):
            raise ModelFolderRefusedError(
                f"The release needs files of {name}; give a folder that holds {name}/ by --hub."
            )
        return Published(self.hub / name, self.hub, None, self.hashes, self._open)

    def has_part(self, name: str) -> bool:
        """Say whether the hub folder holds a repository."""
        return self.hub is not None and name_is_plain(name) and _inside(self.hub / name, self.hub)

    def has(self, name: str) -> bool:
        """Say whether a file is there."""
        return (self.source / name).is_file()

    def path(self, name: str) -> Path:
        """Vouch for one file's place, hash it, and return its path.

        Raises:
            ModelFolderRefusedError: it is absent, outside the folder, or a link out of it.
        """
        found = self.source / name
        if Path(name).name != name or not found.is_file():
            raise ModelFolderRefusedError(f"The release lacks {name}.")
        if not _inside(found, self.source):
            raise ModelFolderRefusedError(f"{name} is a link that leaves the folder.")
        if (label := self._label(name)) not in self.hashes:
            self.hashes[label] = sha256_of(found)
        return found

    def _label(self, name: str) -> str:
        if self.hub is not None and self.source.is_relative_to(self.hub):
            return f"{self.source.relative_to(self.hub).as_posix()}/{name}"
        return name

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON object that asks for no code.

        Raises:
            ModelFolderRefusedError: see `path`, `read_json` and `refuse_code_keys`.
        """
        found = read_json(self.path(name).parent, name)
        refuse_code_keys(found, name)
        return found

    def bytes(self, name: str) -> bytes:
        """Read a whole file."""
        return self.path(name).read_bytes()

    def weights(self) -> dict[str, StoredTensor]:
        """Find the release's weights: one file or indexed shards, safetensors before pickles.

        Raises:
            ModelFolderRefusedError: none are there, a shard is missing, or the index and the
                shards disagree, which is named.
        """
        for name in WEIGHT_FILES:
            index = f"{name}.index.json"
            if self.has(index):
                return self._sharded(index)
            if self.has(name):
                return self.tensors(name)
        raise ModelFolderRefusedError(f"The release has no weights ({' or '.join(WEIGHT_FILES)}).")

    def _sharded(self, index: str) -> dict[str, StoredTensor]:
        listed = self.json(index).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
            raise ModelFolderRefusedError(f"{index} has no map of weights.")
        found: dict[str, StoredTensor] = {}
        for shard in sorted(set(listed.values())):
            found |= self.tensors(shard)
        if missing := sorted(listed.keys() - found.keys()):
            raise ModelFolderRefusedError(f"Missing tensors: {shorten(missing)}.")
        if extra := sorted(found.keys() - listed.keys()):
            raise ModelFolderRefusedError(f"Unexpected tensors: {shorten(extra)}.")
        return found

    def tensors(self, name: str) -> dict[str, StoredTensor]:
        """Open one weights file.

        Raises:
            ModelFolderRefusedError: it is damaged, or a pickle that holds more than tensors.
        """
        path = self.path(name)
        if path.suffix == ".safetensors":
            return dict(self._safetensors(path))
        return {
            key: StoredTensor.of(value)
            for key, value in load_pickle(path).items()
            if isinstance(value, torch.Tensor)
        }

    def _safetensors(self, path: Path) -> Iterator[tuple[str, StoredTensor]]:
        try:
            stream = self._open.enter_context(safe_open(path, "pt"))
            for key in stream.keys():  # noqa: SIM118 - not a dict
                view = stream.get_slice(key)
                shape, dtype = tuple(view.get_shape()), SAFETENSORS_DTYPES[view.get_dtype()]
                yield key, StoredTensor(shape, dtype, partial(stream.get_tensor, key))
        except (SafetensorError, KeyError, OSError) as error:
            raise ModelFolderRefusedError(f"{path.name} is damaged.") from error


def load_pickle(path: Path) -> dict[str, Any]:
    """Open a torch file that may hold tensors, numbers, strings and containers of them.

    Raises:
        ModelFolderRefusedError: it asks for anything else, or is damaged.
    """
    try:
        with safe_globals([*STAND_INS]):
            found = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except (UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError) as error:
        raise ModelFolderRefusedError(
            f"{path.name} is damaged, or holds more than tensors{_asked_for(path)}; nothing in it "
            "was run."
        ) from error
    if not isinstance(found, dict):
        raise ModelFolderRefusedError(f"{path.name} does not hold named tensors.")
    return found


def _asked_for(path: Path) -> str:
    """Name what a pickle wanted to import, from its opcodes alone."""
    try:
        wanted = set(get_unsafe_globals_in_checkpoint(path)) - {name for _, name in STAND_INS}
    except (UnpicklingError, RuntimeError, EOFError, ValueError, OSError):
        return ""
    return f" ({shorten(wanted)})" if wanted else ""


def _inside(path: Path, root: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(root.resolve())


def name_is_plain(name: str) -> bool:
    """Say whether a repository name is `org/name`, with nothing that walks about."""
    parts = name.split("/")
    return len(parts) == 2 and all(p and p not in (".", "..") for p in parts)


def dumps(value: object) -> bytes:
    """Return JSON bytes as our folders hold them."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
