"""Family ids to the modules that implement them, imported when first asked for.

A folder can be judged before that: nothing here needs a model library until a model is loaded.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from inference.catalog import catalog
from inference.errors import ModelFolderRefusedError
from inference.families.folder import Manifest, check_contents, read_manifest

if TYPE_CHECKING:
    import torch

    from inference.families.base import LoadedModel, Quantize
    from inference.families.llava import LlavaFamily

FAMILIES = {
    "llava-med-v1.5": ("inference.families.llava_med", "LlavaMed"),
    "llava-1.5": ("inference.families.llava_15", "Llava15"),
    "llava-rad": ("inference.families.llava_rad", "LlavaRad"),
    "medm-vl-2d": ("inference.families.medm_vl_2d", "MedMVL2D"),
    "medm-vl-ct-chest": ("inference.families.medm_vl_ct_chest", "MedMVLCtChest"),
    "overread-demo": ("inference.families.overread_demo", "OverreadDemo"),
}


def find_family(family_id: str) -> "LlavaFamily":
    """Return a family by its explicit id.

    Raises:
        ModelFolderRefusedError: there is no family of that id; the message lists those there are.
    """
    _known(family_id)
    module, name = FAMILIES[family_id]
    found: LlavaFamily = getattr(import_module(module), name)()
    return found


def load_model(
    directory_or_catalog_id: str | Path,
    *,
    family: str | None = None,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    quantize: "Quantize | None" = None,
) -> "LoadedModel":
    """Load a folder in our layout. Nothing is ever downloaded.

    Args:
        directory_or_catalog_id: A folder, or `overread-demo` for the model in the package.
        family: If given, the folder must hold this family.
        dtype: Of weights and arithmetic; float32 by default.
        device: Where the model goes.
        quantize: Weights of the decoder's linear layers through bitsandbytes.

    Raises:
        ModelFolderRefusedError: see `Family.load`.
    """
    import torch

    directory = find_folder(directory_or_catalog_id)
    manifest = _of_family(read_manifest(directory), family)
    return find_family(manifest.family).load(
        directory,
        dtype=torch.float32 if dtype is None else dtype,
        device=torch.device(device),
        quantize=quantize,
    )


def check_model(directory_or_catalog_id: str | Path, *, family: str | None = None) -> Manifest:
    """Find out what can be known of a model without a model library and without hashing.

    Raises:
        ModelFolderRefusedError: loading it would fail; see `load_model`.
    """
    manifest = check_contents(find_folder(directory_or_catalog_id))
    _known(manifest.family)
    return _of_family(manifest, family)


def _known(family_id: str) -> None:
    if family_id not in FAMILIES:
        raise ModelFolderRefusedError(
            f"There is no model family {family_id!r}; known are {', '.join(FAMILIES)}."
        )


def _of_family(manifest: Manifest, family: str | None) -> Manifest:
    if family is not None and family != manifest.family:
        raise ModelFolderRefusedError(f"The folder holds {manifest.family}, not {family} as asked.")
    return manifest


def find_folder(directory_or_catalog_id: str | Path) -> Path:
    """Return the folder meant: one that exists, or the one packaged under a catalogue id.

    Raises:
        ModelFolderRefusedError: there is none; for a published model it says what to do first.
    """
    directory = Path(directory_or_catalog_id)
    if directory.is_dir():
        return directory
    entry = catalog().get(str(directory_or_catalog_id))
    if entry is None:
        raise ModelFolderRefusedError("There is no such model folder and no such catalogue id.")
    packaged = entry.packaged_folder
    if packaged is None or not packaged.is_dir():
        raise ModelFolderRefusedError(
            f"{entry.id} is not part of the package. Fetch {entry.repository or 'it'}, run "
            "`overread-worker import-checkpoint`, and give the folder it wrote."
        )
    return packaged
