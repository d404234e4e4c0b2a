"""Decoding children: what they are limited to, and that losing one costs one file."""

import os
import signal
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from storage.intake.deidentify import Deidentified, deidentify
from storage.intake.limits import Limits
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import Crew, Sandbox
from tests.unit.intake.samples import (
    PSEUDONYMS,
    bundled,
    ct,
    dataset,
    film,
    picture,
    picture_bytes,
    rebuilt,
    to_bytes,
)


def children() -> set[int]:
    """Return the decoding children that run: what the nurseries of this process forked."""
    return {child for nursery in _started_by(os.getpid()) for child in _started_by(nursery)}


def _started_by(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


@pytest.fixture
def crew(sandbox: Sandbox) -> Iterator[Crew]:
    with sandbox.crew() as made:
        yield made


def through(crew: Crew, data: bytes) -> Deidentified:
    return deidentify(data, pseudonyms=PSEUDONYMS, crew=crew)


def code_of(crew: Crew, data: bytes) -> str:
    with pytest.raises(RefusedFileError) as refusal:
        through(crew, data)
    return refusal.value.code


@pytest.mark.parametrize(
    "data", [ct(), film(), bundled("MR_small_RLE.dcm"), picture_bytes(picture("RGB"))]
)
def test_a_child_gives_what_this_process_would(crew: Crew, data: bytes) -> None:
    item, here = through(crew, data), rebuilt(data)
    assert (item.dicom, item.pixels, item.facts) == (here.dicom, here.pixels, here.facts)


def test_a_refusal_comes_back_as_its_code(crew: Crew) -> None:
    assert code_of(crew, ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1")) == "encapsulated_document"
    assert code_of(crew, ct()[:300]) == "truncated"


def test_what_no_library_can_decode_is_one_refusal(crew: Crew) -> None:
    broken = bundled("JPEG-lossy.dcm").replace(b"\xff\xda\0\x08", b"\xff\xda\0\x09")
    assert code_of(crew, broken) == "decode_failed"
    assert through(crew, ct()).facts.modality == "CT"


def test_the_limits_that_hold_are_known(sandbox: Sandbox) -> None:
    enforced = sandbox.enforced()
    assert set(enforced) == {"memory", "cpu", "files", "privileges", "network"}
    assert all(enforced[name] for name in ("memory", "cpu", "files", "privileges"))


def test_every_upload_has_children_of_its_own(sandbox: Sandbox) -> None:
    before = children()
    with sandbox.crew() as one:
        through(one, ct())
        mine = children() - before
    assert len(mine) == 1
    assert not mine & children()


def test_a_child_sees_neither_environment_nor_files(sandbox: Sandbox) -> None:
    before = children()
    with sandbox.crew() as crew:
        through(crew, ct())
        (child,) = children() - before
        process = Path(f"/proc/{child}")
        names = [
            each.partition(b"=")[0] for each in (process / "environ").read_bytes().split(b"\0")
        ]
        assert set(names) == {b"OPENBLAS_NUM_THREADS", b"MALLOC_MMAP_THRESHOLD_",
                              b"MALLOC_TRIM_THRESHOLD_", b""}  # fmt: skip
        links = [str(link.readlink()) for link in (process / "fd").iterdir()]
        assert sorted(link.split(":")[0] for link in links) == ["/dev/null"] * 3 + ["socket"]


def test_a_nursery_that_is_lost_is_replaced() -> None:
    with Sandbox() as sandbox:
        before = _started_by(os.getpid())
        with sandbox.crew() as crew:
            through(crew, ct())
        (nursery,) = _started_by(os.getpid()) - before
        os.kill(nursery, signal.SIGKILL)
        with sandbox.crew() as crew:
            assert through(crew, ct()).facts.modality == "CT"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stuck"])
def test_a_child_that_is_lost_costs_one_file(how: signal.Signals) -> None:
    with Sandbox(Limits(child_wall_seconds=5)) as sandbox, sandbox.crew() as crew:
        before = children()
        through(crew, ct())
        (child,) = children() - before
        os.kill(child, how)
        assert code_of(crew, ct()) == "decode_failed"
        assert through(crew, ct()).facts.modality == "CT"
        assert child not in children()


def test_a_file_that_needs_more_memory_than_allowed_is_refused() -> None:
    big = film(Rows=4096, Columns=8192, PixelData=np.zeros(4096 * 8192, "<u2").tobytes())
    limits = Limits(child_memory_bytes=256 * 1024 * 1024)
    with Sandbox(limits) as sandbox, sandbox.crew() as crew:
        assert code_of(crew, big) in ("too_many_pixels", "decode_failed")
        assert through(crew, ct()).facts.modality == "CT"


def slow_rle(side: int) -> bytes:
    """Return a film in run-length encoding whose every byte is a run of its own."""
    segment = np.zeros((side * side, 2), np.uint8).tobytes()
    offsets = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
    made = dataset(Rows=side, Columns=side, PixelData=encapsulate([offsets + 2 * segment]))
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return to_bytes(made, syntax=RLELossless)


def test_a_file_that_needs_more_processor_time_than_allowed_is_refused() -> None:
    with Sandbox(Limits(child_cpu_seconds=1)) as sandbox, sandbox.crew() as crew:
        assert code_of(crew, slow_rle(4096)) == "decode_failed"
        assert through(crew, slow_rle(8)).facts.rows == 8


def test_an_upload_may_use_several_threads(sandbox: Sandbox) -> None:
    results: list[Any] = []
    with sandbox.crew() as crew:
        threads = [
            threading.Thread(target=lambda: results.append(through(crew, ct()))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [item.facts.modality for item in results] == ["CT"] * 6


def test_nothing_else_can_make_a_deidentified_value(crew: Crew) -> None:
    item = through(crew, ct())
    with pytest.raises(TypeError, match=r"made by storage\.intake only"):
        Deidentified(item.dicom, item.pixels, item.facts, "x", None, object())
