"""Write a clean dataset: fresh file meta, zeroed preamble, pixels as decoded, declarations."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from storage.imaging.pixels import Frames
from storage.intake import tripwire
from storage.intake.describe import describe, values_of
from storage.intake.encode import encode_file
from storage.intake.facts import Facts
from storage.intake.profile import profile

IMPLEMENTATION_UID: Final = UID("2.25.98325741220417853120817345530122064241")
IMPLEMENTATION: Final = "OVERREAD 1"
_CODES: Final = {  # PS3.16 CID 7050
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113108": "Retain Patient Characteristics Option",
}
_PIXEL_DATA: Final = 0x7FE00010
_FRAME_TIME: Final = 0x00181063
_TEXT_VRS: Final = frozenset(["AS", "CS", "DA", "LO", "LT", "PN", "SH", "ST", "TM", "UT"])


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A clean DICOM file, its pixels as served, and what is known of it."""

    dicom: bytes = field(repr=False)
    pixels: bytes = field(repr=False)
    facts: Facts


def compose(
    clean: Dataset,
    frames: Frames,
    *,
    patient: str,
    found: set[bytes],
    attested: bool = False,
    masked: bool = False,
) -> Rebuilt:
    """Add pixels and declarations to a clean dataset, write it and describe it.

    Args:
        clean: Allow-listed elements with SOPClassUID and the three UIDs; changed in place.
        frames: Decoded pixels.
        patient: The patient's pseudonym.
        found: The source's own words, none of which may be in the output.
        attested: A person looked at the pixels: BurnedInAnnotation becomes NO.
        masked: That person blanked a part of them: the Clean Pixel Data Option was used.

    Raises:
        RefusedFileError: `identifier_left`, `bad_rescale` or `unsupported_image`.
    """
    clean.PatientID = clean.PatientName = patient
    codes = ["113100", "113101", "113108"] if masked else ["113100", "113108"]
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = profile().edition
    clean.DeidentificationMethodCodeSequence = Sequence([_code_item(code) for code in codes])
    if attested:
        clean.BurnedInAnnotation = "NO"
    _describe_pixels(clean, frames)
    stored = frames.stored
    header, raw = encode_file(
        clean,
        stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes(),
        word_size=stored.dtype.itemsize,
        implementation=(IMPLEMENTATION_UID, IMPLEMENTATION),
    )
    tripwire.check(header, _words(clean), found, _own_strings(clean))
    facts, pixels = describe(clean, frames)
    return Rebuilt(header + raw, pixels, facts)


def _describe_pixels(clean: Dataset, frames: Frames) -> None:
    """Fill the image pixel module (PS3.3 C.7.6.3), but for the pixels, from decoded frames."""
    stored = frames.stored
    clean.pop(_PIXEL_DATA, None)
    grey = "MONOCHROME1" if frames.inverted else "MONOCHROME2"
    clean.SamplesPerPixel = frames.samples
    clean.PhotometricInterpretation = grey if frames.samples == 1 else "RGB"
    if frames.samples == 3:
        clean.PlanarConfiguration = 0
    if stored.shape[0] > 1:
        clean.NumberOfFrames = stored.shape[0]
        if _FRAME_TIME in clean:
            clean.FrameIncrementPointer = _FRAME_TIME
    clean.Rows, clean.Columns = stored.shape[1:3]
    clean.BitsAllocated = stored.dtype.itemsize * 8
    clean.BitsStored, clean.HighBit = frames.bits, frames.bits - 1
    clean.PixelRepresentation = int(stored.dtype.kind == "i")


def _words(clean: Dataset) -> bytes:
    """Return every text value of the top level in one line."""
    return "\\".join(str(element.value) for element in clean if element.VR in _TEXT_VRS).encode()


def _own_strings(clean: Dataset) -> Iterable[str]:
    """Yield what this program put into the header: pseudonyms, closed terms, its own words."""
    entries = profile().entries
    for element in clean:
        if element.VR == "UI" or element.tag in (0x00100010, 0x00100020):
            yield str(element.value)
        elif element.tag in entries and entries[element.tag].kind == "words":
            yield from (word for word in map(str, values_of(element))
                        if word in entries[element.tag].words)  # fmt: skip
    yield from (*_CODES, *_CODES.values(), profile().edition, ExplicitVRLittleEndian)
    yield from (IMPLEMENTATION_UID, IMPLEMENTATION, "MONOCHROME1", "MONOCHROME2")


def _code_item(value: str) -> Dataset:
    """Return a DCM code as an item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", _CODES[value]
    return item
