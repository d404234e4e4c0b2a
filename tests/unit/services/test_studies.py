"""Studies through the door, decisions about held pixels, and studies written out."""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture

from storage.errors import (
    ExportFolderError,
    IdempotencyConflictError,
    NotFoundError,
    StorageFullError,
)
from storage.intake.sandbox import Sandbox
from storage.phantoms import write_studies
from storage.tables import Attestation, Case, Collection, Image, Instance, Membership
from storage.vocabulary import CaseState, Protocol, Role
from tests.searchers import Searched
from tests.unit.services.world import NOBODY, World, done, refused
from webapp.services.actor import Actor
from webapp.services.checking import Checking
from webapp.services.collections import Collections
from webapp.services.errors import (
    CaseRefusedError,
    HeldError,
    InvalidRequestError,
    NotAllowedError,
    NotHeldError,
    NotSignedInError,
    SecondPersonRequiredError,
)
from webapp.services.images import Images
from webapp.services.studies import Studies
from webapp.services.views import FileOutcomeView


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two made-up films of two studies."""
    folder = tmp_path_factory.mktemp("films")
    write_studies(folder, count=2, seed=1, size=64, ct_every=100)
    return sorted(folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a picture of 40 x 30 pixels, every one 200: such are held."""
    path = tmp_path_factory.mktemp("png") / "film.png"
    Picture.fromarray(np.full((30, 40), 200, np.uint8)).save(path)
    return path


@pytest.fixture
def studies(world: World, sandbox: Sandbox) -> Studies:
    checking = Checking(world.store, world.blobs, world.clock, Searched())
    return Studies(world.store, world.blobs, world.blobs.keys, world.clock, sandbox, checking)


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


def take(studies: Studies, actor: Actor | None, *paths: Path, **more: Any) -> list[FileOutcomeView]:  # noqa: ANN401 - arguments
    return list(studies.receive(actor, paths, more.pop("collection", "Chest"), **more))


def hold(world: World, studies: Studies, reader: Actor, png: Path) -> Case:
    (outcome,) = take(studies, reader, png)
    assert outcome.outcome == "held"
    (case,) = world.rows(Case)
    assert isinstance(case, Case)
    return case


def test_film_becomes_a_case_in_a_collection_of_its_uploader(
    world: World, studies: Studies, reader: Actor, films: list[Path]
) -> None:
    (outcome,) = take(studies, reader, films[0])
    (case,) = world.rows(Case)
    assert outcome == FileOutcomeView(films[0].name, "admitted", "", "", case.id)
    assert (case.state, case.made_up, case.uploaded_by) == (CaseState.ADMITTED, True, reader.id)
    (collection,) = world.rows(Collection)
    assert (collection.name, collection.protocol) == ("Chest", Protocol.READER_FIRST)
    assert [row.person_id for row in world.rows(Membership)] == [reader.id]
    assert world.events() == [done("study.received"), done("study.searched")]
    assert world.last_event().object_id == str(case.id)
    image = world.rows(Image)[0]
    served = Images(world.store, world.blobs, world.clock).frame(reader, image.id, 0)
    assert len(served) == image.rows * image.columns * 2


def test_each_file_gets_its_outcome_in_order(
    world: World, studies: Studies, reader: Actor, films: list[Path], png: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    names = ["a.dcm", "notes", "b.dcm", "c.png"]
    outcomes = take(studies, reader, films[0], text, films[1], png, names=names)
    assert [(o.file, o.outcome) for o in outcomes] == [
        ("a.dcm", "admitted"),
        ("notes", "refused"),
        ("b.dcm", "admitted"),
        ("c.png", "held"),
    ]
    assert (outcomes[1].code, outcomes[1].case_id) == ("not_dicom", None)
    assert outcomes[1].message
    assert outcomes[3].code
    assert len({o.case_id for o in outcomes}) == 4
    assert len(world.rows(Case)) == 3
    assert world.events() == [done("study.received"), *[done("study.searched")] * 3]


def test_members_of_an_archive_are_numbered_not_named(
    studies: Studies, reader: Actor, films: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, film in enumerate(films):
            archive.write(film, f"Smith^John/{number}.dcm")
    outcomes = take(studies, reader, path)
    assert [outcome.file for outcome in outcomes] == ["films.zip #1", "films.zip #2"]


def test_a_sender_on_this_machine_is_told_which_file_of_a_folder_it_was(
    studies: Studies, reader: Actor, films: list[Path], tmp_path: Path
) -> None:
    (folder := tmp_path / "sent" / "of July").mkdir(parents=True)
    for number, film in enumerate(films):
        (folder / f"{number}\x1b[31m\u202e.dcm").write_bytes(film.read_bytes())
    (folder / "3").write_bytes(b"no image")
    outcomes = studies.receive(
        reader, [tmp_path / "sent"], "films", ["../sent"], tell_inner_names=True
    )
    assert [outcome.file for outcome in outcomes] == [
        "../sent/of July/0?[31m?.dcm", "../sent/of July/1?[31m?.dcm", "../sent/of July/3",
    ]  # fmt: skip


def test_same_upload_twice_finds_the_first_case(
    world: World, studies: Studies, reader: Actor, films: list[Path]
) -> None:
    assert take(studies, reader, films[0]) == take(studies, reader, films[0])
    assert len(world.rows(Case)) == 1


def test_upload_of_nothing_usable_makes_no_collection(
    world: World, studies: Studies, reader: Actor, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.dcm"
    empty.touch()
    (outcome,) = take(studies, reader, empty)
    assert (outcome.outcome, outcome.code) == ("refused", "empty_file")
    assert world.rows(Collection) == []
    assert world.events() == [refused("study.received", "empty_file")]


def test_foreign_collections_trainees_and_strangers_bring_nothing_in(
    world: World, studies: Studies, reader: Actor, films: list[Path]
) -> None:
    world.make_collection(name="Theirs")
    with pytest.raises(NotFoundError):
        take(studies, reader, films[0], collection="Theirs")
    with pytest.raises(NotAllowedError):
        take(studies, world.make_actor(Role.TRAINEE), films[0])
    with pytest.raises(NotSignedInError):
        take(studies, None, films[0])
    with pytest.raises(InvalidRequestError):
        take(studies, reader, films[0], collection=" ")
    assert world.rows(Case) == []
    assert list(world.blobs.addresses()) == []
    assert [event[2] for event in world.events()] == [
        "not_found",
        "not_allowed",
        "not_signed_in",
        "invalid_request",
    ]


def test_clean_pixels_are_admitted_and_who_looked_is_kept(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    seen = world.rows(Image)[0].sha256
    view = studies.attest(reader, case.id, "clean", [], "k")
    assert (view.state, view.held_because) == (CaseState.ADMITTED, ())
    (row,) = world.rows(Attestation)
    assert (row.person_id, row.decision.value, row.image_sha256) == (reader.id, "clean", [seen])
    assert world.events()[-1] == done("study.attested")


def test_masked_pixels_are_blank_and_their_old_bytes_gone(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    image = world.rows(Image)[0]
    before = world.rows(Instance)[0].pixel_blob
    box = {"image_id": str(image.id), "coords": [2.2, 3, 9.5, 5]}  # columns 2-10, rows 3-5
    studies.attest(reader, case.id, "mask", [box], "k")
    pixels = np.frombuffer(
        Images(world.store, world.blobs, world.clock).frame(reader, image.id, 0), np.uint8
    ).reshape(image.rows, image.columns)
    expected = np.full((30, 40), 200)
    expected[3:6, 2:11] = 0
    assert np.array_equal(pixels, expected)
    assert not world.blobs.exists(before)
    assert world.rows(Attestation)[0].masks == [
        {"image_id": str(image.id), "coords": [2, 3, 10, 5], "frames": None}
    ]


def test_refused_pixels_are_gone_and_the_case_stays_refused(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    image = world.rows(Image)[0]
    view = studies.attest(reader, case.id, "refuse", [], "k")
    assert (view.state, view.images) == (CaseState.REFUSED, ())
    assert list(world.blobs.addresses()) == []
    with pytest.raises(CaseRefusedError):
        Images(world.store, world.blobs, world.clock).frame(reader, image.id, 0)
    with pytest.raises(CaseRefusedError):
        studies.attest(reader, case.id, "clean", [], "other")


def test_same_decision_twice_is_one_and_another_with_its_key_is_refused(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    first = studies.attest(reader, case.id, "clean", [], "k")
    assert studies.attest(reader, case.id, "clean", [], "k") == first
    with pytest.raises(IdempotencyConflictError):
        studies.attest(reader, case.id, "refuse", [], "k")
    with pytest.raises(NotHeldError):
        studies.attest(reader, case.id, "clean", [], "other")
    assert len(world.rows(Attestation)) == 1


def test_second_person_decides_where_that_is_asked_for(
    world: World, sandbox: Sandbox, reader: Actor, png: Path
) -> None:
    strict = Studies(
        world.store,
        world.blobs,
        world.blobs.keys,
        world.clock,
        sandbox,
        Checking(world.store, world.blobs, world.clock, Searched()),
        second_person_attests=True,
    )
    case = hold(world, strict, reader, png)
    with pytest.raises(SecondPersonRequiredError):
        strict.attest(reader, case.id, "clean", [], "k")
    colleague = world.make_actor(Role.READER)
    world.add_member(world.rows(Collection)[0], colleague)
    assert strict.attest(colleague, case.id, "clean", [], "k").state is CaseState.ADMITTED


def test_decision_that_cannot_be_meant_changes_nothing(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    box = {"coords": [2, 3, 9, 5]}
    bad: list[tuple[str, list[dict[str, Any]]]] = [
        ("mask", []),
        ("clean", [box]),
        ("maybe", []),
        ("mask", [{**box, "image_id": "x"}]),
        ("mask", [{**box, "coords": [1, 2, 3]}]),
        ("mask", [{**box, "coords": [90, 90, 99, 99]}]),
        ("mask", [{**box, "frames": [1]}]),
        ("mask", [{**box, "fram": 0}]),
        ("mask", [{**box, "coords": [float("nan"), 0, 1, 1]}]),
    ]
    for decision, masks in bad:
        with pytest.raises(InvalidRequestError):
            studies.attest(reader, case.id, decision, masks, "k")
    assert world.rows(Attestation) == []
    assert world.rows(Case)[0].state is CaseState.HELD


def test_trainees_foreigners_and_strangers_decide_nothing(
    world: World, studies: Studies, reader: Actor, png: Path
) -> None:
    case = hold(world, studies, reader, png)
    trainee = world.make_actor(Role.TRAINEE)
    world.add_member(world.rows(Collection)[0], trainee)
    with pytest.raises(NotAllowedError):
        studies.attest(trainee, case.id, "clean", [], "k")
    for case_id in (case.id, NOBODY):
        with pytest.raises(NotFoundError):
            studies.attest(world.make_actor(Role.ADJUDICATOR), case_id, "clean", [], "k")
    with pytest.raises(NotSignedInError):
        studies.attest(None, case.id, "clean", [], "k")
    assert world.rows(Attestation) == []


def test_study_is_written_out_as_dicom_and_marked_pictures(
    world: World, studies: Studies, reader: Actor, films: list[Path], tmp_path: Path
) -> None:
    (outcome,) = take(studies, reader, films[0])
    assert outcome.case_id is not None
    admin = world.make_actor(Role.ADMIN)
    out = tmp_path / "out"
    files = studies.export_study(admin, outcome.case_id, out)
    assert [path.relative_to(out).as_posix() for path in files] == ["01/0001.dcm", "01/0001.png"]
    dataset = pydicom.dcmread(files[0])
    assert str(dataset.PatientName) != str(pydicom.dcmread(films[0]).PatientName)
    assert Picture.open(BytesIO(files[1].read_bytes())).format == "PNG"
    assert world.events()[-1] == done("study.exported")
    with pytest.raises(ExportFolderError):
        studies.export_study(admin, outcome.case_id, out)


def test_only_admins_take_admitted_studies_out(
    world: World, studies: Studies, reader: Actor, png: Path, tmp_path: Path
) -> None:
    case = hold(world, studies, reader, png)
    admin = world.make_actor(Role.ADMIN)
    with pytest.raises(NotAllowedError):
        studies.export_study(reader, case.id, tmp_path / "out")
    with pytest.raises(HeldError):
        studies.export_study(admin, case.id, tmp_path / "out")
    with pytest.raises(NotFoundError):
        studies.export_study(admin, NOBODY, tmp_path / "out")
    with pytest.raises(NotSignedInError):
        studies.export_study(None, case.id, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def fill(world: World, reader: Actor) -> None:
    """Let the database grow no further, and use up what room it has."""
    with world.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with suppress(StorageFullError):
        for number in range(1_000):
            Collections(world.store, world.clock).ensure(reader, f"{number} {'x' * 90}")


def test_upload_that_cannot_be_stored_leaves_nothing_behind(
    world: World, studies: Studies, reader: Actor, films: list[Path]
) -> None:
    take(studies, reader, films[0])
    kept = set(world.blobs.addresses())
    fill(world, reader)
    with pytest.raises(StorageFullError):
        take(studies, reader, films[1], films[0])
    assert set(world.blobs.addresses()) == kept
    assert len(world.rows(Case)) == 1
