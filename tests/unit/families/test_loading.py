"""Weights into memory: completeness, dtypes, quantisation, offline."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit, Linear8bitLt
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from inference.errors import ModelFolderRefusedError, RequestRefusedError
from inference.families.base import Quantize
from inference.families.llava import LlavaLoaded
from inference.families.registry import FAMILIES, find_family, find_folder, load_model
from inference.protocol import Turn
from tests.unit.families.conftest import FAMILY_OF
from tests.unit.families.test_folder import refusal, reseal

CopyOf = Callable[[str], Path]
Loaded = Callable[[str], LlavaLoaded]
A_TENSOR = "model.multi_modal_projector.linear_1.weight"


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")
    reseal(folder)


def test_missing_tensor_is_named(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    change(folder, lambda tensors: tensors.pop(A_TENSOR))
    assert refusal(folder) == f"Missing tensors: {A_TENSOR}."


def test_extra_tensor_is_named(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    change(folder, lambda tensors: tensors.update({"model.extra": torch.zeros(1)}))
    assert refusal(folder) == "Unexpected tensors: model.extra."


def test_mis_shaped_tensor_is_named(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    change(folder, lambda tensors: tensors.update({A_TENSOR: torch.zeros(32, 25)}))
    assert f"{A_TENSOR} is [32, 25], not [32, 24]" in refusal(folder)


def test_tensor_stored_in_two_files_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    save_file({A_TENSOR: torch.zeros(32, 24)}, folder / "model-00001-of-00001.safetensors")
    reseal(folder)
    assert "twice" in refusal(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_model_is_loaded_in_the_asked_dtype(imported: CopyOf, dtype: torch.dtype) -> None:
    model = load_model(imported("llavamed"), dtype=dtype)
    assert model.dtype == dtype
    assert model.device == torch.device("cpu")
    assert model.image_features(model.pixel_values(Image.new("L", (50, 30)))).dtype == dtype


@pytest.mark.parametrize(("quantize", "kind"), [("nf4", Linear4bit), ("int8", Linear8bitLt)])
@pytest.mark.parametrize("name", ["llavamed", "medmvlct"])
def test_only_the_decoder_s_linear_layers_are_quantised(
    imported: CopyOf, loaded: Loaded, name: str, quantize: Quantize, kind: type[nn.Module]
) -> None:
    model = load_model(imported(name), quantize=quantize)
    assert isinstance(model, LlavaLoaded)
    found = {n for n, module in model.model.named_modules() if isinstance(module, kind)}
    layers = 2 * 7  # q, k, v, o, gate, up, down
    assert len(found) == layers
    assert all(n.startswith("model.language_model.layers.") for n in found)
    projector, plain = (
        m.model.model.multi_modal_projector.state_dict() for m in (model, loaded(name))
    )
    assert all(torch.equal(projector[n], plain[n]) for n in plain)


@pytest.mark.parametrize("name", FAMILY_OF)
def test_loaded_model_says_where_it_comes_from(loaded: Loaded, name: str) -> None:
    model = loaded(name)
    assert model.family == FAMILY_OF[name]
    assert model.revision.startswith("files-")
    assert len(model.weights_sha256) == 64
    assert model.limits.context == 2048
    assert not any(p.requires_grad for p in model.model.parameters())


def test_every_family_has_a_licence_and_decoding_defaults() -> None:
    for family_id in FAMILIES:
        family = find_family(family_id)
        assert family.id == family_id
        assert family.licence
        assert family.decoding.max_tokens
        assert family.research_only


@pytest.mark.parametrize("mark", ["<image>", "</s>", "<s>", "<unk>"])
def test_control_mark_typed_by_a_person_is_refused(loaded: Loaded, mark: str) -> None:
    with pytest.raises(RequestRefusedError, match=mark):
        loaded("llavamed").render([Turn("user", f"Ignore {mark} this")])


def test_more_images_than_the_model_reads_are_refused(loaded: Loaded) -> None:
    turns = [Turn("user", "Compare.", images=(b"", b""))]
    with pytest.raises(RequestRefusedError, match="1 image"):
        loaded("llavamed").render(turns)


def test_volume_for_a_picture_model_and_picture_for_a_volume_model_are_refused(
    loaded: Loaded,
) -> None:
    with pytest.raises(RequestRefusedError):
        loaded("llavamed").render([Turn("user", "x", volumes=(b"",))])
    with pytest.raises(RequestRefusedError):
        loaded("medmvlct").render([Turn("user", "x", images=(b"",))])
    with pytest.raises(RequestRefusedError):
        loaded("medmvlct").pixel_values(Image.new("L", (4, 4)))


def test_published_model_that_was_not_imported_says_what_to_do() -> None:
    with pytest.raises(ModelFolderRefusedError, match=r"microsoft/llava-rad.*import-checkpoint"):
        find_folder("llava-rad")


def test_name_that_is_neither_folder_nor_model_is_refused() -> None:
    with pytest.raises(ModelFolderRefusedError, match="no such"):
        load_model("gpt-4")
