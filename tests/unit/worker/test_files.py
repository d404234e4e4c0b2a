"""Pictures and volumes as bytes."""

import gzip
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference.errors import RequestRefusedError
from inference.worker.nifti import read_nifti
from inference.worker.pictures import read_image, read_volume
from tests.unit.worker.samples import nifti, png

VOLUME = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) * 100 - 1000  # [D, H, W]


def _npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_nifti_volume_comes_back_as_slices_rows_columns() -> None:
    read = read_nifti(nifti(VOLUME))
    assert read.dtype == np.int16
    assert np.array_equal(read, VOLUME)


def test_x_is_the_fastest_axis_of_the_file() -> None:
    plain = gzip.decompress(nifti(VOLUME))
    dims = np.frombuffer(plain, "<i2", count=4, offset=40)
    assert dims.tolist() == [3, 4, 3, 2]  # x, y, z
    first_row = np.frombuffer(plain, "<i2", count=4, offset=352)
    assert first_row.tolist() == VOLUME[0, 0].tolist()
    assert np.array_equal(read_nifti(plain), VOLUME)  # not gzipped


def test_big_endian_files_are_read() -> None:
    assert np.array_equal(read_nifti(nifti(VOLUME, order=">")), VOLUME)


def test_slope_and_intercept_give_hu() -> None:
    stored = (VOLUME + 1024) // 2
    read = read_nifti(nifti(stored.astype(np.int16), slope=2.0, intercept=-1024.0))
    assert np.array_equal(read, stored * 2 - 1024)


def test_a_slope_of_zero_means_none() -> None:
    assert np.array_equal(read_nifti(nifti(VOLUME, slope=0.0, intercept=7.0)), VOLUME)


def test_values_beyond_int16_are_clipped() -> None:
    read = read_nifti(nifti(VOLUME, slope=1000.0))
    assert read.min() == -32768
    assert read.max() == 32767


def _damaged(offset: int, data: bytes) -> bytes:
    plain = bytearray(gzip.decompress(nifti(VOLUME)))
    plain[offset : offset + len(data)] = data
    return gzip.compress(bytes(plain))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x1f\x8b junk", id="not really gzip"),
        pytest.param(nifti(VOLUME)[:-20], id="gzip cut short"),
        pytest.param(gzip.compress(gzip.decompress(nifti(VOLUME))[:-2]), id="voxels cut short"),
        pytest.param(_damaged(344, b"ni1\0"), id="a file pair"),
        pytest.param(_damaged(42, b"\xff\x7f" * 3), id="too many voxels"),
        pytest.param(_damaged(42, b"\xff\xff"), id="a negative size"),
        pytest.param(_damaged(40, b"\x02\x00"), id="two axes"),
        pytest.param(_damaged(40, b"\x04\x00\x04\x00\x03\x00\x02\x00\x05\x00"), id="a series"),
        pytest.param(_damaged(70, b"\x20\x00"), id="complex numbers"),
        pytest.param(_damaged(108, b"\xff\xff\xff\x7f"), id="an offset that is not a number"),
    ],
)
def test_other_volumes_are_refused(data: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        read_nifti(data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(value: float) -> None:
    header = bytearray(gzip.decompress(nifti(VOLUME))[:352])
    header[70:72] = b"\x10\x00"  # float32
    voxels = VOLUME.astype("<f4")
    assert np.array_equal(read_nifti(bytes(header) + voxels.tobytes()), VOLUME)
    voxels[1, 2, 3] = value
    with pytest.raises(RequestRefusedError, match="not numbers"):
        read_nifti(bytes(header) + voxels.tobytes())


@pytest.mark.parametrize("size", [(10_001, 200), (40, 10_001), (1, 101), (3030, 30)])
def test_what_would_be_huge_once_squared_is_refused(size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    with pytest.raises(RequestRefusedError, match="too long"):
        read_image(buffer.getvalue())


def test_a_long_picture_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("L", (3000, 30)).save(buffer, "PNG")
    assert read_image(buffer.getvalue()).size == (3000, 30)


@given(st.binary(max_size=600), st.integers(0, 400))
def test_junk_in_a_volume_is_refused_or_read(junk: bytes, at: int) -> None:
    plain = bytearray(gzip.decompress(nifti(VOLUME)))
    plain[at : at + len(junk)] = junk
    with suppress(RequestRefusedError):
        assert read_nifti(bytes(plain)).dtype == np.int16


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(VOLUME, id="HU"),
        pytest.param(VOLUME.astype(np.float32), id="HU as floats"),
        pytest.param(np.zeros((1, 32, 4, 4), np.uint8), id="windowed already"),
    ],
)
def test_numpy_volumes_pass_unchanged(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> None:
    read = read_volume(_npy(array))
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_npy(np.zeros((4, 4), np.int16)), id="one slice"),
        pytest.param(_npy(np.zeros((2, 2, 2), np.complex64)), id="complex"),
        pytest.param(_npy(np.zeros((2, 2, 2), np.int16))[:-3], id="cut short"),
        pytest.param(b"\x93NUMPY" + bytes(40), id="no header"),
    ],
)
def test_other_numpy_files_are_refused(data: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        read_volume(data)


def test_a_pickle_inside_a_numpy_file_is_not_opened() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(RequestRefusedError):
        read_volume(buffer.getvalue())


def test_a_picture_keeps_its_mode() -> None:
    assert read_image(png(1)).mode == "RGB"
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(buffer, "PNG")
    read = read_image(buffer.getvalue())
    assert np.array_equal(np.asarray(read), np.full((4, 4), 4000))


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 8000)).save(buffer, "PNG")
    with pytest.raises(RequestRefusedError, match="64 million"):
        read_image(buffer.getvalue())
