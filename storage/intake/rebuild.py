"""Build a clean dataset from a scanned DICOM file by the profile.

Runs in the decoding child. No byte of the source is copied: the dataset is new, each value
passes the profile's checks and every frame is decoded. Pseudonyms come from the parent, which
alone has the key.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence

from storage.imaging.pixels import decode_frames
from storage.intake import tripwire
from storage.intake.codestream import WHOLE_SPECTRUM
from storage.intake.compose import Rebuilt, compose
from storage.intake.describe import rescale_of, values_of
from storage.intake.profile import Entry, kept_age, kept_numbers, kept_words, profile
from storage.intake.refusals import RefusedFileError
from storage.intake.scan import Scanned

_LOSSY_SYNTAXES: Final = frozenset(
    "1.2.840.10008.1.2.4." + ending for ending in ("50", "51", "81", "203")
)
_PALETTES: Final = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)
_FOR_DECODING: Final = (
    *_PALETTES, *(f"Segmented{name}" for name in _PALETTES if name.endswith("Data")),
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PatientID", "PatientName",
    "PatientBirthDate", "StudyDate",
)  # fmt: skip
_UNREADABLE: Final = (ValueError, TypeError, KeyError, NotImplementedError, OverflowError)
_NOTHING: Final = {"CS": "", "DS": None, "IS": None}
_STUDY_UID, _SERIES_UID, _INSTANCE_UID = 0x0020000D, 0x0020000E, 0x00080018


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a child asks its parent: pseudonyms for these UIDs and this patient."""

    uids: tuple[str, ...]
    patient: str
    study_date: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """The parent's answer."""

    uids: dict[str, str]
    patient: str


def rebuild(data: bytes, scanned: Scanned, ask: Callable[[Wanted], Given]) -> Rebuilt:
    """Rebuild one scanned DICOM file.

    Raises:
        RefusedFileError: `bad_rescale`, `identifier_left` or `unsupported_image`.
        UnsupportedImageError: pixels that cannot be served.
    """
    source = _read(data, scanned)
    names = _identity(source, data)
    patient = _patient(source, names[_STUDY_UID])
    wanted = Wanted(tuple(dict.fromkeys(names.values())), patient, _text(source, 0x00080020))
    given = ask(wanted)
    clean = Dataset()
    for entry in profile().entries.values():
        element = _kept(entry, source, names, given)
        if element is not None:
            clean.add(element)
    clean.SOPClassUID = scanned.sop_class
    _complete(clean, source, scanned)
    for tag in (_STUDY_UID, _SERIES_UID, _INSTANCE_UID):
        clean.add_new(tag, "UI", given.uids[names[tag]])
    frames = decode_frames(source)
    found = tripwire.tokens(scanned.texts)
    return compose(clean, frames, patient=given.patient, found=found)


def _read(data: bytes, scanned: Scanned) -> Dataset:
    """Parse only the elements that the profile keeps and those that pixels need."""
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    wanted: list[Any] = [*profile().entries, *_FOR_DECODING]
    whole = data if scanned.end == len(data) else data[: scanned.end]
    source = BytesIO(whole)
    for place in scanned.misstated:
        source.seek(place)
        source.write(WHOLE_SPECTRUM)
    source.seek(0)
    return dcmread(source, specific_tags=wanted)


def _identity(source: Dataset, data: bytes) -> dict[int, str]:
    """Return the source's UIDs by tag; the content names what has no UID of its own."""
    names = {}
    for entry in profile().entries.values():
        element = _element(source, entry) if entry.kind == "uid" else None
        values = values_of(element) if element is not None else []
        if values and str(values[0]).strip():
            names[entry.tag] = str(values[0]).strip()
    missing = {_STUDY_UID, _SERIES_UID, _INSTANCE_UID} - set(names)
    if missing:
        digest = hashlib.sha256(data).hexdigest()
        names |= {tag: f"content/{digest}/{tag:08x}" for tag in missing}
    return names


def _patient(source: Dataset, study: str) -> str:
    """Return what tells one patient from another; without any, each study is a patient."""
    number, name, born = (_text(source, tag) for tag in (0x00100020, 0x00100010, 0x00100030))
    if number:
        return f"id/{number}"
    return f"person/{name}/{born}" if name else f"study/{study}"


def _kept(entry: Entry, source: Dataset, names: dict[int, str], given: Given) -> DataElement | None:
    """Return the fresh element that an entry makes of the source, or None."""
    if entry.kind == "empty":
        return DataElement(entry.tag, entry.vr, None)
    if entry.kind == "uid":
        name = names.get(entry.tag)
        return DataElement(entry.tag, "UI", given.uids[name]) if name else None
    element = _element(source, entry)
    if element is None:
        return None
    if entry.kind == "items":
        items = [_item(entry, item, names, given) for item in element.value]
        return DataElement(entry.tag, "SQ", Sequence(items))
    fresh = _fresh(entry, values_of(element))
    if not fresh:
        return DataElement(entry.tag, entry.vr, _NOTHING[entry.vr]) if entry.kept_empty else None
    return DataElement(entry.tag, entry.vr, fresh[0] if len(fresh) == 1 else fresh)


def _fresh(entry: Entry, values: list[Any]) -> list[Any]:
    """Return the values that pass an entry's rule; none for what `compose` writes itself."""
    if not values:
        return []
    match entry.kind:
        case "age":
            age = kept_age(values[0])
            return [age] if age else []
        case "words":
            return kept_words(entry, values)
        case "number":
            return kept_numbers(entry, values)
        case _:
            return []


def _item(entry: Entry, item: Dataset, names: dict[int, str], given: Given) -> Dataset:
    """Rebuild one item of a kept sequence from the elements it may hold."""
    fresh = Dataset()
    for inner in profile().named(entry.holds):
        element = _kept(inner, item, names, given)
        if element is not None:
            fresh.add(element)
    return fresh


def _complete(clean: Dataset, source: Dataset, scanned: Scanned) -> None:
    """Settle elements that only make sense together."""
    if str(_text(source, 0x00280301)).upper() == "YES":
        clean.BurnedInAnnotation = "YES"
    if scanned.transfer_syntax in _LOSSY_SYNTAXES:
        clean.LossyImageCompression = "01"
    if "WindowCenter" not in clean or "WindowWidth" not in clean:
        for keyword in ("WindowCenter", "WindowWidth"):
            clean.pop(keyword, None)
    if "FrameOfReferenceUID" not in clean and "PositionReferenceIndicator" not in source:
        clean.pop("PositionReferenceIndicator", None)  # the other half of the same module
    rescale = rescale_of(source)  # of the source: a slope the profile drops must not go unseen
    if rescale is not None and rescale_of(clean) is None:
        raise RefusedFileError("bad_rescale")
    if "Modality" not in clean:
        clean.Modality = "OT"


def _element(source: Dataset, entry: Entry) -> DataElement | None:
    """Return an element if it is there, readable and of the profile's representation."""
    if entry.tag not in source.keys():  # noqa: SIM118 - `in source` makes a tag first: ten times slower
        return None
    try:
        element = source[entry.tag]
    except _UNREADABLE:
        return None  # the value does not fit its representation: dropped like an unknown one
    return element if entry.vr == element.VR else None


def _text(source: Dataset, tag: int) -> str:
    """Return a header value as text, whatever representation it claims."""
    try:
        value = source[tag].value
    except _UNREADABLE:
        return ""
    return "" if value is None else str(value).strip()
