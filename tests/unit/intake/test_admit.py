"""From de-identified objects to cases, images and instances."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import select

from storage.intake.admit import admit
from storage.intake.attest import admit_held, refuse_held
from storage.intake.deidentify import Deidentified
from storage.intake.door import receive
from storage.intake.mask import Box
from storage.intake.sandbox import Sandbox
from storage.tables import Case, Collection, Image, Instance, Person
from storage.vocabulary import CaseState
from tests.unit.intake.samples import ct, film, picture, picture_bytes
from tests.world import World

Taking = Callable[..., list[Case]]


@pytest.fixture
def world(tmp_path: Path, sqlite_store: Any) -> World:  # noqa: ANN401 - the store of the session
    return World.at(tmp_path, sqlite_store)


@pytest.fixture
def person(world: World) -> Person:
    return world.person()


@pytest.fixture
def collection(world: World) -> Collection:
    return world.collection()


@pytest.fixture
def take(
    tmp_path: Path, world: World, person: Person, collection: Collection, sandbox: Sandbox
) -> Taking:
    """Return a function that takes files through the door into the store."""

    def taking(*files: bytes, into: Collection = collection) -> list[Case]:
        paths = [tmp_path / f"file-{number}" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)

        def items() -> Iterable[Deidentified]:
            for result in receive(paths, keys=world.keys, sandbox=sandbox):
                if result.item is not None:
                    yield result.item

        with world.store.write() as session:
            return admit(
                session,
                world.blobs,
                items(),
                collection_id=into.id,
                uploaded_by=person.id,
                at=world.now(),
            )

    return taking


def rows(world: World, table: type[Any]) -> list[Any]:
    with world.store.write() as session:
        return list(session.exec(select(table)))


def slices(*heights: int, **elements: object) -> list[bytes]:
    return [
        ct(SOPInstanceUID=f"1.2.3.4.5.1.{number}", InstanceNumber=number,
           ImagePositionPatient=[0, 0, height],
           PixelData=np.full(24, 100 + height, "<u2").tobytes(), **elements)
        for number, height in enumerate(heights, 1)
    ]  # fmt: skip


def test_a_film_is_a_case_of_one_image(world: World, take: Taking, person: Person) -> None:
    (case,) = take(film(QualityControlSubject="YES"))
    (image,), (instance,) = rows(world, Image), rows(world, Instance)
    assert (case.state, case.held_because, case.made_up) == (CaseState.CHECKING, [], True)
    assert (case.modality, case.body_part, case.uploaded_by) == ("DX", "CHEST", person.id)
    assert (image.rows, image.columns, image.frames, image.dtype) == (4, 6, 1, "uint16")
    assert (image.view_position, image.inverted, image.units) == ("PA", False, "US")
    pixels = world.blobs.get(instance.pixel_blob)
    assert pixels == np.arange(24, dtype="<u2").tobytes()
    assert image.sha256 == hashlib.sha256(pixels).hexdigest()
    assert world.blobs.get(instance.dicom_blob)[128:132] == b"DICM"
    assert instance.sop_instance_uid.encode() in world.blobs.get(instance.dicom_blob)


def test_slices_are_one_stack_in_the_order_of_their_places(world: World, take: Taking) -> None:
    take(*slices(30, 10, 20))
    (image,) = rows(world, Image)
    instances = sorted(rows(world, Instance), key=lambda each: each.first_frame)
    assert (image.frames, image.dtype, image.units) == (3, "int16", "HU")
    assert [each.position for each in instances] == [[0, 0, 10], [0, 0, 20], [0, 0, 30]]
    served = [world.blobs.get(each.pixel_blob) for each in instances]
    assert [np.frombuffer(each, "<i2")[0] for each in served] == [
        110 - 1024,
        120 - 1024,
        130 - 1024,
    ]
    assert image.sha256 == hashlib.sha256(b"".join(served)).hexdigest()


def test_a_localizer_is_another_image_of_the_case(world: World, take: Taking) -> None:
    localizer = ct(SOPInstanceUID="1.2.3.4.5.1.9", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    (case,) = take(*slices(10, 20), localizer)
    assert sorted(image.frames for image in rows(world, Image)) == [1, 2]
    assert {image.case_id for image in rows(world, Image)} == {case.id}
    assert sorted(image.number for image in rows(world, Image)) == [0, 1]


def test_two_films_of_a_study_are_two_images(world: World, take: Taking) -> None:
    assert len(take(film(), film(SOPInstanceUID="1.2.3.4.5.1.2", InstanceNumber=2))) == 1
    assert [image.frames for image in rows(world, Image)] == [1, 1]


def test_two_studies_are_two_cases_of_one_patient(take: Taking) -> None:
    one, other = take(film(), film(StudyInstanceUID="1.2.3.9", SOPInstanceUID="1.2.3.9.1"))
    assert one.patient_key == other.patient_key
    assert one.study_key != other.study_key


def test_one_held_image_holds_its_study(take: Taking) -> None:
    (case,) = take(film(), film(SOPInstanceUID="1.2.3.4.5.1.2", BurnedInAnnotation="YES"))
    assert (case.state, case.held_because) == (CaseState.CHECKING, ["burned_in_declared"])


def test_a_repeat_gives_the_first_case(world: World, take: Taking) -> None:
    (first,), (again,) = take(*slices(10, 20)), take(*slices(10, 20))
    assert again.id == first.id
    assert len(rows(world, Instance)) == 2


def test_a_part_of_a_study_that_is_there_gives_its_case(world: World, take: Taking) -> None:
    (first,), (part,) = take(*slices(10, 20, 30)), take(slices(10, 20, 30)[1])
    assert part.id == first.id
    assert len(rows(world, Case)) == 1


def test_the_same_file_twice_in_one_upload_is_stored_once(world: World, take: Taking) -> None:
    take(film(), film())
    assert len(rows(world, Instance)) == 1


def test_another_collection_gets_a_case_of_its_own(world: World, take: Taking) -> None:
    (first,) = take(film())
    (other,) = take(film(), into=world.collection("other films"))
    assert first.id != other.id


def test_nothing_but_a_deidentified_value_is_stored(
    world: World, collection: Collection, person: Person
) -> None:
    with world.store.write() as session, pytest.raises(TypeError, match="only Deidentified"):
        admit(
            session,
            world.blobs,
            [film()],  # type: ignore[list-item] # a raw file
            collection_id=collection.id,
            uploaded_by=person.id,
            at=world.now(),
        )
    assert not list(world.blobs.addresses())


def test_a_clean_case_is_admitted_and_says_so(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        admit_held(session, world.blobs, case, {})
    (case,), (instance,) = rows(world, Case), rows(world, Instance)
    assert (case.state, case.held_because) == (CaseState.ADMITTED, [])
    dicom = world.blobs.get(instance.dicom_blob)
    assert b"NO" in dicom[dicom.index(b"\x28\x00\x01\x03CS") :][:10]
    assert world.blobs.get(instance.pixel_blob) == np.asarray(picture("L")).tobytes()


def test_masked_pixels_are_black_and_the_old_bytes_are_given_up(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    (image,), (before,) = rows(world, Image), rows(world, Instance)
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        unused = admit_held(session, world.blobs, case, {image.id: [Box(1, 2, 3, 3)]})
    (changed,), (instance,) = rows(world, Image), rows(world, Instance)
    pixels = np.frombuffer(world.blobs.get(instance.pixel_blob), np.uint8).reshape(5, 7)
    expected = np.asarray(picture("L")).copy()
    expected[2:4, 1:4] = 0
    assert np.array_equal(pixels, expected)
    assert unused == {before.dicom_blob, before.pixel_blob}
    assert changed.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()


def test_a_box_on_one_slice_of_a_stack_masks_that_slice(world: World, take: Taking) -> None:
    (held,) = take(*slices(10, 20, 30, BurnedInAnnotation="YES"))
    (image,) = rows(world, Image)
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        admit_held(session, world.blobs, case, {image.id: [Box(0, 0, 5, 3, frames=(1,))]})
    instances = sorted(rows(world, Instance), key=lambda each: each.first_frame)
    first = [np.frombuffer(world.blobs.get(each.pixel_blob), "<i2")[0] for each in instances]
    assert first == [110 - 1024, -1024, 130 - 1024]


@pytest.mark.parametrize("frames", [(3,), (-1,)])
def test_a_box_on_no_frame_of_the_image_is_an_error(
    world: World, take: Taking, frames: tuple[int, ...]
) -> None:
    (held,) = take(*slices(10, 20, 30, BurnedInAnnotation="YES"))
    (image,) = rows(world, Image)
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        with pytest.raises(ValueError, match="a frame"):
            admit_held(session, world.blobs, case, {image.id: [Box(0, 0, 1, 1, frames)]})


def test_a_box_on_another_cases_image_is_an_error(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        with pytest.raises(ValueError, match="an image"):
            admit_held(session, world.blobs, case, {case.id: [Box(0, 0, 1, 1)]})


def test_a_refused_case_keeps_its_row_and_gives_up_its_bytes(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    with world.store.write() as session:
        unused = refuse_held(session, session.get_one(Case, held.id))
    (case,) = rows(world, Case)
    assert case.state is CaseState.REFUSED
    assert unused == set(world.blobs.addresses())


def test_bytes_that_another_case_needs_are_not_given_up(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    take(picture_bytes(picture("L")), into=world.collection("other films"))
    with world.store.write() as session:
        assert refuse_held(session, session.get_one(Case, held.id)) == set()


def test_a_repeat_of_a_refused_study_leaves_no_bytes(world: World, take: Taking) -> None:
    (held,) = take(picture_bytes(picture("L")))
    with world.store.write() as session:
        unused = refuse_held(session, session.get_one(Case, held.id))
    for address in unused:
        world.blobs.remove(address)
    (again,) = take(picture_bytes(picture("L")))
    assert (again.id, again.state) == (held.id, CaseState.REFUSED)
    assert not list(world.blobs.addresses())


def test_a_repeat_of_a_masked_study_leaves_only_the_masked_bytes(
    world: World, take: Taking
) -> None:
    (held,) = take(picture_bytes(picture("L")))
    (image,) = rows(world, Image)
    with world.store.write() as session:
        case = session.get_one(Case, held.id)
        unused = admit_held(session, world.blobs, case, {image.id: [Box(0, 0, 6, 4)]})
    for address in unused:
        world.blobs.remove(address)
    masked = set(world.blobs.addresses())
    (again,) = take(picture_bytes(picture("L")))
    assert (again.id, again.state) == (held.id, CaseState.CHECKING)
    assert set(world.blobs.addresses()) == masked


def test_a_repeat_of_an_admitted_study_keeps_its_bytes(world: World, take: Taking) -> None:
    take(film())
    before = set(world.blobs.addresses())
    take(film())
    assert set(world.blobs.addresses()) == before


def test_the_order_of_a_patient_s_studies_stays_and_no_date_does(take: Taking) -> None:
    def study(day: str, number: int, patient: str = "MRN-7741902") -> bytes:
        return ct(StudyDate=day, StudyInstanceUID=f"1.2.3.{number}", PatientID=patient,
                  SOPInstanceUID=f"1.2.3.{number}.1")  # fmt: skip

    first, later, others, undated = take(
        study("20190815", 1), study("20200101", 2), study("20190815", 3, "MRN-2"), study("", 4)
    )
    assert first.study_day is not None
    assert later.study_day == first.study_day + 139
    assert others.study_day != first.study_day
    assert undated.study_day is None
    since_2000 = 7166  # of 2019-08-15
    assert first.study_day != since_2000
