"""Hostile model folders: each refuses to load, and nothing in it runs."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ModelFolderRefusedError
from inference.families.folder import (
    Manifest,
    check_folder,
    read_manifest,
    refuse_code_keys,
    seal,
    sha256_of,
)
from inference.families.registry import load_model
from tests.unit.families.conftest import Sentinel

CopyOf = Callable[[str], Path]


def reseal(folder: Path) -> Manifest:
    """Write a manifest that fits the tampered files, as an attacker would."""
    old = read_manifest(folder)
    return seal(
        folder,
        family=old.family,
        revision=old.revision,
        licence=old.licence,
        settings=old.settings,
    )


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelFolderRefusedError) as caught:
        load_model(folder)
    assert caught.value.code == "model_refused"
    assert str(folder) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "optimizer.pt", "x.pkl", "model.safetensors.bak"]
)
def test_pickle_in_the_folder_is_never_opened(copy_of: CopyOf, tmp_path: Path, name: str) -> None:
    folder, mark = copy_of("llavamed"), tmp_path / "executed"
    (folder / name).write_bytes(pickle.dumps(Sentinel(mark)))
    reseal(folder)
    assert name in refusal(folder)
    assert not mark.exists()


def test_pickle_under_a_weights_name_is_never_executed(copy_of: CopyOf, tmp_path: Path) -> None:
    folder, mark = copy_of("llavamed"), tmp_path / "executed"
    (folder / "model.safetensors").write_bytes(pickle.dumps(Sentinel(mark)))
    reseal(folder)
    assert "model.safetensors" in refusal(folder)
    assert not mark.exists()


@pytest.mark.parametrize("section", ["", "text_config", "vision_config"])
def test_auto_map_is_refused_and_its_module_not_imported(
    copy_of: CopyOf, tmp_path: Path, section: str
) -> None:
    folder, mark = copy_of("llavamed"), tmp_path / "executed"
    (folder / "modeling.py").write_text(f"import os; os.mkdir({str(mark)!r})")
    mapping = {"auto_map": {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}}
    edit_config(folder, lambda c: (c[section] if section else c).update(mapping))
    reseal(folder)
    assert "modeling.py" in refusal(folder)
    (folder / "modeling.py").unlink()
    assert "auto_map" in refusal(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "key",
    [
        "_attn_implementation_internal",
        "_attn_implementation",
        "attn_implementation",
        "_experts_implementation_internal",
        "use_kernels",
        "kernel_config",
        "quantization_config",
        "custom_pipelines",
    ],
)
@pytest.mark.parametrize("section", ["", "text_config", "vision_config"])
def test_config_that_would_fetch_a_kernel_is_refused(
    copy_of: CopyOf, key: str, section: str
) -> None:
    folder = copy_of("llavamed")
    edit_config(folder, lambda c: (c[section] if section else c).update({key: "org/kernel"}))
    reseal(folder)
    assert key in refusal(folder)


def test_unknown_config_key_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    edit_config(folder, lambda c: c["text_config"].update({"loader": "x"}))
    reseal(folder)
    assert "loader" in refusal(folder)


@pytest.mark.parametrize(
    ("section", "model_type"),
    [("text_config", "deepseek_v3"), ("vision_config", "timm_wrapper"), ("", "llava_next")],
)
def test_model_type_that_is_not_ours_is_refused(
    copy_of: CopyOf, section: str, model_type: str
) -> None:
    folder = copy_of("llavamed")
    edit_config(folder, lambda c: (c[section] if section else c).update({"model_type": model_type}))
    reseal(folder)
    assert model_type in refusal(folder)


def test_absurd_number_of_layers_is_refused_before_building_them(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    edit_config(folder, lambda c: c["text_config"].update({"num_hidden_layers": 10**9}))
    reseal(folder)
    assert "layers" in refusal(folder)


def test_adapter_config_beside_the_model_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    reseal(folder)
    assert "adapter_config.json" in refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.model"])
def test_changed_byte_is_refused(copy_of: CopyOf, name: str) -> None:
    folder = copy_of("llavamed")
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert name in refusal(folder)


def test_link_that_leaves_the_folder_is_refused(copy_of: CopyOf, tmp_path: Path) -> None:
    folder = copy_of("llavamed")
    outside = tmp_path / "outside.safetensors"
    (folder / "model.safetensors").rename(outside)
    (folder / "model.safetensors").symlink_to(outside)
    assert "link" in refusal(folder)


def test_folder_inside_the_folder_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    (folder / "custom_generate").mkdir()
    assert "custom_generate" in refusal(folder)


def test_missing_and_unlisted_files_are_named(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    (folder / "tokenizer.model").rename(folder / "tokenizer.json")
    assert "tokenizer.model" in refusal(folder)
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert "model-00001-of-00002.safetensors" in refusal(folder)


def test_card_beside_the_model_is_welcome(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    (folder / "card.md").write_text("What it saw.")
    assert check_folder(folder).family == "llava-med-v1.5"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "family": "x"}', "[" * 100_000],
)
def test_manifest_that_is_none_is_refused(copy_of: CopyOf, text: str) -> None:
    folder = copy_of("llavamed")
    (folder / "overread.json").write_text(text)
    assert refusal(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"template": "chatml"},
        {"image": {}},
        {"image": []},
        {"tokenizer": {"kind": "slow"}},
        {"tokenizer": "slow"},
        {"eos": "x"},
        {"eos": [10**9]},
        {"eos": [True]},
        {"context": 10**12},
        {"context": "4096"},
        {"image_tokens": 577},
        {"image_tokens": 10**12},
    ],
)
def test_settings_that_the_family_does_not_know_are_refused(
    copy_of: CopyOf, settings: dict[str, object]
) -> None:
    folder = copy_of("llavamed")
    path = folder / "overread.json"
    manifest = json.loads(path.read_text())
    manifest["settings"] |= settings
    path.write_text(json.dumps(manifest))
    assert refusal(folder)


def test_licence_that_would_command_a_terminal_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    path = folder / "overread.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"licence": "\x1b]0;free\x07"}))
    assert "control characters" in refusal(folder)


def test_image_size_is_that_of_the_tower(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    path = folder / "overread.json"
    manifest = json.loads(path.read_text())
    manifest["settings"]["image"]["size"] = 10**6
    path.write_text(json.dumps(manifest))
    assert "image" in refusal(folder)


def test_family_is_an_explicit_id_and_not_guessed(imported: CopyOf) -> None:
    with pytest.raises(ModelFolderRefusedError, match=r"llava-med-v1\.5"):
        load_model(imported("llavamed"), family="llava-1.5")


def test_folder_of_no_known_family_is_refused(copy_of: CopyOf) -> None:
    folder = copy_of("llavamed")
    path = folder / "overread.json"
    path.write_text(path.read_text().replace('"llava-med-v1.5"', '"llava-med-v9"'))
    assert "llava-med-v9" in refusal(folder)


def test_null_is_what_old_releases_wrote_for_none() -> None:
    refuse_code_keys({"quantization_config": None, "inner": [{"auto_map": None}]}, "config.json")


def test_weights_hash_of_one_file_is_that_file_s(imported: CopyOf) -> None:
    folder = imported("llavamed")
    assert read_manifest(folder).weights_sha256 == sha256_of(folder / "model.safetensors")


def test_weights_hash_of_shards_is_the_hash_of_their_list() -> None:
    manifest = Manifest("f", "r", "l", {}, {"b.safetensors": "2", "a.safetensors": "1", "x": "3"})
    # printf '1  a.safetensors\n2  b.safetensors\n' | sha256sum
    assert manifest.weights_sha256 == (
        "216aebbc54ba02a69293591eb625f6d920a38d5466c2e3ca206c077f0f901331"
    )
