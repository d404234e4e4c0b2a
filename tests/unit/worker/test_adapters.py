"""LoRA adapters beside each other in one batch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load, load_file, save, save_file

from inference.errors import ModelFolderRefusedError
from inference.worker.adapters import CONFIG, WEIGHTS, Adapters, find_adapters, load_adapter
from tests.unit.worker.conftest import StartEngine
from tests.unit.worker.fake import FakeModel
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question

pytestmark = pytest.mark.filterwarnings(  # peft 0.21 asks transformers 5.23 by an old name
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)


def _train(folder: Path, seed: int, **options: Any) -> Path:  # noqa: ANN401  # LoraConfig's
    """Write an adapter with random weights, as peft does after training."""
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "up_proj"], **options)
    trained: PeftModel = get_peft_model(FakeModel(eos=False).decoder, config)
    torch.manual_seed(seed)
    for name, weight in trained.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    trained.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    return folder


def _merged(folder: Path) -> FakeModel:
    """A model with an adapter's product added to its weights by hand: W + alpha / r * B A."""
    model = FakeModel(eos=False)
    tensors = load_file(folder / WEIGHTS)
    for name, down in tensors.items():
        if "lora_A" in name:
            up = tensors[name.replace("lora_A", "lora_B")]
            path = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            model.decoder.get_parameter(f"{path}.weight").add_(3.0 * up @ down)
    return model


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [_train(tmp_path / "one", 1), _train(tmp_path / "two", 2)]


def test_each_request_is_answered_with_its_own_adapter(
    model: FakeModel, folders: list[Path], start_engine: StartEngine
) -> None:
    expected = {None: FakeModel(eos=False), "one": _merged(folders[0]), "two": _merged(folders[1])}
    adapters = Adapters(model, [load_adapter(folder, model) for folder in folders])
    engine = start_engine(model, adapters=adapters)
    ask = question("What is this?", 1, max_tokens=12)
    names = ["one", None, "two", "one", None]
    receivers = [Receiver(engine, ask, adapter=name) for name in names]
    for receiver, name in zip(receivers, names, strict=True):
        assert receiver.ended().token_ids == plain_answer(expected[name], ask, 12)
    answers = {name: plain_answer(other, ask, 12) for name, other in expected.items()}
    assert len(set(answers.values())) == 3


def test_an_adapter_left_for_later_is_loaded_once_asked_for(
    model: FakeModel, folders: list[Path], start_engine: StartEngine
) -> None:
    adapters = Adapters(model, later={folder.name: folder for folder in folders})
    engine = start_engine(model, adapters=adapters)
    ask = question("hello", 1)
    _, bare = engine.answer(ask)
    assert bare.token_ids == plain_answer(model, ask, 16)
    for folder in folders:
        assert folder.name in adapters.names
        adapters.load(folder.name)
        adapters.load(folder.name)  # changes nothing
        _, ended = engine.answer(ask, adapter=folder.name)
        assert ended.token_ids == plain_answer(_merged(folder), ask, 16)
        assert adapters.sha256(folder.name) == load_adapter(folder, model).sha256


def test_adapters_are_found_alone_or_side_by_side(tmp_path: Path, folders: list[Path]) -> None:
    assert find_adapters(tmp_path) == folders
    assert find_adapters(folders[0]) == [folders[0]]
    with pytest.raises(ModelFolderRefusedError):
        find_adapters(tmp_path / "nowhere")


def test_the_hash_is_that_of_the_weights_file(model: FakeModel, folders: list[Path]) -> None:
    adapter = load_adapter(folders[0], model)
    adapters = Adapters(model, [adapter])
    assert adapters.sha256(None) is None
    assert adapters.sha256("one") == adapter.sha256
    assert len(adapter.sha256) == 64


def _change_config(folder: Path, **fields: Any) -> None:  # noqa: ANN401  # JSON
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"peft_type": "IA3"},
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"bias": "all"},
        {"rank_pattern": {"q_proj": 8}},
        {"r": 8},
        {"r": 0},
        {"r": "x"},
        {"r": None},
        {"lora_alpha": float("nan")},
        {"lora_alpha": []},
    ],
)
def test_what_is_no_plain_lora_of_this_model_is_refused(
    model: FakeModel, folders: list[Path], fields: dict[str, Any]
) -> None:
    _change_config(folders[0], **fields)
    with pytest.raises(ModelFolderRefusedError, match="one"):
        load_adapter(folders[0], model)


def test_an_adapter_of_the_vision_tower_is_refused(model: FakeModel, folders: list[Path]) -> None:
    tensors = load_file(folders[0] / WEIGHTS)
    moved = {name.replace("layers.0", "vision_tower.layers.0"): t for name, t in tensors.items()}
    save_file(moved, folders[0] / WEIGHTS)
    with pytest.raises(ModelFolderRefusedError, match="vision_tower"):
        load_adapter(folders[0], model)


def test_an_adapter_without_its_weights_is_refused(model: FakeModel, folders: list[Path]) -> None:
    (folders[0] / WEIGHTS).unlink()
    with pytest.raises(ModelFolderRefusedError, match=WEIGHTS):
        load_adapter(folders[0], model)


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000, "1", ""])
def test_an_adapter_with_a_damaged_config_is_refused(
    model: FakeModel, folders: list[Path], text: str
) -> None:
    (folders[0] / CONFIG).write_text(text)
    with pytest.raises(ModelFolderRefusedError, match="one"):
        load_adapter(folders[0], model)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-8], id="cut short"),
        pytest.param(lambda _: b"\x80\x04junk", id="no safetensors"),
        pytest.param(lambda _: save({}), id="empty"),
        pytest.param(
            lambda data: save({n: t * float("nan") for n, t in load(data).items()}), id="NaN"
        ),
        pytest.param(
            lambda data: save(
                {n.replace("self_attn.q_proj", "input_layernorm"): t for n, t in load(data).items()}
            ),
            id="on a norm",
        ),
    ],
)
def test_damaged_weights_are_refused(
    model: FakeModel, folders: list[Path], damage: Callable[[bytes], bytes]
) -> None:
    weights = folders[0] / WEIGHTS
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ModelFolderRefusedError, match="one"):
        load_adapter(folders[0], model)


def test_a_link_that_leaves_the_adapter_is_refused(
    model: FakeModel, folders: list[Path], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "weights"
    (folders[0] / WEIGHTS).rename(elsewhere)
    (folders[0] / WEIGHTS).symlink_to(elsewhere)
    with pytest.raises(ModelFolderRefusedError, match="link"):
        load_adapter(folders[0], model)
