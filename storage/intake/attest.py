"""Carry out a person's decision about a held case; the caller records who decided and commits.

`clean` and `mask` rewrite every object of the case, so that what is exported later says that a
person looked. The bytes of before must then be removed: after `mask` they still show a name.
"""

import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlmodel import Session

from storage.cases import images_of, instances_of
from storage.checks import begin_again
from storage.intake.admit import Blobs, unneeded
from storage.intake.mask import Box, mask
from storage.tables import Case, Image, Instance
from storage.vocabulary import CaseState


def admit_held(
    session: Session, blobs: Blobs, case: Case, boxes: Mapping[UUID, Sequence[Box]]
) -> set[str]:
    """Blank boxes, declare all pixels of a case looked at, and admit it.

    After boxes were blanked, their frames are searched for text once more before it is open.

    Args:
        session: Open transaction.
        blobs: Where the objects are.
        case: A held case; its state, instances and image hashes are changed.
        boxes: For each image the boxes to blank, frames counted within the image; none at all
            for the decision `clean`.

    Returns:
        Addresses that no case needs any more: to be removed after the commit.

    Raises:
        ValueError: a box is for an image or a frame that the case does not have.
    """
    images = images_of(session, case.id)
    if not set(boxes) <= {image.id for image in images}:
        raise ValueError("a box names an image that the case does not have")
    instances = instances_of(session, [image.id for image in images])
    before = set[str]()
    for image in images:
        digest = hashlib.sha256()
        for instance in instances[image.id]:
            before |= {instance.dicom_blob, instance.pixel_blob}
            own = _boxes_of(instance, boxes.get(image.id, ()), image.frames)
            item = mask(blobs.get(instance.dicom_blob), own)
            instance.dicom_blob = blobs.put(item.dicom)
            instance.pixel_blob = blobs.put(item.pixels)
            digest.update(item.pixels)
            session.add(instance)
        image.sha256 = digest.hexdigest()
        session.add(image)
    case.state, case.held_because = CaseState.ADMITTED, []
    if boxes:
        begin_again(session, case, _masked(images, boxes))
    session.add(case)
    session.flush()
    return unneeded(session, before)


def refuse_held(session: Session, case: Case) -> set[str]:
    """Refuse a held case and return the addresses of its bytes, to be removed after the commit.

    The rows stay: they show that a study came and that a person refused it.
    """
    images = images_of(session, case.id)
    instances = instances_of(session, [image.id for image in images])
    case.state = CaseState.REFUSED
    session.add(case)
    session.flush()
    each = [instance for of_image in instances.values() for instance in of_image]
    held = {address for one in each for address in (one.dicom_blob, one.pixel_blob)}
    return unneeded(session, held)


def _masked(
    images: Sequence[Image], boxes: Mapping[UUID, Sequence[Box]]
) -> list[tuple[Image, int]]:
    """Return the frames that have a blank box, in order."""
    return [
        (image, frame)
        for image in images
        for frame in range(image.frames)
        if any(box.frames is None or frame in box.frames for box in boxes.get(image.id, ()))
    ]


def _boxes_of(instance: Instance, boxes: Sequence[Box], image_frames: int) -> list[Box]:
    """Return the boxes that fall on one object, frames counted within it."""
    own = []
    for box in boxes:
        if box.frames is None:
            own.append(box)
            continue
        if not all(0 <= frame < image_frames for frame in box.frames):
            raise ValueError("a box names a frame that the image does not have")
        frames = tuple(
            frame - instance.first_frame
            for frame in box.frames
            if instance.first_frame <= frame < instance.first_frame + instance.frames
        )
        if frames:
            own.append(Box(box.column0, box.row0, box.column1, box.row1, frames))
    return own
