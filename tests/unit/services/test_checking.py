"""The search of pixels for text: what it decides, and that nothing slips past it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from sqlmodel import Session

from storage.checks import claim
from storage.engine import Store
from storage.errors import NotFoundError, StorageFullError
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import Sandbox, SandboxError
from storage.phantoms import write_studies
from storage.tables import Attestation, Case, Image, Instance, PixelCheck, PixelText
from storage.vocabulary import CaseState, Role
from tests.searchers import Boxes, Searched, where_white
from tests.unit.services.world import World, on_both_databases
from webapp.services.actor import Actor
from webapp.services.checking import CLAIM, Checking
from webapp.services.errors import HeldError, NotSignedInError, TextLeftError
from webapp.services.reading import Reading
from webapp.services.studies import Studies
from webapp.services.views import SearchView
from webapp.services.worklist import Worklist


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a made-up film of 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("plain")
    write_studies(folder, count=1, seed=1, size=64, ct_every=100)
    return next(folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> Path:
    """Return a grey film of five frames; the second has a white line, the fourth two."""
    film = pydicom.dcmread(plain)
    pixels = np.full((5, 40, 60), 90, np.uint8)
    pixels[:, 20, 30] = 91  # a frame of one value would need no search
    pixels[1, 5:10, 5:30] = pixels[3, 5:10, 5:30] = pixels[3, 30:36, 20:50] = 255
    pixels[1, 7, 10] = pixels[3, 7, 10] = pixels[3, 33, 30] = 254  # in one shade is no text
    film.NumberOfFrames, film.Rows, film.Columns = 5, 40, 60
    film.BitsAllocated = film.BitsStored = 8
    film.HighBit, film.PixelRepresentation = 7, 0
    film.PixelData = pixels.tobytes()
    for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        film.pop(name, None)
    film.SOPClassUID = pydicom.uid.UID("1.2.840.10008.5.1.4.1.1.12.1")
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.Modality = "XA"
    path = tmp_path_factory.mktemp("written") / "cine.dcm"
    film.save_as(path)
    return path


def two_lines(piece: NDArray[Any]) -> Boxes:
    """Find each of the film's two lines on its own."""
    return where_white(piece[:20]) + [
        [c0, r0 + 20, c1, r1 + 20, said] for c0, r0, c1, r1, said in where_white(piece[20:])
    ]


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


Making = Callable[..., Studies]


@pytest.fixture
def make(world: World, sandbox: Sandbox) -> Making:
    """Return a function that makes the use cases of one process."""

    def making(searcher: Any) -> Studies:  # noqa: ANN401 - a stand-in
        checking = Checking(world.store, world.blobs, world.clock, searcher)
        return Studies(world.store, world.blobs, world.blobs.keys, world.clock, sandbox, checking)

    return making


def take(studies: Studies, reader: Actor, path: Path, within_s: float | None = None) -> Any:  # noqa: ANN401 - a view
    (outcome,) = studies.receive(reader, [path], "Chest", within_s=within_s)
    return outcome


def the_case(world: World) -> Case:
    (case,) = world.rows(Case)
    assert isinstance(case, Case)
    return case


def test_a_study_without_text_is_admitted(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    assert take(make(Searched()), reader, plain).outcome == "admitted"
    assert the_case(world).state is CaseState.ADMITTED
    assert world.events() == [
        ("study.received", "success", ""),
        ("study.searched", "success", ""),
    ]


def test_text_holds_a_study_and_its_boxes_are_kept(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    outcome = take(make(Searched(two_lines)), reader, written)
    assert (outcome.outcome, outcome.code) == ("held", "text_in_pixels")
    assert "Text was found" in outcome.message
    assert world.events()[-1] == ("study.searched", "success", "text_in_pixels")
    boxes = {
        (t.frame, t.column0, t.row0, t.column1, t.row1, t.marker) for t in world.rows(PixelText)
    }
    assert boxes == {
        (1, 3, 3, 31, 11, ""), (3, 3, 3, 31, 11, ""), (3, 18, 28, 51, 37, ""),
    }  # fmt: skip


def test_markers_alone_do_not_hold_a_study(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    searched = Searched(lambda _piece: [[40, 5, 60, 15, "ERECT"]])
    assert take(make(searched), reader, plain).outcome == "admitted"
    assert [text.marker for text in world.rows(PixelText)] == ["ERECT"]


def test_pixels_that_cannot_be_searched_hold_a_study(
    make: Making, reader: Actor, plain: Path
) -> None:
    def lost(_piece: NDArray[Any]) -> Boxes:
        raise RefusedFileError("decode_failed")

    outcome = take(make(Searched(lost)), reader, plain)
    assert (outcome.outcome, outcome.code) == ("held", "pixels_unread")


def test_a_fault_of_our_own_holds_a_study_too(make: Making, reader: Actor, plain: Path) -> None:
    def faulty(_piece: NDArray[Any]) -> Boxes:
        raise ZeroDivisionError

    assert take(make(Searched(faulty)), reader, plain).code == "pixels_unread"


def test_without_children_a_study_goes_on_waiting(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    class NoChildren:
        def crew(self) -> Any:  # noqa: ANN401 - never returns
            raise SandboxError

    assert take(make(NoChildren()), reader, plain).outcome == "checking"
    assert the_case(world).state is CaseState.CHECKING
    make(Searched()).checking.settle([the_case(world).id])
    assert the_case(world).state is CaseState.ADMITTED


def test_a_study_that_is_searched_is_seen_by_nobody_but_its_uploader(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    outcome = take(make(Searched()), reader, written, within_s=0)
    assert (outcome.outcome, outcome.code) == ("checking", "")
    case, worklist = the_case(world), Worklist(world.store, world.clock)
    colleague = world.make_actor(Role.ADJUDICATOR)
    world.add_member(world.rows(type(world.make_collection()))[0], colleague)
    with pytest.raises(NotFoundError):
        worklist.case(colleague, case.id)
    assert worklist.page(colleague).items == ()
    (row,) = worklist.page(reader).items
    assert (row.state, row.checked) == (CaseState.CHECKING, (0, 5))
    assert worklist.case(reader, case.id).checked == (0, 5)
    with pytest.raises(HeldError):
        Reading(world.store, world.clock).commit_own_read(
            reader, case.id, text="Normal.", findings=(), confidence=3, idempotency_key="k"
        )


def test_an_open_page_follows_the_search_without_an_event(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    take(make(Searched(two_lines)), reader, written, within_s=0)
    worklist, case = Worklist(world.store, world.clock), the_case(world)
    before = world.events()
    assert worklist.search(reader, case.id) == SearchView(case.id, CaseState.CHECKING, (0, 5))
    assert world.events() == before
    with pytest.raises(NotFoundError):
        worklist.search(world.make_actor(Role.READER), case.id)
    with pytest.raises(NotSignedInError):
        worklist.search(None, case.id)
    make(Searched(two_lines)).checking.settle([case.id])
    assert worklist.search(reader, case.id) == SearchView(case.id, CaseState.HELD, None)


@on_both_databases
def test_another_process_takes_up_what_one_left_behind(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    first = Searched(two_lines)
    stopping = make(first)

    def two_frames(piece: NDArray[Any]) -> Boxes:
        if first.pieces > 2:
            stopping.checking._stop.set()  # as `stop` does from another thread
        return two_lines(piece)

    first.find = two_frames
    take(stopping, reader, written, within_s=0)
    stopping.checking._check_next(None, None, None)
    (check,) = world.rows(PixelCheck)
    assert (check.frames_done, check.claimed_until) == (3, None)
    second = Searched(two_lines)
    make(second).checking.settle([the_case(world).id])
    assert second.pieces == 2
    assert the_case(world).held_because == ["text_in_pixels"]
    assert len(world.rows(PixelText)) == 3


def test_what_was_found_outlives_a_full_disk(
    world: World, make: Making, reader: Actor, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = make(Searched(two_lines))
    take(studies, reader, written, within_s=0)
    write, writes = Store.write, count(1)

    @contextmanager
    def full_at_the_second_commit(store: Store) -> Iterator[Session]:
        with write(store) as session:
            yield session
            if next(writes) == 2:  # the first claims the case
                raise StorageFullError

    monkeypatch.setattr(Store, "write", full_at_the_second_commit)
    with pytest.raises(StorageFullError):
        studies.checking.settle([the_case(world).id])
    studies.checking.settle([the_case(world).id])
    assert the_case(world).held_because == ["text_in_pixels"]
    assert len(world.rows(PixelText)) == 3


def test_the_background_search_outlives_a_fault(
    world: World, make: Making, reader: Actor, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking = make(Searched()).checking
    claimed, faults = checking._claimed, count(1)

    def faulty(*given: Any) -> Any:  # noqa: ANN401 - passed on
        if next(faults) == 1:
            raise RuntimeError("unforeseen")
        return claimed(*given)

    monkeypatch.setattr(checking, "_claimed", faulty)
    monkeypatch.setattr("webapp.services.checking.RETRY_S", 0.01)
    take(make(Searched()), reader, plain, within_s=0)
    checking.start()
    checking.settle([the_case(world).id])
    checking.stop()
    assert the_case(world).state is CaseState.ADMITTED


def test_a_dead_process_keeps_a_study_for_a_minute(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    take(make(Searched()), reader, plain, within_s=0)
    with world.store.write() as session:
        assert claim(session, "dead", at=world.clock(), until=world.clock() + CLAIM) is not None
    checking = make(Searched()).checking
    checking.settle([the_case(world).id], within_s=0.1)
    assert the_case(world).state is CaseState.CHECKING
    world.clock.forward(seconds=61)
    checking.settle([the_case(world).id])
    assert the_case(world).state is CaseState.ADMITTED


@pytest.mark.parametrize(
    ("claimant", "is_taken"),
    [
        pytest.param("{host}:{dead}:0011", True, id="a dead process of this machine"),
        pytest.param("{host}:{own}:0011", True, id="the one before this one, with its number"),
        pytest.param("{host}:{alive}:0011", False, id="a living process"),
        pytest.param("elsewhere:{dead}:0011", False, id="another machine"),
        pytest.param("who knows", False, id="nobody's words"),
    ],
)
def test_the_background_search_takes_over_from_the_dead_of_this_machine(
    world: World, make: Making, reader: Actor, plain: Path, claimant: str, is_taken: bool
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    numbers = {"dead": ended.pid, "own": os.getpid(), "alive": os.getppid()}
    by = claimant.format(host=socket.gethostname()[:24], **numbers)
    take(make(Searched()), reader, plain, within_s=0)
    with world.store.write() as session:
        assert claim(session, by, at=world.clock(), until=world.clock() + CLAIM) is not None
    checking = make(Searched()).checking
    checking.start()
    checking.settle([the_case(world).id], within_s=None if is_taken else 0.2)
    checking.stop()
    assert the_case(world).state is (CaseState.ADMITTED if is_taken else CaseState.CHECKING)


def test_who_waits_for_as_long_as_it_takes_looks_now_and_then(
    world: World, make: Making, reader: Actor, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.clock.forward(seconds=30)

    take(make(Searched()), reader, plain, within_s=0)
    with world.store.write() as session:
        assert claim(session, "other", at=world.clock(), until=world.clock() + CLAIM) is not None
    monkeypatch.setattr("webapp.services.checking.time.sleep", sleep)
    make(Searched()).checking.settle([the_case(world).id])
    assert slept == [0.25, 0.25, 0.25]
    assert the_case(world).state is CaseState.ADMITTED


def test_the_background_search_begins_with_what_was_left(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    take(make(Searched()), reader, plain, within_s=0)
    checking = make(Searched()).checking
    checking.start()
    checking.settle([the_case(world).id])
    checking.stop()
    assert the_case(world).state is CaseState.ADMITTED
    assert "pixel-text" not in {thread.name for thread in threading.enumerate()}


def test_progress_is_told(make: Making, reader: Actor, written: Path) -> None:
    told = list[tuple[int, int]]()
    studies = make(Searched())
    list(studies.receive(reader, [written], "Chest", within_s=None,
                         told=lambda done, frames: told.append((done, frames))))  # fmt: skip
    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)


def masks(world: World, *boxes: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    (image,) = world.rows(Image)
    return [{"image_id": str(image.id), "coords": list(box)} for box in boxes]


@on_both_databases
def test_masking_all_text_admits_a_study_after_another_search(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    searched = Searched(two_lines)
    studies = make(searched)
    take(studies, reader, written)
    before = searched.pieces
    (boxes,) = [masks(world, (3, 3, 31, 11), (18, 28, 51, 37))]
    view = studies.attest(reader, the_case(world).id, "mask", boxes, "k")
    assert (view.state, view.held_because) == (CaseState.ADMITTED, ())
    assert searched.pieces == before + 1  # blank, all five are alike
    assert world.rows(PixelText) == []
    assert len(world.rows(Attestation)) == 1
    (instance,) = world.rows(Instance)
    assert (np.frombuffer(world.blobs.get(instance.pixel_blob), np.uint8) < 255).all()


def test_text_that_is_left_keeps_a_study_held(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    studies = make(Searched(two_lines))
    take(studies, reader, written)
    case_id = the_case(world).id
    with pytest.raises(TextLeftError, match="one image"):
        studies.attest(reader, case_id, "mask", masks(world, (3, 3, 31, 11)), "k")
    case = the_case(world)
    assert (case.state, case.held_because) == (CaseState.HELD, ["text_in_pixels"])
    assert world.events()[-1][2] == "text_left"
    view = studies.attest(reader, case_id, "mask", masks(world, (18, 28, 51, 37)), "l")
    assert view.state is CaseState.ADMITTED


def test_text_on_frames_that_were_not_masked_keeps_a_study_held(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    searched = Searched(two_lines)
    studies = make(searched)
    take(studies, reader, written)
    before = searched.pieces
    (box,) = masks(world, (3, 3, 31, 11))
    with pytest.raises(TextLeftError, match="one image"):
        studies.attest(reader, the_case(world).id, "mask", [box | {"frames": [1]}], "k")
    assert searched.pieces == before + 1  # only the masked frame is searched again
    assert {text.frame for text in world.rows(PixelText)} == {3}


def test_a_person_may_say_that_found_text_names_nobody(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    studies = make(Searched(two_lines))
    take(studies, reader, written)
    view = studies.attest(reader, the_case(world).id, "clean", [], "k")
    assert view.state is CaseState.ADMITTED
    assert len(world.rows(Attestation)) == 1


def test_found_text_is_shown_to_whoever_decides(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    take(make(Searched(two_lines)), reader, written)
    (image,) = world.rows(Image)
    shown = Worklist(world.store, world.clock).case(reader, the_case(world).id).found_text
    assert [(text.image_id, text.coords, text.frames) for text in shown] == [
        (image.id, (3, 3, 31, 11), (1, 3)),
        (image.id, (18, 28, 51, 37), (3,)),
    ]


def test_a_stopping_process_does_not_wait_for_a_long_case(
    world: World, make: Making, reader: Actor, written: Path
) -> None:
    def slow(_piece: NDArray[Any]) -> Boxes:
        time.sleep(0.05)
        return []

    take(make(Searched(slow)), reader, written, within_s=0)
    checking = make(Searched(slow)).checking
    checking.start()
    checking.stop()
    assert the_case(world).state is CaseState.CHECKING


def test_nobody_waits_for_a_process_that_stops(
    world: World, make: Making, reader: Actor, plain: Path
) -> None:
    studies = make(Searched())
    studies.checking.stop()
    assert take(studies, reader, plain).outcome == "checking"
    assert the_case(world).state is CaseState.CHECKING
