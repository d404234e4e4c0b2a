"""The TRL formats, loaded by TRL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.engine import Store
from storage.vocabulary import ExportFormat, Verdict
from tests.unit.exports.conftest import written
from tests.world import World

FORMATS = [ExportFormat.TRL_SFT, ExportFormat.TRL_DPO, ExportFormat.TRL_KTO]
REPO = Path(__file__).parents[3]
PATCHES = 4  # tokens of one picture in the tiny model


def _clinic(world: World) -> None:
    """Four edits, two acceptances and two rejections; a conversation, a pair of pictures."""
    reader = world.person()
    case = world.case(world.collection(), reader, patient="patient 0")  # a patient of `train`
    shapes: list[dict[str, Any]] = [
        {},
        {"earlier": (("The lungs?", "Clear."),), "system": "You read films."},
        {"pictures": [world.picture(1), world.picture(2)]},
        {"question": "Do you see <image>?"},
    ]
    for number, shape in enumerate(shapes):
        draft = world.draft(case, reader, f"Draft {number}.", **shape)
        world.review(draft, reader, Verdict.MINOR_EDIT, f"Final {number}.")
    for number, shape in enumerate(shapes):
        draft = world.draft(case, reader, f"Judged {number}.", **shape)
        verdict = Verdict.REJECT if number % 2 else Verdict.ACCEPT_AS_IS
        world.review(draft, reader, verdict, f"Judged {number}.")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Export the same reviews in each format and let TRL load and train on them."""
    folder = tmp_path_factory.mktemp("trl")
    store = Store.open(f"sqlite:///{folder / 'overread.db'}")
    world = World.at(folder, store)
    with world.at_once():
        _clinic(world)
    arguments: list[str] = []
    for format_ in FORMATS:
        written(world, format_, folder / format_)
        arguments += [format_.value, str(folder / format_)]
    store.close()
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "tests.unit.exports.trl_loading", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPO,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # TRL takes ten seconds to import


def test_trl_takes_every_row(loaded: dict[str, Any]) -> None:
    assert {name: found["rows"] for name, found in loaded.items()} == {
        "trl-sft": 6,
        "trl-dpo": 4,
        "trl-kto": 4,
    }


def test_every_picture_has_its_tokens_and_no_typed_one_has(loaded: dict[str, Any]) -> None:
    pictures = {"trl-sft": 8, "trl-dpo": 5, "trl-kto": 5}
    for name, found in loaded.items():
        sides = 2 if name == "trl-dpo" else 1  # DPO repeats the prompt for chosen and rejected
        assert found["images"] == pictures[name]
        assert found["pictures"] == pictures[name] * sides
        assert found["image_tokens"] == pictures[name] * sides * PATCHES


def test_supervised_training_learns_the_final_texts_only(loaded: dict[str, Any]) -> None:
    learnt = sorted(text.removesuffix("</s>") for text in loaded["trl-sft"]["learnt"])
    assert learnt == [
        "Final 0.",
        "Final 1.",
        "Final 2.",
        "Final 3.",
        "Judged 0.",
        "Judged 2.",
    ]


def test_preference_training_sets_final_over_draft(loaded: dict[str, Any]) -> None:
    learnt = [text.removesuffix("</s>") for text in loaded["trl-dpo"]["learnt"]]
    chosen, rejected = learnt[:4], learnt[4:]
    assert sorted(zip(chosen, rejected, strict=True)) == [
        ("Final 0.", "Draft 0."),
        ("Final 1.", "Draft 1."),
        ("Final 2.", "Draft 2."),
        ("Final 3.", "Draft 3."),
    ]


def test_rated_training_sees_acceptances_as_true(loaded: dict[str, Any]) -> None:
    found = loaded["trl-kto"]
    learnt = [text.removesuffix("</s>") for text in found["learnt"]]
    assert dict(zip(learnt, found["labels"], strict=True)) == {
        "Judged 0.": True,
        "Judged 1.": False,
        "Judged 2.": True,
        "Judged 3.": False,
    }


def test_one_step_of_training_works_in_each_format(loaded: dict[str, Any]) -> None:
    assert loaded["trl-dpo"]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: nothing learnt yet
    assert loaded["trl-kto"]["loss"] == pytest.approx(0.5, abs=1e-3)
    assert 0 < loaded["trl-sft"]["loss"] < 20
