"""Published files in, a sealed folder in our layout out.

The folder appears under its name only when it is complete: an import that fails leaves nothing
behind, and one that is repeated does not overwrite.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from safetensors.torch import save_file

from inference.catalog import catalog
from inference.errors import ModelFolderRefusedError
from inference.families.folder import Manifest, seal
from inference.families.published import Converted, Published, dumps
from inference.families.registry import find_family
from inference.families.tensors import StoredTensor

logger = logging.getLogger(__name__)

SHARD_BYTES = 4_000_000_000
HUB_RECORD = Path(".cache/huggingface/download/config.json.metadata")  # commit on its first line


def import_checkpoint(
    family_id: str,
    src: Path,
    dst: Path,
    hub: Path | None = None,
    tower_dims: Path | None = None,
    *,
    shard_bytes: int = SHARD_BYTES,
) -> Manifest:
    """Convert a release, as fetched, into a folder that `load_model` reads.

    Args:
        family_id: Which family's release it is; never guessed.
        src: The folder with the published files.
        dst: Must not exist, or be empty.
        hub: Holds `org/name` folders for what the release names and does not contain.
        tower_dims: JSON with `num_heads` of a LLaVA-Rad tower that is not the published size.
        shard_bytes: Largest weights file, and so what of the weights is in memory at once.

    Raises:
        ModelFolderRefusedError: something is missing, left over, mis-shaped, damaged or could run
            code; or `dst` is in use.
    """
    if dst.exists() and (not dst.is_dir() or any(dst.iterdir())):
        raise ModelFolderRefusedError("The folder to import into is not empty.")
    family = find_family(family_id)
    dst.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".import-", dir=dst.parent) as made,
        Published(src, hub, tower_dims) as published,
    ):
        folder = Path(made) / "folder"
        folder.mkdir()
        converted = family.convert(published)
        _write(converted, folder, shard_bytes)
        entry = catalog()[family_id]
        manifest = seal(
            folder,
            family=family_id,
            repository=entry.repository,
            revision=_revision(src, published.hashes),
            licence=family.licence,
            settings=converted.settings,
            sources=published.hashes,
        )
        if dst.exists():
            dst.rmdir()
        shutil.move(folder, dst)
    logger.info("model.imported", extra={"family": family_id, "tensors": len(converted.tensors)})
    return manifest


def _write(converted: Converted, folder: Path, shard_bytes: int) -> None:
    (folder / "config.json").write_bytes(dumps(converted.config))
    for name, content in converted.files.items():
        (folder / name).write_bytes(content)
    shards = list(_shards(converted.tensors, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = (
            "model.safetensors"
            if len(shards) == 1
            else f"model-{number:05}-of-{len(shards):05}.safetensors"
        )
        tensors = {key: tensor.read().contiguous() for key, tensor in shard.items()}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        total = sum(tensor.nbytes for tensor in converted.tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_bytes(dumps(index))


def _shards(
    tensors: Mapping[str, StoredTensor], shard_bytes: int
) -> Iterator[dict[str, StoredTensor]]:
    shard: dict[str, StoredTensor] = {}
    size = 0
    for name in sorted(tensors):
        if shard and size + tensors[name].nbytes > shard_bytes:
            yield shard
            shard, size = {}, 0
        shard[name] = tensors[name]
        size += tensors[name].nbytes
    yield shard


def _revision(src: Path, hashes: Mapping[str, str]) -> str:
    """Name what was read: the hub's commit if its client left a record, else a hash of hashes."""
    record = src / HUB_RECORD
    if record.is_file():
        return record.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return f"files-{sha256(lines.encode()).hexdigest()[:16]}"
