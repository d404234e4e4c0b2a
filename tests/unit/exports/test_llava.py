"""The LLaVA format, read by the rules of LLaVA's own training code.

Those rules (`LazySupervisedDataset`, `preprocess_multimodal` and the conversation templates of
the original repository) are written down here anew: that code cannot be installed beside ours.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.vocabulary import ExportFormat, Verdict
from tests.unit.exports.conftest import written
from tests.world import World

IMAGE_TOKEN = "<image>"
ROLES = {"human": "USER", "gpt": "ASSISTANT"}


@pytest.fixture
def folder(sqlite_world: World, tmp_path: Path) -> Path:
    """Export a single question, a conversation, and a text that names the token."""
    world = sqlite_world
    with world.at_once():
        reader = world.person()
        case = world.case(world.collection(), reader, patient="patient 0")  # of `train`
        shapes: list[dict[str, Any]] = [
            {},
            {
                "earlier": (("The lungs?", "Clear."), ("The bones?", "Whole.")),
                "system": "LLaVA's code brings its own.",
            },
            {"question": "Do you see <image>?"},
            {"pictures": []},
        ]
        for number, shape in enumerate(shapes):
            draft = world.draft(case, reader, f"Draft {number}.", **shape)
            world.review(draft, reader, Verdict.MINOR_EDIT, f"Final {number} <image>.")
    written(world, ExportFormat.LLAVA, tmp_path / "llava")
    return tmp_path / "llava"


def _samples(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "train.json").read_text())
    return found


def _prompt(sample: dict[str, Any]) -> str:
    """Build the training text as the original code does; it asserts the order of the roles."""
    said = []
    for number, turn in enumerate(sample["conversations"]):
        assert ROLES[turn["from"]] == ("ASSISTANT" if number % 2 else "USER")
        text = turn["value"]
        if IMAGE_TOKEN in text:  # found anywhere, it is moved to the front
            text = IMAGE_TOKEN + "\n" + text.replace(IMAGE_TOKEN, "").strip()
        said.append(f"{ROLES[turn['from']]}: {text}")
    return " ".join(said)


def test_every_sample_loads(folder: Path) -> None:
    samples = _samples(folder)
    assert len(samples) == 4
    assert _prompt(samples[0]) == "USER: <image>\nWhat do you see? ASSISTANT: Final 0 ‹image›."


def test_each_sample_has_as_many_tokens_as_images(folder: Path) -> None:
    for sample in _samples(folder):
        assert _prompt(sample).count(IMAGE_TOKEN) == ("image" in sample)


def test_each_image_opens(folder: Path) -> None:
    for sample in _samples(folder):
        if "image" in sample:
            with Image.open(folder / sample["image"]) as image:
                assert image.convert("RGB").size == (8, 8)


def test_a_conversation_keeps_its_turns(folder: Path) -> None:
    said = [turn["value"] for turn in _samples(folder)[1]["conversations"]]
    assert said == [
        "<image>\nThe lungs?",
        "Clear.",
        "The bones?",
        "Whole.",
        "What do you see?",
        "Final 1 ‹image›.",
    ]
