"""Studies with text in their pixels, through the door with everything real."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont

from storage.vocabulary import Role
from tests.bench.pixel_corpus import Known, known_files
from tests.flow.place import COLLECTION, Place
from tests.flow.terminal import Overread
from webapp.cli.samples import shipped_studies

API = "/api/v1"
QUICK = {"h02_tr.dcm", "h06_br.dcm", "h08_none.dcm", "2_ORIGINAL.dcm"}


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Return the CT slice that pydicom ships, with a name written on it."""
    ct = pydicom.dcmread(shipped_studies()[0])
    layer = Image.new("L", (128, 128))
    font = ImageFont.load_default(12)
    ImageDraw.Draw(layer).text((6, 8), "HOLLOWAY, Anna", fill=255, font=font)
    pixels = ct.pixel_array.copy()
    pixels[np.asarray(layer) > 100] = 3000
    ct.PixelData = pixels.tobytes()
    ct.save_as(tmp_path / "ct.dcm")
    return tmp_path / "ct.dcm"


async def test_a_name_on_a_slice_is_held_masked_and_gone(place: Place, named: Path) -> None:
    async with place.program(Role.READER) as reader:
        sent = {"files": ("ct.dcm", named.read_bytes())}
        answer = await reader.post(f"{API}/studies", data={"collection": COLLECTION}, files=sent)
        (outcome,) = answer.json()["items"]
        assert (outcome["outcome"], outcome["code"]) == ("held", "text_in_pixels")
        case = (await reader.get(f"{API}/cases/{outcome['case_id']}")).json()
        (found,) = case["found_text"]
        asked = await reader.post(
            f"{API}/cases/{case['id']}/questions", json={"idempotency_key": "k", "text": "?"}
        )
        assert asked.status_code == 409

        attest = f"{API}/studies/{case['id']}/attest"
        beside = {"image_id": found["image_id"], "coords": [100, 100, 120, 120]}
        answer = await reader.post(
            attest, json={"idempotency_key": "a", "decision": "mask", "masks": [beside]}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "text_left")
        answer = await reader.post(
            attest,
            json={
                "idempotency_key": "b",
                "decision": "mask",
                "masks": [{key: found[key] for key in ("image_id", "coords", "frames")}],
            },
        )
        assert (answer.status_code, answer.json()["state"]) == (200, "admitted")


def test_the_command_line_waits_for_the_outcome(overread: Overread, named: Path) -> None:
    overread("init", "--admin", "ann", "--password-stdin", stdin="a password for a test\n")
    ran = overread("ingest", str(named), "--collection", "Chest", "--json")
    assert '"outcome": "held", "code": "text_in_pixels"' in ran.out
    assert ran.code == 0


@pytest.fixture(scope="module")
def known(shared: Path) -> dict[str, Known]:
    return {each.name: each for each in known_files(shared) if each.name in QUICK}


@pytest.mark.shared
@pytest.mark.slow
async def test_every_file_with_a_name_burned_in_is_held(
    place: Place, known: dict[str, Known]
) -> None:
    """The others of the known files take a minute: `make bench-pixels` has them all."""
    services, reader = place.services, place.people[Role.READER]
    outcomes = {
        outcome.file: outcome
        for outcome in services.studies.receive(
            reader, [each.path for each in known.values()], COLLECTION, within_s=None
        )
    }
    for name, each in known.items():
        case = services.worklist.case(reader, outcomes[name].case_id)  # type: ignore[arg-type] # none is refused
        found = [text.coords for text in case.found_text]
        assert each.named <= ("text_in_pixels" in case.held_because), name
        assert found, name  # h08 has a radiographer's initials on its film
