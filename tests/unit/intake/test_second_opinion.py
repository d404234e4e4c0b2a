"""A second opinion: dicom-anonymizer finds nothing of identity left in what is written.

It replaces every UID and empties or fills what the standard's basic profile names (PS3.15 E.1-1).
So whatever it changes must be a pseudonym of ours, empty already, or one of the characteristics
that the object declares to have kept (113108).
"""

import copy
import re
from collections.abc import Iterator
from io import BytesIO

import pydicom
import pytest
from dicomanonymizer import anonymize_dataset
from pydicom.dataset import Dataset

from tests.flow.canaries import KINDS, Kind, Mint, dicom, everywhere
from tests.unit.intake.samples import bundled, ct, film, nifti, picture, picture_bytes, rebuilt
from tests.unit.intake.test_nifti import affine_of, counting

PSEUDONYM = re.compile(r"2\.25\.\d+|[0-9a-f]{32}|")
KEPT = {"PatientSex", "PatientAge", "PatientSize", "PatientWeight"}


def changed_by_it(before: Dataset) -> Iterator[tuple[str, str]]:
    """Yield keyword and value of every element that the other program would change."""
    after = copy.deepcopy(before)
    anonymize_dataset(after, delete_private_tags=True)
    for element in before:
        if element.tag not in after or after[element.tag] != element:
            yield element.keyword, str(element.value or "")


def planted(kind: Kind) -> bytes:
    mint = Mint()
    return dicom(kind, mint, everywhere(mint, kind.form, kind.charset))


@pytest.mark.parametrize(
    "data",
    [planted(kind) for kind in KINDS]
    + [bundled(f"{name}.dcm") for name in ("CT_small", "MR_small", "examples_ybr_color")]
    + [ct(), film(), picture_bytes(picture("RGB"))]
    + [nifti(counting((3, 4, 5)), affine_of("RAS", (1.0, 1.25, 0.75)))],
    ids=len,
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # its own values for dates
def test_another_program_would_change_nothing_of_identity(data: bytes) -> None:
    found = dict(changed_by_it(pydicom.dcmread(BytesIO(rebuilt(data).dicom))))
    assert len(found) >= 5  # so it does look
    left = {keyword: text for keyword, text in found.items() if not PSEUDONYM.fullmatch(text)}
    assert left.keys() <= KEPT, left
