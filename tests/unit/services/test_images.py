"""Geometry, raw frames and pictures, and who may see them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Picture

from storage.errors import BlobDamagedError, BlobMissingError, NotFoundError
from storage.tables import Instance
from storage.vocabulary import CaseState, Role
from tests.unit.services.world import NOBODY, World, done, refused
from webapp.services.errors import CaseRefusedError, InvalidRequestError, NotSignedInError
from webapp.services.images import Images

FRAMES = [bytes([value]) * 64 for value in (10, 20, 30)]


@pytest.fixture
def images(world: World) -> Images:
    return Images(world.store, world.blobs, world.clock)


def test_geometry_tells_all_that_a_viewer_needs(world: World, images: Images) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader, frames=FRAMES)
    view = images.geometry(reader, world.image_of(case).id)
    assert (view.case_id, view.rows, view.columns, view.frames) == (case.id, 8, 8, 3)
    assert (view.dtype, view.samples, view.units) == ("uint8", 1, "US")
    assert view.windows == ({"name": "as acquired", "center": 32.0, "width": 64.0},)
    assert view.positions == ((1.0, 2.0, 3.0), None, None)


def test_frame_is_served_byte_for_byte(world: World, images: Images) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader, frames=FRAMES))
    assert [images.frame(reader, image.id, n) for n in range(3)] == FRAMES


@pytest.mark.parametrize("frame", [-1, 3, 10**9, 2**63, 10**40])
def test_frame_that_does_not_exist_is_not_found(world: World, images: Images, frame: int) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader, frames=FRAMES))
    with pytest.raises(NotFoundError):
        images.frame(reader, image.id, frame)


def test_scrolling_leaves_one_event_and_a_later_look_another(world: World, images: Images) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader, frames=FRAMES))
    for n in (0, 1, 2, 0):
        images.frame(reader, image.id, n)
    assert world.events() == [done("image.opened")]
    assert world.last_event().object_id == str(image.id)
    world.clock.forward(minutes=5)
    images.frame(reader, image.id, 0)
    assert world.events() == [done("image.opened")] * 2


def test_right_to_see_is_asked_for_at_every_frame(world: World, images: Images) -> None:
    reader, admin = world.make_actor(Role.READER), world.make_actor(Role.ADMIN)
    collection = world.make_collection(reader)
    case = world.make_case(collection, reader)
    image = world.image_of(case)
    images.frame(reader, image.id, 0)
    with world.store.write() as session:
        stored = session.get(type(case), case.id)
        assert stored is not None
        stored.state = CaseState.REFUSED
    for actor in (reader, admin):
        with pytest.raises(CaseRefusedError):
            images.frame(actor, image.id, 0)


def test_foreign_unknown_and_signed_out_see_nothing(world: World, images: Images) -> None:
    reader, stranger = world.make_actor(Role.READER), world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader))
    refusals = []
    for image_id in (image.id, NOBODY):
        with pytest.raises(NotFoundError) as refusal:
            images.frame(stranger, image_id, 0)
        with pytest.raises(NotFoundError):
            images.geometry(stranger, image_id)
        with pytest.raises(NotFoundError):
            images.picture(stranger, image_id, 0)
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]
    with pytest.raises(NotSignedInError):
        images.frame(None, image.id, 0)
    assert world.events()[0] == refused("image.opened", "not_found")


@pytest.mark.parametrize(("role", "sees"), [(Role.TRAINEE, False), (Role.READER, True)])
def test_held_pixels_are_seen_by_those_who_decide_about_them(
    world: World, images: Images, role: Role, *, sees: bool
) -> None:
    actor = world.make_actor(role)
    case = world.make_case(world.make_collection(actor), actor, state=CaseState.HELD)
    image = world.image_of(case)
    if sees:
        assert len(images.frame(actor, image.id, 0)) == 64
    else:
        with pytest.raises(NotFoundError):
            images.frame(actor, image.id, 0)


def test_picture_for_the_model_is_the_windowed_frame(world: World, images: Images) -> None:
    """Window 32/64, LINEAR: (x - 31.5) / 63 + 0.5, so 0 is black and 63 white."""
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader))
    data = images.picture(reader, image.id, 0, watermark=False)
    shown = np.asarray(Picture.open(BytesIO(data)))
    assert shown.shape == (8, 8)
    assert (shown[0, 0], shown[7, 7]) == (0, 255)
    assert shown[0, 1] == 4  # 1/63 of 255 is 4.05


def test_window_changes_the_picture_and_the_notice_is_drawn_for_people(
    world: World, images: Images
) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader))
    plain = images.picture(reader, image.id, 0, watermark=False)
    narrow = images.picture(reader, image.id, 0, {"center": 32, "width": 2}, watermark=False)
    marked = images.picture(reader, image.id, 0)
    assert plain != narrow
    assert Picture.open(BytesIO(marked)).width >= 320


@pytest.mark.parametrize(
    "window",
    [
        pytest.param({"center": 1}, id="no width"),
        pytest.param({"center": 1, "width": 0}, id="width 0"),
        pytest.param({"center": float("nan"), "width": 2}, id="NaN"),
        pytest.param({"center": 10**400, "width": 2}, id="beyond a float"),
        pytest.param({"center": 1, "width": 2, "function": "x"}, id="function"),
        pytest.param({"centre": 1, "width": 2}, id="misspelt"),
        pytest.param("wide", id="no object"),
    ],
)
def test_window_that_cannot_be_is_refused(world: World, images: Images, window: object) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader))
    with pytest.raises(InvalidRequestError):
        images.picture(reader, image.id, 0, window)


def test_lost_or_short_pixels_are_said_to_be_so(world: World, images: Images) -> None:
    reader = world.make_actor(Role.READER)
    image = world.image_of(world.make_case(world.make_collection(reader), reader))
    (instance,) = world.rows(Instance)
    world.blobs.remove(instance.pixel_blob)
    with pytest.raises(BlobMissingError):
        images.frame(reader, image.id, 0)
    with world.store.write() as session:
        stored = session.get(Instance, instance.id)
        assert stored is not None
        stored.pixel_blob = world.blobs.put(b"too short")
    with pytest.raises(BlobDamagedError):
        images.frame(reader, image.id, 0)
