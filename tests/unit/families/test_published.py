"""Hostile and broken releases: import refuses, names the fault, runs nothing, leaves nothing."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.errors import ModelFolderRefusedError
from inference.families.published import load_pickle
from inference.worker.checkpoints import import_checkpoint
from tests.unit.families.conftest import GOLDENS, Sentinel, import_golden

SourceOf = Callable[[str], Path]


def refusal(name: str, source: Path) -> str:
    dst = source.parent / "imported"
    with pytest.raises(ModelFolderRefusedError) as caught:
        import_golden(name, dst, source)
    assert not dst.exists()
    assert not list(source.parent.glob(".import-*"))
    return str(caught.value)


def edit(source: Path, shard: str, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a shard and make the index agree."""
    path = source / shard
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path)
    change(tensors)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    index = next(source.glob("*.index.json"), None)
    if index is not None:
        listed = json.loads(index.read_text())
        kept = {k: v for k, v in listed["weight_map"].items() if v != shard}
        listed["weight_map"] = kept | dict.fromkeys(tensors, shard)
        index.write_text(json.dumps(listed))


def edit_config(source: Path, **values: Any) -> None:  # noqa: ANN401 - JSON
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


MED_SHARD, LLAVA_SHARD = "model-00001-of-00002.safetensors", "pytorch_model-00001-of-00002.bin"
A_TENSOR = "model.layers.0.mlp.down_proj.weight"


def shard_with(source: Path, tensor: str) -> str:
    (index,) = source.glob("*.index.json")
    return str(json.loads(index.read_text())["weight_map"][tensor])


@pytest.mark.parametrize(
    ("golden", "file"),
    [
        ("llava15", LLAVA_SHARD),
        ("llavarad", "adapter_model.bin"),
        ("llavarad", "non_lora_trainables.bin"),
        ("llavarad", "biomedclipcxr_518_checkpoint.pt"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["torch zip", "bare pickle"])
def test_pickle_that_would_run_something_is_refused(
    source_of: SourceOf, tmp_path: Path, golden: str, file: str, *, zipped: bool
) -> None:
    source, mark = source_of(golden), tmp_path / "executed"
    if zipped:
        torch.save({"weight": torch.zeros(1), "more": Sentinel(mark)}, source / file)
    else:
        (source / file).write_bytes(pickle.dumps(Sentinel(mark), protocol=2))
    assert file in refusal(golden, source)
    assert not mark.exists()


def test_refused_pickle_says_what_it_asked_for(source_of: SourceOf, tmp_path: Path) -> None:
    source = source_of("llava15")
    torch.save({"more": Sentinel(tmp_path / "executed")}, source / LLAVA_SHARD)
    assert "mkdir" in refusal("llava15", source)


def test_numpy_number_in_a_training_checkpoint_is_dropped_not_built() -> None:
    found = load_pickle(GOLDENS / "llavarad/checkpoint/biomedclipcxr_518_checkpoint.pt")
    (group,) = found["optimizer"]["param_groups"]
    assert type(group["lr"]).__name__ == "Discarded"


def test_code_asked_for_by_a_release_s_config_is_refused(source_of: SourceOf) -> None:
    source = source_of("llavamed")
    edit_config(source, auto_map={"AutoModel": "modeling.Model"})
    assert "auto_map" in refusal("llavamed", source)


@pytest.mark.parametrize("golden", ["llavamed", "llava15"])
def test_missing_tensor_is_named_as_the_release_spells_it(source_of: SourceOf, golden: str) -> None:
    source = source_of(golden)
    edit(source, shard_with(source, A_TENSOR), lambda tensors: tensors.pop(A_TENSOR))
    assert f"Missing tensors: {A_TENSOR}" in refusal(golden, source)


@pytest.mark.parametrize("golden", ["llavamed", "llava15"])
def test_tensor_too_many_is_named(source_of: SourceOf, golden: str) -> None:
    source = source_of(golden)
    extra = {"model.mm_projector.4.weight": torch.zeros(2)}
    edit(source, shard_with(source, A_TENSOR), lambda tensors: tensors.update(extra))
    assert "Unexpected tensors: model.mm_projector.4.weight" in refusal(golden, source)


def test_mis_shaped_tensor_is_named_with_both_shapes(source_of: SourceOf) -> None:
    source = source_of("llavamed")
    wrong = {A_TENSOR: torch.zeros(32, 55)}
    edit(source, shard_with(source, A_TENSOR), lambda tensors: tensors.update(wrong))
    assert f"{A_TENSOR} is [32, 55], not [32, 56]" in refusal("llavamed", source)


def test_index_that_promises_more_than_the_shards_hold_is_refused(source_of: SourceOf) -> None:
    source = source_of("llavamed")
    index = source / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    listed["weight_map"]["model.ghost"] = MED_SHARD
    index.write_text(json.dumps(listed))
    assert "model.ghost" in refusal("llavamed", source)


@pytest.mark.parametrize("shard", ["../elsewhere.safetensors", "/etc/passwd", "absent.bin"])
def test_index_that_points_elsewhere_is_refused(source_of: SourceOf, shard: str) -> None:
    source = source_of("llavamed")
    (source / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"model.norm.weight": shard}})
    )
    assert refusal("llavamed", source)


def test_link_out_of_the_release_is_refused(source_of: SourceOf, tmp_path: Path) -> None:
    source = source_of("llavamed")
    (source / MED_SHARD).rename(tmp_path / MED_SHARD)
    (source / MED_SHARD).symlink_to(tmp_path / MED_SHARD)
    assert "link" in refusal("llavamed", source)


def test_truncated_shard_is_refused(source_of: SourceOf) -> None:
    source = source_of("llavamed")
    (source / MED_SHARD).write_bytes((source / MED_SHARD).read_bytes()[:-7])
    assert f"{MED_SHARD} is damaged" in refusal("llavamed", source)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.model", "tokenizer_config.json"])
def test_absent_file_is_named(source_of: SourceOf, file: str) -> None:
    source = source_of("llavamed")
    (source / file).unlink()
    assert file in refusal("llavamed", source)


def test_lora_factor_without_its_pair_is_named(source_of: SourceOf) -> None:
    source = source_of("llavarad")
    layer = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    edit(source, "adapter_model.bin", lambda tensors: tensors.pop(layer))
    assert f"Missing tensors: {layer}" in refusal("llavarad", source)


def test_lora_of_a_layer_that_the_base_lacks_is_named(source_of: SourceOf) -> None:
    source = source_of("llavarad")
    layer = "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight"
    edit(source, "adapter_model.bin", lambda t: t.update({layer: torch.zeros(4, 32)}))
    assert f"Unexpected tensors: {layer}" in refusal("llavarad", source)


def test_trunk_without_a_block_s_tensor_is_named(source_of: SourceOf) -> None:
    source = source_of("llavarad")
    file = source / "biomedclipcxr_518_checkpoint.pt"
    checkpoint = load_pickle(file)
    name = "module.visual.trunk.blocks.1.ls2.gamma"
    state = {k: v.clone() for k, v in checkpoint["state_dict"].items() if k != name}
    file.unlink()
    torch.save({"state_dict": state}, file)
    assert f"Missing tensors: {name}" in refusal("llavarad", source)


@pytest.mark.parametrize(
    ("golden", "change"),
    [
        pytest.param("llavamed", {"model_type": "llava"}, id="another model type"),
        pytest.param("llavamed", {"mm_projector_type": "linear"}, id="v1.0's linear projector"),
        pytest.param("llavamed", {"mm_use_im_start_end": True}, id="v1.0's image marks"),
        pytest.param("llava15", {"image_aspect_ratio": "anyres"}, id="LLaVA-NeXT"),
        pytest.param("llavarad", {"image_aspect_ratio": "pad"}, id="not LLaVA-Rad"),
        pytest.param("medmvl2d", {"lvlm_llm_type": "llama"}, id="another language model"),
        pytest.param("medmvl2d", {"lvlm_connector_image_type": "attn_pooling"}, id="the CT one"),
        pytest.param("medmvlct", {"encoder_image3d_type": "m3dclip"}, id="the M3D-CLIP variant"),
    ],
)
def test_release_of_another_model_is_refused(
    source_of: SourceOf, golden: str, change: dict[str, object]
) -> None:
    source = source_of(golden)
    edit_config(source, **change)
    (key,) = change
    assert key.removeprefix("lvlm_") in refusal(golden, source)


def test_needed_repository_is_asked_for_by_name(source_of: SourceOf, tmp_path: Path) -> None:
    source = source_of("llavarad")
    with pytest.raises(ModelFolderRefusedError, match=r"lmsys/vicuna-7b-v1\.5.*--hub"):
        import_checkpoint("llava-rad", source, tmp_path / "dst")


def test_name_that_walks_out_of_the_hub_is_refused(source_of: SourceOf) -> None:
    source = source_of("llavamed")
    edit_config(source, mm_vision_tower="../../checkpoint")
    assert "--hub" in refusal("llavamed", source)


@pytest.mark.parametrize("file", ["vocab.json", "merges.txt"])
def test_damaged_vocabulary_is_refused(source_of: SourceOf, file: str) -> None:
    source = source_of("medmvl2d")
    (source / file).write_text("#version: 0.2\none two three\n")
    assert "damaged" in refusal("medmvl2d", source)


def without_dims(source: Path, timm_name: str) -> Path:
    """Rename a bundle's trunk and put it where no sizes lie beside it."""
    path = source / "biomedclipcxr_518.json"
    described = json.loads(path.read_text())
    described["vision_cfg"]["timm_model_name"] = timm_name
    path.write_text(json.dumps(described))
    return source


def test_trunk_of_unknown_size_asks_for_its_sizes(source_of: SourceOf, tmp_path: Path) -> None:
    source, hub = without_dims(source_of("llavarad"), "vit_giant"), GOLDENS / "llavarad/hub"
    with pytest.raises(ModelFolderRefusedError, match=r"vit_giant.*--tower-dims"):
        import_checkpoint("llava-rad", source, tmp_path / "dst", hub)


def test_published_name_on_a_trunk_of_another_width_asks_too(
    source_of: SourceOf, tmp_path: Path
) -> None:
    # the published trunk has 12 heads, which do not divide the golden's width of 32
    source, hub = source_of("llavarad"), GOLDENS / "llavarad/hub"
    with pytest.raises(ModelFolderRefusedError, match=r"width 32.*--tower-dims"):
        import_checkpoint("llava-rad", source, tmp_path / "dst", hub)


@pytest.mark.parametrize("dims", ["{}", '{"num_heads": 0}', '{"num_heads": "4"}'])
def test_sizes_that_are_none_are_refused(source_of: SourceOf, tmp_path: Path, dims: str) -> None:
    source, hub = source_of("llavarad"), GOLDENS / "llavarad/hub"
    (tmp_path / "dims.json").write_text(dims)
    with pytest.raises(ModelFolderRefusedError, match="tower-dims"):
        import_checkpoint("llava-rad", source, tmp_path / "dst", hub, tmp_path / "dims.json")


def test_sizes_beside_the_bundle_are_found(source_of: SourceOf, tmp_path: Path) -> None:
    source, hub = source_of("llavarad"), GOLDENS / "llavarad/hub"
    (source.parent / "tower_dims.json").write_text('{"num_heads": 4}')
    import_checkpoint("llava-rad", source, tmp_path / "dst", hub)
    config = json.loads((tmp_path / "dst/config.json").read_text())
    assert config["vision_config"]["num_attention_heads"] == 4


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([torch.zeros(1)], id="a list"),
        pytest.param({"model": {}}, id="no state_dict"),
        pytest.param({"state_dict": {}}, id="an empty one"),
    ],
)
def test_training_checkpoint_without_a_trunk_is_refused(
    source_of: SourceOf, content: object
) -> None:
    source = source_of("llavarad")
    torch.save(content, source / "biomedclipcxr_518_checkpoint.pt")
    assert refusal("llavarad", source)


def test_processor_with_another_filter_is_refused(source_of: SourceOf, tmp_path: Path) -> None:
    hub = Path(shutil.copytree(GOLDENS / "llavamed/hub", tmp_path / "hub"))
    (path,) = hub.rglob("preprocessor_config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resample": 2}))
    with pytest.raises(ModelFolderRefusedError, match="resample"):
        import_checkpoint("llava-med-v1.5", source_of("llavamed"), tmp_path / "dst", hub)


def test_without_a_hub_folder_the_published_clip_is_assumed(
    source_of: SourceOf, tmp_path: Path
) -> None:
    # the golden's tower is smaller than CLIP-L, so the shapes tell
    with pytest.raises(ModelFolderRefusedError, match="vision_model"):
        import_checkpoint("llava-med-v1.5", source_of("llavamed"), tmp_path / "dst")
