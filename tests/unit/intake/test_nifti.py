"""NIfTI at the door: voxels exact, sides right, words gone, bombs refused; nibabel as referee."""

import gzip
import struct
import zlib
from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine
from numpy.typing import NDArray

from storage.imaging.volume import normal_of
from storage.intake.compose import Rebuilt
from storage.intake.mask import mask
from storage.intake.refusals import RefusedFileError
from storage.intake.volumes import rebuild_volume
from tests.flow.canaries import Mint, found_in, volume
from tests.unit.intake.samples import LIMITS, ask, nifti, rebuilt

CODES = ("RAS", "LPS", "LAS", "PIR", "SAL", "ASR", "IPL", "RSA")


def counting(shape: tuple[int, ...], dtype: Any = np.int16) -> NDArray[Any]:  # noqa: ANN401
    """Return voxels that all differ."""
    return (np.arange(np.prod(shape)) - 7).astype(dtype).reshape(shape)


def served(made: Rebuilt) -> NDArray[np.float64]:
    """Return the values that a reader gets, (frames, rows, columns)."""
    facts = made.facts
    flat = np.frombuffer(made.pixels, np.dtype(facts.dtype).newbyteorder("<"))
    values = flat.reshape(facts.frames, facts.rows, facts.columns)
    return values * facts.slope + facts.intercept


def places(made: Rebuilt) -> NDArray[np.float64]:
    """Return where every pixel lies, (frames, rows, columns, 3), mm, by PS3.3 C.7.6.2.1.1."""
    clean = pydicom.dcmread(BytesIO(made.dicom))
    facts = made.facts
    assert facts.orientation is not None
    groups = clean.PerFrameFunctionalGroupsSequence
    starts = np.array([g.PlanePositionSequence[0].ImagePositionPatient for g in groups], float)
    along, down = np.array(facts.orientation[:3]), np.array(facts.orientation[3:])
    columns = np.arange(facts.columns)[None, None, :, None] * along * facts.column_spacing_mm
    rows = np.arange(facts.rows)[None, :, None, None] * down * facts.row_spacing_mm
    return np.asarray(starts[:, None, None, :] + rows + columns)


def affine_of(code: str, sizes: tuple[float, float, float], turn: float = 0.0) -> NDArray[Any]:
    """Return an affine whose axes run towards the letters of `code`, turned a little."""
    affine = np.eye(4)
    for axis, letter in enumerate(code):
        world = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[letter]
        affine[:, axis] = 0
        affine[world, axis] = sizes[axis] * (1 if letter in "RAS" else -1)
    around = np.eye(4)
    around[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine = around @ affine
    affine[:3, 3] = (-31.5, 12.25, 90.0)
    return affine


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("turn", [0.0, 0.3], ids=["straight", "oblique"])
def test_every_voxel_keeps_its_value_and_its_place(code: str, turn: float) -> None:
    voxels, affine = counting((3, 4, 5)), affine_of(code, (1.0, 1.25, 0.75), turn)
    made = rebuilt(nifti(voxels, affine))
    values, where = served(made), places(made)
    index = np.argwhere(np.ones(voxels.shape, bool))
    expected = {
        int(value): place
        for value, place in zip(
            voxels[tuple(index.T)], apply_affine(affine, index) * (-1, -1, 1), strict=True
        )
    }
    for value, place in zip(values.ravel(), where.reshape(-1, 3), strict=True):
        assert place == pytest.approx(expected[int(value)], abs=1e-5)
    assert made.facts.dtype == "int16"


def test_axial_frames_show_left_on_the_right_and_go_from_feet_to_head() -> None:
    made = rebuilt(nifti(counting((3, 4, 5)), affine_of("RAS", (1, 1, 1))))
    assert made.facts.orientation == pytest.approx((1, 0, 0, 0, 1, 0))
    where = places(made)
    assert where[-1, 0, 0, 2] > where[0, 0, 0, 2]
    assert (made.facts.frames, made.facts.rows, made.facts.columns) == (5, 4, 3)


@pytest.mark.parametrize(
    ("sizes", "orientation"),
    [
        pytest.param((5.0, 1.0, 1.0), (0, 1, 0, 0, 0, -1), id="sagittal"),
        pytest.param((1.0, 5.0, 1.0), (1, 0, 0, 0, 0, -1), id="coronal"),
        pytest.param((1.0, 1.0, 5.0), (1, 0, 0, 0, 1, 0), id="axial"),
    ],
)
def test_thick_slices_are_shown_in_the_plane_they_were_taken_in(
    sizes: tuple[float, float, float], orientation: tuple[float, ...]
) -> None:
    made = rebuilt(nifti(counting((3, 4, 5)), affine_of("LPS", sizes)))
    assert made.facts.orientation == pytest.approx(orientation)
    assert made.facts.row_spacing_mm == made.facts.column_spacing_mm == 1.0
    starts = places(made)[:, 0, 0]
    assert (np.diff(starts @ normal_of(orientation)) > 0).all()


def test_quaternion_and_sizes_place_a_volume_as_a_matrix_does() -> None:
    voxels, affine = counting((3, 4, 5)), affine_of("LAS", (1.0, 1.25, 2.0), 0.3)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(None, 0)
    image.set_qform(affine, 1)
    made = rebuilt(image.to_bytes())
    assert np.array_equal(served(made), served(rebuilt(nifti(voxels, affine))))
    assert places(made) == pytest.approx(places(rebuilt(nifti(voxels, affine))), abs=1e-4)


def test_micrometres_are_no_millimetres() -> None:
    image = nib.Nifti1Image(counting((3, 4, 5)), affine_of("RAS", (500.0, 500.0, 500.0)))
    image.header.set_xyzt_units("micron")
    assert rebuilt(image.to_bytes()).facts.row_spacing_mm == pytest.approx(0.5)


def test_a_file_that_names_no_side_is_shown_without_sides() -> None:
    image = nib.Nifti1Image(counting((3, 4, 5)), None)
    image.header.set_zooms((1.0, 2.0, 2.0))
    facts = rebuilt(image.to_bytes()).facts
    assert (facts.orientation, facts.position) == (None, None)
    assert (facts.frames, facts.rows, facts.columns) == (5, 4, 3)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", [nib.Nifti1Image, nib.Nifti2Image], ids=["1", "2"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_whole_numbers_are_exact_in_every_format(order: str, form: Any, dtype: str) -> None:  # noqa: ANN401
    values = [0, 1, 2, 100, 3, 120] if dtype in ("u1", "i1") else [0, 1, 1024, 4095, 3, 65000 // 2]
    voxels = np.array(values, order + dtype).reshape(1, 2, 3)
    header = form.header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype))
    image = form(voxels, np.diag([-1, -1, 1, 1]), header, dtype=np.dtype(dtype))
    made = rebuilt(image.to_bytes())
    assert np.array_equal(served(made), voxels.transpose(2, 1, 0))
    assert not made.facts.lossy


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        pytest.param([-1024, 0, 3071], "int16", id="Hounsfield units as floats"),
        pytest.param([-32768, 32767, 0], "int16", id="all of int16"),
        pytest.param([0, 65535, 1], "uint16", id="all of uint16"),
    ],
)
def test_floats_that_are_whole_stay_exact(values: list[int], dtype: str) -> None:
    voxels = np.array(values, np.float32).reshape(3, 1, 1)
    made = rebuilt(nifti(voxels, np.diag([-1, -1, 1, 1])))
    assert made.facts.dtype == dtype
    assert served(made).ravel().tolist() == values


def test_fractions_are_rounded_to_65536_steps_and_say_so() -> None:
    voxels = np.random.default_rng(1).normal(0, 3, (4, 5, 6)).astype(np.float32)
    voxels[0, 0, 0] = np.nan
    made = rebuilt(nifti(voxels, np.diag([-1, -1, 1, 1])))
    step = (np.nanmax(voxels) - np.nanmin(voxels)) / 65535
    expected = np.where(np.isnan(voxels), np.nanmin(voxels), voxels).transpose(2, 1, 0)
    assert np.abs(served(made) - expected).max() <= 0.51 * step
    assert made.facts.lossy
    assert made.facts.slope == pytest.approx(step)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(2.0, -1024.0, "int16"), (0.5, 3.0, "uint16")]
)
def test_the_header_s_scaling_is_kept(slope: float, intercept: float, dtype: str) -> None:
    image = nib.Nifti1Image(counting((3, 4, 5)), np.diag([-1, -1, 1, 1]))
    image.header.set_slope_inter(slope, intercept)
    made = rebuilt(image.to_bytes())
    expected = nib.Nifti1Image.from_bytes(image.to_bytes()).get_fdata()
    assert np.array_equal(served(made), expected.transpose(2, 1, 0))
    assert made.facts.dtype == dtype


def test_colour_stays_colour() -> None:
    voxels = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels["R"], voxels["B"] = counting((3, 4, 5), np.uint8) + 7, 200
    made = rebuilt(nib.Nifti1Image(voxels, np.diag([-1, -1, 1, 1])).to_bytes())
    pixels = np.frombuffer(made.pixels, np.uint8).reshape(5, 4, 3, 3)
    assert np.array_equal(pixels[..., 0], voxels["R"].transpose(2, 1, 0))
    assert (pixels[..., 2] == 200).all()


def test_no_word_of_the_file_is_in_what_is_written() -> None:
    mint = Mint()
    data = volume(mint)
    made = rebuilt(data)
    assert found_in(data, mint)
    assert found_in(made.dicom, mint) == found_in(made.pixels, mint) == set()
    assert np.array_equal(
        served(made), np.arange(60).reshape(3, 4, 5).transpose(2, 1, 0)[:, ::-1, ::-1]
    )


def test_words_that_the_object_has_of_its_own_refuse_nothing() -> None:
    image = nib.Nifti1Image(counting((3, 4, 5)), np.eye(4))
    image.header["descrip"] = b"DERIVED SECONDARY 1.2.840.10008.5.1.4.1.1.7.3 profile"
    assert rebuilt(image.to_bytes()).facts.frames == 5


def edited(at: int, value: bytes, *, packed: bool = False) -> bytes:
    """Return a good file with some bytes of its header changed."""
    data = bytearray(nifti(counting((3, 4, 5)), np.eye(4)))
    data[at : at + len(value)] = value
    return gzip.compress(bytes(data)) if packed else bytes(data)


GOOD = nifti(counting((3, 4, 5)), np.eye(4))
HUGE = struct.pack("<8h", 3, 8192, 8192, 8192, 1, 1, 1, 1)
LARGE = struct.pack("<8h", 3, 512, 512, 400, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(edited(40, HUGE), "too_many_pixels", id="sizes beyond the limit"),
        pytest.param(edited(40, LARGE, packed=True), "archive_bomb", id="far more than its size"),
        pytest.param(edited(40, LARGE), "truncated", id="more voxels than bytes"),
        pytest.param(edited(42, struct.pack("<h", 9000)), "too_many_pixels", id="a long side"),
        pytest.param(edited(42, struct.pack("<h", -3)), "bad_pixel_description", id="negative"),
        pytest.param(edited(40, struct.pack("<h", 0)), "bad_pixel_description", id="no axes"),
        pytest.param(edited(40, struct.pack("<5h", 4, 3, 4, 5, 2)), "unsupported_image", id="4-D"),
        pytest.param(edited(70, struct.pack("<h", 32)), "unsupported_image", id="complex numbers"),
        pytest.param(edited(108, struct.pack("<f", 3e38)), "too_complex", id="voxels far away"),
        pytest.param(edited(108, struct.pack("<f", np.nan)), "malformed", id="voxels nowhere"),
        pytest.param(edited(108, struct.pack("<f", -9)), "malformed", id="voxels before the file"),
        pytest.param(edited(112, struct.pack("<f", np.inf)), "bad_rescale", id="endless slope"),
        pytest.param(edited(112, struct.pack("<f", 1e30)), "bad_rescale", id="slope beyond reason"),
        pytest.param(edited(280, struct.pack("<4f", 0, 0, 0, 0)), "unsupported_image", id="flat"),
        pytest.param(edited(284, struct.pack("<f", 0.5)), "unsupported_image", id="sheared"),
        pytest.param(edited(280, struct.pack("<f", np.nan)), "unsupported_image", id="nowhere"),
        pytest.param(edited(344, b"ni1\0"), "not_dicom", id="a header whose voxels are elsewhere"),
        pytest.param(GOOD[:200], "truncated", id="half a header"),
        pytest.param(GOOD[:-1], "truncated", id="one byte short"),
        pytest.param(gzip.compress(GOOD)[:-20], "truncated", id="packed, cut"),
        pytest.param(gzip.compress(GOOD)[:-6] + b"123456", "damaged_image", id="wrong checksum"),
        pytest.param(gzip.compress(b"PK\x03\x04" + bytes(999)), "not_dicom", id="packed zip"),
        pytest.param(gzip.compress(gzip.compress(GOOD)), "not_dicom", id="packed twice"),
        pytest.param(b"\x1f\x8b\x08" + b"\xff" * 400, "damaged_image", id="no gzip at all"),
    ],
)
def test_hostile_and_unlucky_files(data: bytes, code: str) -> None:
    with pytest.raises(RefusedFileError) as refusal:
        rebuilt(data)
    assert refusal.value.code == code


def test_infinite_numbers_are_refused() -> None:
    with pytest.raises(RefusedFileError, match="cannot be shown"):
        rebuilt(nifti(np.array([[[1.5, np.inf]]], np.float32), np.eye(4)))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, bits: int) -> None:
            self._real = real(bits)

        def decompress(self, data: bytes, most: int) -> bytes:
            asked.append(most)
            return self._real.decompress(data, most)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr("storage.intake.nifti.zlib.decompressobj", Counting)
    bomb = gzip.compress(GOOD + bytes(30_000_000))
    assert rebuilt(bomb).facts.frames == 5  # what comes after the voxels stays packed
    assert sum(asked) < 10_000


def test_members_of_one_gzip_file_are_one_volume() -> None:
    data = gzip.compress(GOOD[:100]) + gzip.compress(GOOD[100:400]) + gzip.compress(GOOD[400:])
    assert np.array_equal(served(rebuilt(data)), served(rebuilt(GOOD)))


def test_the_same_file_gets_the_same_names_and_another_file_others() -> None:
    first, again = rebuilt(GOOD).facts, rebuild_volume(GOOD, LIMITS, ask).facts
    other = rebuilt(gzip.compress(GOOD, mtime=0)).facts
    assert first == again
    assert len({first.study_key, first.series_key, first.sop_instance_uid}) == 3
    assert first.study_key != other.study_key


def test_a_volume_survives_masking_with_its_planes() -> None:
    made = rebuilt(nifti(counting((3, 4, 5)), affine_of("LPS", (1.0, 1.25, 0.75))))
    again = mask(made.dicom, [])
    assert again.pixels == made.pixels
    assert again.facts.orientation == made.facts.orientation
    assert again.facts.held == ()
    assert made.facts.held == ("pixels_unattested",)
