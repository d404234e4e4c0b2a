"""Pulling from an archive that does not do what it says; a real one is in `tests/flow`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from storage.vocabulary import Role
from tests.unit.services.world import World
from webapp.services.dicomweb import Item
from webapp.services.parts import Parts
from webapp.services.pulling import Pulling

CT = "1.2.840.10008.5.1.4.1.1.2"


class Forgetful:
    """Lists two images of a study and sends one."""

    def studies(self, _criteria: Mapping[str, str], _most: int) -> list[str]:
        return ["1.2"]

    def instances(self, _study: str, _most: int) -> list[Item]:
        named = {"0020000E": "1.2.3", "00080060": "CT", "00080016": CT}
        return [
            {
                tag: {"vr": "UI", "Value": [value]}
                for tag, value in {**named, "00080018": uid}.items()
            }
            for uid in ("1.2.3.1", "1.2.3.2")
        ]

    def retrieve(
        self, _study: str, _series: str, parts: Parts, _until: float, _told: Callable[[], None]
    ) -> None:
        parts.begin('multipart/related; type="application/dicom"; boundary=b')
        parts.write(b"--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--b--")
        parts.finish()


def test_a_study_of_which_images_are_missing_is_no_success(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulling = Pulling(None, tmp_path)  # type: ignore[arg-type]  # nothing gets as far as the door
    monkeypatch.setattr(Pulling, "_is_here", lambda *_: False)
    reader = world.make_actor(Role.READER)
    pulled = pulling.pull(reader, Forgetful(), "C", {}, most=5, told=lambda _: None)  # type: ignore[arg-type]  # a stand-in
    (outcome,) = pulled
    assert (outcome.outcome, outcome.files) == ("failed", 0)
    assert "fewer images" in outcome.message
