"""One read from upload to export, over HTTP, as a program outside would drive it."""

import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
from PIL import Image

from storage.notice import NOTICE
from storage.phantoms import make_studies, to_bytes
from storage.vocabulary import Role
from tests.flow.place import COLLECTION, Place
from webapp.auth.routes import API


def film() -> bytes:
    """Return a small made-up chest film as a DICOM file."""
    (study,) = make_studies(1, seed=5, size=128, ct_every=0)
    ((_, dataset),) = study.files
    return to_bytes(dataset)


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and data of every event of a stream."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if block and block[0] != ":"]
    found = []
    for block in blocks:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def upload(program: httpx.AsyncClient, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
    """Upload files into the collection and return their outcomes."""
    answer = await program.post(
        f"{API}/studies",
        files=[("files", file) for file in files],
        data={"collection": COLLECTION},
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_from_upload_to_export(place: Place) -> None:
    async with place.program(Role.READER) as reader:
        (outcome,) = await upload(reader, ("film.dcm", film()))
        assert (outcome["file"], outcome["outcome"], outcome["code"]) == (
            "film.dcm",
            "admitted",
            "",
        )
        case_id = outcome["case_id"]

        worklist = (await reader.get(f"{API}/cases", params={"state": "todo"})).json()
        assert [item["id"] for item in worklist["items"]] == [case_id]
        assert worklist["next"] is None
        assert worklist["items"][0]["made_up"] is True
        claimed = (await reader.post(f"{API}/cases/next", json={"collection": COLLECTION})).json()
        assert claimed["id"] == case_id

        image = (await reader.get(f"{API}/images/{claimed['images'][0]['id']}")).json()
        frame = await reader.get(f"{API}/images/{image['id']}/frames/0")
        pixels = np.frombuffer(frame.content, np.dtype(image["dtype"]).newbyteorder("<"))
        assert pixels.size == image["rows"] * image["columns"] == 128 * 128

        own = {"idempotency_key": "own", "text": "Right effusion.", "confidence": 4}
        assert (await reader.post(f"{API}/cases/{case_id}/own-reads", json=own)).status_code == 201

        question = {"idempotency_key": "q1", "text": "What do you see?"}
        said = events(await reader.post(f"{API}/cases/{case_id}/questions", json=question))
        name, done = said[-1]
        assert name == "done"
        assert "".join(data["text"] for name, data in said if name == "token") == done["text"]
        assert done["text"] == place.worker.script
        assert (done["finish_reason"], done["choices"]) == ("stop", None)

        draft = (await reader.get(f"{API}/drafts/{done['draft_id']}")).json()
        assert [s["text"] for s in draft["sentences"]] == [
            "There is a right pleural effusion.",
            "The heart is not enlarged.",
        ]
        assert draft["notice"] == NOTICE
        assert (draft["model_id"], draft["seed"], draft["weights_sha256"]) == (
            "scripted",
            7,
            "0" * 64,
        )

        review = {
            "idempotency_key": "r1",
            "based_on_revision": 0,
            "sentences": [
                {"index": 0, "ok": True},
                {
                    "index": 1,
                    "ok": False,
                    "error": "incorrect_severity",
                    "clinically_significant": True,
                    "replacement": "The heart is enlarged.",
                },
            ],
        }
        saved = await reader.post(f"{API}/drafts/{draft['id']}/reviews", json=review)
        assert saved.status_code == 201
        assert saved.json() == {"id": saved.json()["id"], "revision": 1, "verdict": "major_edit"}
        again = await reader.post(f"{API}/drafts/{draft['id']}/reviews", json=review)
        assert again.json() == saved.json()

        done_cases = (await reader.get(f"{API}/cases", params={"state": "done"})).json()
        assert [item["id"] for item in done_cases["items"]] == [case_id]
        assert (await reader.post(f"{API}/cases/next")).status_code == 204

    async with place.program(Role.ADMIN) as admin:
        made = await admin.post(f"{API}/exports", json={"format": "trl-dpo"})
        assert made.status_code == 201
        export = made.json()
        assert sum(export["counts"].values()) == 1
        assert [e["id"] for e in (await admin.get(f"{API}/exports")).json()["items"]] == [
            export["id"]
        ]
        rows = []
        for name in export["files"]:
            file = await admin.get(f"{API}/exports/{export['id']}/files/{name}")
            assert file.status_code == 200
            assert file.headers["content-disposition"].startswith("attachment")
            if name.endswith(".jsonl"):
                rows += [json.loads(line) for line in file.text.splitlines()]
        whole = await admin.get(f"{API}/exports/{export['id']}/files/export.zip")
        assert whole.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
            assert archive.testzip() is None
            assert sorted(archive.namelist()) == sorted(export["files"])
        text = json.dumps(rows)
        assert "The heart is enlarged." in text
        assert "The heart is not enlarged." in text


async def test_a_zip_of_a_series_is_one_case(place: Place) -> None:
    (study,) = make_studies(1, seed=3, size=64, ct_every=1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, dataset in study.files:
            archive.writestr(name, to_bytes(dataset))

    async with place.program(Role.READER) as reader:
        outcomes = await upload(reader, ("series.zip", packed.getvalue()))
        case_id = outcomes[0]["case_id"]
        case = (await reader.get(f"{API}/cases/{case_id}")).json()

    assert len(outcomes) == len(study.files)
    assert {outcome["case_id"] for outcome in outcomes} == {case_id}
    (stack,) = case["images"]
    assert (stack["frames"], stack["units"]) == (len(study.files), "HU")


async def test_a_held_picture_waits_for_a_person(place: Place) -> None:
    picture = io.BytesIO()

    Image.new("L", (64, 64), 90).save(picture, "PNG")
    async with place.program(Role.READER) as reader, place.program(Role.TRAINEE) as trainee:
        (outcome,) = await upload(reader, ("photo.png", picture.getvalue()))
        assert outcome["outcome"] == "held"
        address = f"{API}/cases/{outcome['case_id']}"
        question = {"idempotency_key": "q", "text": "What is it?"}
        asked = await reader.post(f"{address}/questions", json=question)
        assert (asked.status_code, asked.json()["error"]["code"]) == (409, "case_held")
        assert (await trainee.get(address)).status_code == 404

        decision = {"idempotency_key": "a1", "decision": "clean"}
        attest = f"{API}/studies/{outcome['case_id']}/attest"
        assert (await trainee.post(attest, json=decision)).status_code == 403
        attested = await reader.post(attest, json=decision)
        assert (attested.status_code, attested.json()["state"]) == (200, "admitted")
        assert (await trainee.get(address)).status_code == 200
