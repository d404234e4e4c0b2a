"""Golden checkpoints of our own, and what the check must not let through."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ModelFolderRefusedError
from inference.worker.verify import Row, print_table, verify
from tests.unit.families.conftest import FAMILY_OF, GOLDENS


@pytest.mark.parametrize("name", FAMILY_OF)
def test_our_goldens_are_met(name: str) -> None:
    rows = verify(GOLDENS / name)
    assert [row.faults for row in rows] == [[]] * len(rows)
    assert all(row.passed and row.cases >= 3 for row in rows)
    assert len(rows) == (3 if name.startswith("medmvl") else 1)  # both dialects of the config


def test_both_dialects_of_medm_vl_are_read() -> None:
    assert [row.variant for row in verify(GOLDENS / "medmvl2d")] == ["", "lvlm", "old"]


def altered(tmp_path: Path, name: str, file: str, change: dict[str, Any]) -> list[str]:
    """Change one JSON file of a golden folder and return what the check says."""
    place = Path(shutil.copytree(GOLDENS / name, tmp_path / name))
    shutil.rmtree(place / "config_variants", ignore_errors=True)
    path = place / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (row,) = verify(place)
    assert not row.passed
    return row.faults


@pytest.mark.parametrize(
    ("name", "file", "change", "noticed"),
    [
        pytest.param(
            "llavamed", "checkpoint/config.json", {"mm_vision_select_layer": -1}, "tower",
            id="wrong layer",
        ),
        pytest.param(
            "llavamed", "checkpoint/config.json", {"rope_theta": 1e4}, "logits", id="wrong rope"
        ),
        pytest.param(
            "llavamed", "checkpoint/tokenizer_config.json", {"legacy": False}, "input_ids",
            id="wrong space after an end mark",
        ),
        pytest.param(
            "llavarad", "checkpoint/adapter_config.json", {"lora_alpha": 4}, "logits",
            id="wrong LoRA scale",
        ),
        pytest.param("llavarad", "tower_dims.json", {"num_heads": 8}, "tower", id="wrong heads"),
    ],
)  # fmt: skip
def test_typical_mistake_is_noticed(
    tmp_path: Path, name: str, file: str, change: dict[str, Any], noticed: str
) -> None:
    assert any(noticed in fault for fault in altered(tmp_path, name, file, change))


def test_release_that_cannot_be_loaded_fails_its_row(tmp_path: Path) -> None:
    faults = altered(tmp_path, "llavamed", "checkpoint/config.json", {"hidden_size": 64})
    assert len(faults) == 1
    assert faults[0].startswith("not loaded: Mis-shaped tensors")


def test_folder_without_goldens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderRefusedError, match="no golden cases"):
        verify(tmp_path)


def test_table_has_a_line_a_checkpoint_and_the_faults_below() -> None:
    good = Row("llava-rad", cases=8, feature_difference=5.6e-6, logit_difference=1.7e-5)
    bad = Row("llava-1.5", cases=1, ids_equal=False, faults=["two_turn: input_ids differs"])
    out = io.StringIO()
    print_table([good, bad], out)
    lines = out.getvalue().splitlines()
    assert lines[1].split() == ["llava-rad", "8", "0", "5.6e-06", "1.7e-05", "equal", "pass"]
    assert lines[2].split()[-2:] == ["differ", "FAIL"]
    assert lines[3] == "    two_turn: input_ids differs"


def test_row_without_cases_has_not_passed() -> None:
    assert not Row("llava-rad").passed


@pytest.mark.shared
@pytest.mark.timeout(240)  # three imports with a vocabulary of 151,936 on a busy machine
@pytest.mark.parametrize("name", FAMILY_OF)
def test_original_authors_values_are_met(shared: Path, name: str) -> None:
    rows = verify(shared / "goldens" / name)
    assert [row.faults for row in rows] == [[]] * len(rows)
    assert all(row.cases >= 7 for row in rows)
