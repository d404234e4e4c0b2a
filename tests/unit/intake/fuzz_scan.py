"""Feed the bounded scan whatever coverage-guided mutation comes up with; it may only refuse.

    python -m tests.unit.intake.fuzz_scan [FOLDER] [-max_total_time=SECONDS]

What runs before any decoder sees a file: `scan_dicom` for DICOM, `read_nifti` for NIfTI. Anything
but a refusal with a known code is a finding, and so is a file that takes longer than `-timeout`
or more memory than `-rss_limit_mb`. Findings and new inputs land in the folder given.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["storage.intake"]):
    from storage.intake.limits import Limits
    from storage.intake.nifti import read_nifti
    from storage.intake.refusals import SENTENCES, RefusedFileError
    from storage.intake.scan import kind_of, scan_dicom

import numpy as np

from tests.unit.intake.samples import bundled, ct, film, nifti

LIMITS: Final = Limits()
SEEDS: Final = ("CT_small", "MR_small_RLE", "JPEG-lossy", "SC_rgb_small_odd", "reportsi")


def scan_one(data: bytes) -> None:
    """Do with a file what the door does before decoding it.

    Raises:
        AssertionError: it was refused by a code that nobody knows.
    """
    try:
        kind = kind_of(data[:132])
        if kind == "dicom":
            scanned = scan_dicom(data, LIMITS)
            assert 132 <= scanned.end <= len(data)
        elif kind == "nifti":
            volume = read_nifti(data, LIMITS)
            assert volume.voxels.nbytes <= LIMITS.decoded_bytes
    except RefusedFileError as refusal:
        assert refusal.code in SENTENCES  # noqa: PT017 - likewise


def write_seeds(folder: Path) -> None:
    """Write small files of every kind, for the fuzzer to begin with."""
    volume = nifti(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    files = [ct(), film(), volume, *(bundled(f"{name}.dcm")[:20_000] for name in SEEDS)]
    for number, data in enumerate(files):
        (folder / f"seed-{number}").write_bytes(data)


def main() -> None:
    """Run until the options say so; the process ends with libFuzzer's own exit code."""
    options = [each for each in sys.argv[1:] if each.startswith("-")]
    folders = [each for each in sys.argv[1:] if not each.startswith("-")]
    folder = Path(folders[0] if folders else tempfile.mkdtemp(prefix="overread-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    write_seeds(folder)
    bounds = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *bounds, *options, str(folder)], scan_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
