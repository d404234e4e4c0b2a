"""The little of NIfTI-1 that a CT volume needs: one 348-byte header and the voxels.

NIfTI stores x fastest, so reading the voxels in C order with the axes reversed gives
[z, y, x] = [D, H, W]. Nothing is re-oriented by the file's affine: the families' authors fed
their arrays as they were stored.
"""

import gzip
import io
import math
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import RequestRefusedError

HEADER_BYTES = 348
MAX_VOXELS = 512 * 512 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}


@dataclass(frozen=True, slots=True)
class _Header:
    """The fields that say where the voxels are and what they mean."""

    shape: tuple[int, int, int]  # D, H, W
    dtype: "np.dtype[Any]"
    offset: int  # bytes from the start of the file
    slope: float
    intercept: float

    def hounsfield(self, data: bytes, shape: tuple[int, ...]) -> NDArray[np.int16]:
        """Read the voxels of one plane as they are meant: int16 HU, rounded and clipped."""
        if len(data) < math.prod(shape) * self.dtype.itemsize:
            raise RequestRefusedError("The volume's file is cut short.")
        values = np.frombuffer(data, self.dtype).reshape(shape)
        if self.dtype.newbyteorder("=") == np.int16 and (self.slope, self.intercept) == (1, 0):
            return values.astype(np.int16)
        scaled = values.astype(np.float64) * self.slope + self.intercept
        if not np.isfinite(scaled).all():
            raise RequestRefusedError("The volume holds values that are not numbers.")
        return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)


def read_nifti(data: bytes) -> NDArray[np.int16]:
    """Read a single-file NIfTI-1 volume, gzipped or not, as int16 HU [D, H, W].

    The header's slope and intercept are applied; values beyond int16 are clipped.

    Raises:
        RequestRefusedError: it is no such file, is cut short, has over 512 × 512 × 1024 voxels, or
            one that is not a number.
    """
    plain: IO[bytes] = io.BytesIO(data)
    file = gzip.GzipFile(fileobj=plain) if data.startswith(_GZIP_MAGIC) else plain
    try:
        header = _read_header(file.read(HEADER_BYTES))
        file.read(header.offset - HEADER_BYTES)
        volume = np.empty(header.shape, np.int16)
        for plane in volume:  # one at a time: as float64 the whole would be four times as large
            plane[:] = header.hounsfield(file.read(plane.size * header.dtype.itemsize), plane.shape)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestRefusedError("The volume's gzip data is damaged.") from error
    return volume


def _read_header(data: bytes) -> _Header:
    if len(data) < HEADER_BYTES:
        raise RequestRefusedError("The volume is not a NIfTI-1 file.")
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", data)[0] == HEADER_BYTES), None)
    if order is None or data[344:347] != b"n+1":
        raise RequestRefusedError("The volume is not a single-file NIfTI-1.")
    axes, x, y, z, *more = struct.unpack_from(f"{order}8h", data, 40)
    (datatype,) = struct.unpack_from(f"{order}h", data, 70)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", data, 108)
    if not 3 <= axes <= 7 or min(x, y, z) < 1 or any(size > 1 for size in more[: axes - 3]):
        raise RequestRefusedError("The volume must have three axes.")
    if x * y * z > MAX_VOXELS:
        raise RequestRefusedError("The volume has too many voxels.")
    if datatype not in _DTYPES:
        raise RequestRefusedError("The volume's number format is not supported; int16 is.")
    if not HEADER_BYTES <= offset <= 2**20:
        raise RequestRefusedError("The volume's header is damaged.")
    if slope == 0.0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        slope, intercept = 1.0, 0.0  # a slope of 0 means that there is none
    dtype = np.dtype(order + _DTYPES[datatype])
    return _Header((z, y, x), dtype, int(offset), slope, intercept)
