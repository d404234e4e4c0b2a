"""Our layout of a model folder, and the refusal of anything else.

A folder is `config.json`, safetensors weights, a tokenizer and `overread.json`, which names the
family and holds the SHA-256 of every other file. A file of any other name is refused, because
libraries act on files that merely lie there (an `adapter_config.json` makes transformers load a
second model); so is a link that leaves the folder, a changed byte, and a config key that could
name code. All of this comes before any library opens the weights.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.errors import ModelFolderRefusedError

MANIFEST = "overread.json"
MANIFEST_FILE = re.compile(re.escape(MANIFEST))
FORMAT = 1
DATA_FILES = re.compile(
    r"config\.json|tokenizer\.(json|model)|model\.safetensors(\.index\.json)?"
    r"|model-\d{5}-of-\d{5}\.safetensors"
)
TEXT_FILES = re.compile(r".+\.md|LICENSE")  # a card or a licence; no loader reads them
HASH_CHUNK = 1 << 22  # bytes

# Keys by which a config.json has made libraries import or download code.
CODE_KEYS = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "_attn_implementation_autoset",
        "experts_implementation",
        "_experts_implementation",
        "_experts_implementation_internal",
        "kernel_config",
        "use_kernels",
        "trust_remote_code",
        "quantization_config",
        "compile_config",
    }
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `overread.json` says of a folder."""

    family: str
    revision: str
    licence: str
    settings: Mapping[str, Any]  # the family's own: prompt template, image size, context
    files: Mapping[str, str]  # name to SHA-256, every file but the manifest
    repository: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)  # published file to SHA-256

    @property
    def weights_sha256(self) -> str:
        """One value for the weights: the file's own hash, or the hash of the shards' hashes."""
        shards = sorted(name for name in self.files if name.endswith(".safetensors"))
        if len(shards) == 1:
            return self.files[shards[0]]
        lines = "".join(f"{self.files[name]}  {name}\n" for name in shards)
        return hashlib.sha256(lines.encode()).hexdigest()

    def write(self, directory: Path) -> None:
        """Write `overread.json`."""
        text = json.dumps(
            {
                "format": FORMAT,
                "family": self.family,
                "repository": self.repository,
                "revision": self.revision,
                "licence": self.licence,
                "weights_sha256": self.weights_sha256,
                "settings": dict(self.settings),
                "files": dict(sorted(self.files.items())),
                "sources": dict(sorted(self.sources.items())),
            },
            indent=2,
            ensure_ascii=False,
        )
        (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Hash a file without holding it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def seal(
    directory: Path,
    *,
    family: str,
    revision: str,
    licence: str,
    settings: Mapping[str, Any],
    repository: str = "",
    sources: Mapping[str, str] | None = None,
) -> Manifest:
    """Hash the files of a finished folder and write its manifest."""
    manifest = Manifest(
        family=family,
        revision=revision,
        licence=licence,
        settings=settings,
        files={
            p.name: sha256_of(p)
            for p in sorted(directory.iterdir())
            if DATA_FILES.fullmatch(p.name)
        },
        repository=repository,
        sources=sources or {},
    )
    manifest.write(directory)
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Read `overread.json` and nothing else.

    Raises:
        ModelFolderRefusedError: it is absent or not what `seal` writes.
    """
    found = read_json(directory, MANIFEST)
    try:
        if found["format"] != FORMAT:
            raise ModelFolderRefusedError("The model's manifest has a format this release ignores.")
        manifest = Manifest(
            family=str(found["family"]),
            revision=str(found["revision"]),
            licence=str(found["licence"]),
            settings=dict(found["settings"]),
            files={str(k): str(v) for k, v in found["files"].items()},
            repository=str(found.get("repository", "")),
            sources={str(k): str(v) for k, v in found.get("sources", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderRefusedError("The model's manifest is incomplete.") from error
    shown = (manifest.family, manifest.revision, manifest.licence, manifest.repository)
    if not all(character.isprintable() or character == "\n" for character in "".join(shown)):
        raise ModelFolderRefusedError("The model's manifest holds control characters.")
    return manifest


def read_json(directory: Path, name: str) -> dict[str, Any]:
    """Read one JSON object of a folder.

    Raises:
        ModelFolderRefusedError: the file is absent or not a JSON object.
    """
    try:
        found = json.loads((directory / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFolderRefusedError(f"The model folder has no {name}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderRefusedError(f"{name} cannot be read as JSON.") from error
    if not isinstance(found, dict):
        raise ModelFolderRefusedError(f"{name} does not hold a JSON object.")
    return found


def check_folder(directory: Path) -> Manifest:
    """Vouch for a folder in our layout: file kinds, links, hashes, config keys.

    Every byte that a loader will read is hashed; nothing is imported, unpickled or fetched.

    Raises:
        ModelFolderRefusedError: with the first thing found wrong.
    """
    manifest = check_contents(directory)
    for name, expected in manifest.files.items():
        if sha256_of(directory / name) != expected:
            raise ModelFolderRefusedError(f"{name} is not the file that the manifest describes.")
    return manifest


def check_contents(directory: Path) -> Manifest:
    """Check of a folder in our layout what takes no time: everything but the hashes.

    Raises:
        ModelFolderRefusedError: with the first thing found wrong.
    """
    check_entries(directory)
    manifest = read_manifest(directory)
    present = {p.name for p in directory.iterdir()} - {MANIFEST}
    if missing := sorted(set(manifest.files) - present):
        raise ModelFolderRefusedError(f"The model folder lacks {', '.join(missing)}.")
    unlisted = present - set(manifest.files)
    if strange := sorted(name for name in unlisted if not TEXT_FILES.fullmatch(name)):
        raise ModelFolderRefusedError(f"The manifest does not list {', '.join(strange)}.")
    refuse_code_keys(read_json(directory, "config.json"), "config.json")
    return manifest


def check_entries(directory: Path) -> None:
    """Refuse files that are not of our layout, folders in folders, and links that leave.

    Raises:
        ModelFolderRefusedError: naming the entry.
    """
    if not directory.is_dir():
        raise ModelFolderRefusedError("There is no such model folder.")
    root = directory.resolve()
    for entry in sorted(directory.iterdir()):
        if not entry.resolve().is_relative_to(root):
            raise ModelFolderRefusedError(f"{entry.name} is a link that leaves the model folder.")
        if not entry.is_file():
            raise ModelFolderRefusedError(f"{entry.name} is not a plain file.")
        if not any(p.fullmatch(entry.name) for p in (DATA_FILES, TEXT_FILES, MANIFEST_FILE)):
            raise ModelFolderRefusedError(
                f"{entry.name} does not belong in a model folder. Pickles and programs may run "
                "code when opened, so nothing unknown is opened."
            )


def refuse_code_keys(value: object, where: str) -> None:
    """Refuse JSON in which any key, at any depth, would make a library import or fetch code.

    Raises:
        ModelFolderRefusedError: naming the key.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            # null is what old releases wrote for "none", and loads nothing
            found = sorted(key for key in CODE_KEYS & item.keys() if item[key] is not None)
            if found:
                raise ModelFolderRefusedError(f"{where} asks for code by its key {found[0]!r}.")
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
