"""What an import writes, and when it writes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference.errors import ModelFolderRefusedError
from inference.families.folder import read_manifest, sha256_of
from inference.families.registry import load_model
from inference.worker.checkpoints import import_checkpoint
from tests.unit.families.conftest import FAMILY_OF, GOLDENS, import_golden

Imported = Callable[[str], Path]


@pytest.mark.parametrize("name", FAMILY_OF)
def test_folder_holds_our_files_and_no_pickle(imported: Imported, name: str) -> None:
    tokenizer = "tokenizer.json" if name.startswith("medmvl") else "tokenizer.model"
    assert {p.name for p in imported(name).iterdir()} == {
        "config.json",
        "model.safetensors",
        "overread.json",
        tokenizer,
    }


@pytest.mark.parametrize("name", FAMILY_OF)
def test_manifest_says_what_it_was_made_from(imported: Imported, name: str) -> None:
    manifest = read_manifest(imported(name))
    checkpoint = GOLDENS / name / "checkpoint"
    weights = [p for p in checkpoint.iterdir() if p.suffix in {".bin", ".safetensors", ".pt"}]
    assert {p.name: sha256_of(p) for p in weights}.items() <= manifest.sources.items()
    assert manifest.family == FAMILY_OF[name]
    assert manifest.licence


def test_hub_files_are_recorded_under_their_repository(imported: Imported) -> None:
    sources = read_manifest(imported("llavarad")).sources
    hub = GOLDENS / "llavarad/hub"
    base = "lmsys/vicuna-7b-v1.5/pytorch_model.bin"
    assert sources[base] == sha256_of(hub / base)


def test_weights_keep_their_dtype_but_for_merged_layers(imported: Imported) -> None:
    assert {t.dtype for t in _tensors(imported("llavamed")).values()} == {torch.bfloat16}
    rad = _tensors(imported("llavarad"))
    assert rad["model.language_model.embed_tokens.weight"].dtype == torch.float16
    assert rad["model.language_model.layers.0.mlp.up_proj.weight"].dtype == torch.float32


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def test_lora_is_added_at_alpha_over_r(imported: Imported) -> None:
    place = GOLDENS / "llavarad"
    layer = "model.layers.1.self_attn.q_proj"
    base = torch.load(place / "hub/lmsys/vicuna-7b-v1.5/pytorch_model.bin")[f"{layer}.weight"]
    adapter = torch.load(place / "checkpoint/adapter_model.bin")
    a, b = (adapter[f"base_model.model.{layer}.lora_{x}.weight"].float() for x in "AB")
    merged = _tensors(imported("llavarad"))["model.language_model.layers.1.self_attn.q_proj.weight"]
    assert torch.equal(merged, base.float() + 8 / 4 * (b @ a))


def test_revision_is_the_commit_that_the_hub_s_client_recorded(
    source_of: Imported, tmp_path: Path
) -> None:
    source = source_of("llavamed")
    record = source / ".cache/huggingface/download/config.json.metadata"
    record.parent.mkdir(parents=True)
    record.write_text("91bb16c122001ddc9cf1fd36ce1dae09448943a2\netag\n1700000000.0\n")
    folder = import_golden("llavamed", tmp_path / "dst", source)
    assert load_model(folder).revision == "91bb16c122001ddc9cf1fd36ce1dae09448943a2"


def test_without_a_record_the_revision_names_the_files(imported: Imported, tmp_path: Path) -> None:
    first = read_manifest(imported("llavamed")).revision
    again = read_manifest(import_golden("llavamed", tmp_path / "again")).revision
    assert first.startswith("files-")
    assert first == again


def test_same_files_give_the_same_folder(imported: Imported, tmp_path: Path) -> None:
    again = import_golden("llavamed", tmp_path / "again")
    for path in imported("llavamed").iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    dst = tmp_path / "dst"
    dst.mkdir()
    (dst / "thesis.txt").write_text("x")
    with pytest.raises(ModelFolderRefusedError, match="not empty"):
        import_golden("llavamed", dst)
    assert [p.name for p in dst.iterdir()] == ["thesis.txt"]


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "dst").mkdir()
    assert load_model(import_golden("llavamed", tmp_path / "dst")).family == "llava-med-v1.5"


@pytest.mark.parametrize("family", ["openai", "llava", "", "../x"])
def test_unknown_family_is_refused_with_the_known_ones(family: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderRefusedError, match=r"known are .*llava-rad"):
        import_checkpoint(family, GOLDENS / "llava15/checkpoint", tmp_path / "dst")


def test_our_own_model_has_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderRefusedError, match="no published files"):
        import_checkpoint("overread-demo", GOLDENS / "llava15/checkpoint", tmp_path / "dst")


def test_large_model_is_written_in_shards_that_load(imported: Imported, tmp_path: Path) -> None:
    place, folder = GOLDENS / "llavamed", tmp_path / "dst"
    import_checkpoint(
        "llava-med-v1.5", place / "checkpoint", folder, place / "hub", shard_bytes=60_000
    )
    shards = sorted(p.name for p in folder.glob("*.safetensors"))
    assert shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    assert len(shards) > 2
    listed = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert listed.keys() == _tensors(imported("llavamed")).keys()
    ids = torch.tensor([1, 5, 9])
    assert torch.equal(load_model(folder).embed(ids), load_model(imported("llavamed")).embed(ids))
