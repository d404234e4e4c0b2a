"""Made-up studies one after another, and the folder layout they are written in.

Study `number` of a seed is always the same bytes, however many are asked for: each study has
its own random stream.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from storage.phantoms.ct import draw_volume, plan_volume
from storage.phantoms.film import draw_film
from storage.phantoms.objects import film_object, slice_object, to_bytes
from storage.phantoms.plan import Finding, plan_film
from storage.phantoms.words import findings_sentences

TRUTH_VERSION = 1


@dataclass(frozen=True, slots=True)
class PhantomStudy:
    """One study with known truth.

    Attributes:
        name: Folder name, PatientID in lower case.
        files: File name and dataset of every instance, head first for CT.
        truth: The study's entry in `truth.json`.
    """

    name: str
    files: tuple[tuple[str, Dataset], ...]
    truth: dict[str, Any]


def make_studies(
    count: int, seed: int = 0, size: int = 1024, *, ct_every: int = 10
) -> Iterator[PhantomStudy]:
    """Make studies 0 up to `count`.

    Args:
        count: How many studies.
        seed: Same seed, same bytes.
        size: Width and height of a film in pixels; at least 64.
        ct_every: Each so many-th study is a CT, the others are films; 0 for films only.

    Raises:
        ValueError: `size` is below 64.
    """
    if size < 64:
        raise ValueError("a film needs at least 64 pixels a side")
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = f"phantom-{seed}-{number:05d}"
        if ct_every and number % ct_every == ct_every - 1:
            yield _ct_study(name, rng)
        else:
            yield _film_study(name, rng, size)


def write_studies(
    out: Path, *, count: int, seed: int = 0, size: int = 1024, ct_every: int = 10
) -> int:
    """Write studies as `out/NAME/*.dcm`, then `out/truth.json`.

    Returns:
        The number of DICOM files written.
    """
    out.mkdir(parents=True, exist_ok=True)
    truths, files = [], 0
    for study in make_studies(count, seed, size, ct_every=ct_every):
        folder = out / study.name
        folder.mkdir(exist_ok=True)
        for file_name, dataset in study.files:
            (folder / file_name).write_bytes(to_bytes(dataset))
            files += 1
        truths.append(study.truth)
    truth = {"made_up": True, "version": TRUTH_VERSION, "seed": seed, "studies": truths}
    (out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return files


def _film_study(name: str, rng: np.random.Generator, size: int) -> PhantomStudy:
    """Make a study of one film."""
    plan = plan_film(rng)
    film = draw_film(plan, rng, size=size)
    dataset = film_object(
        film.pixels,
        study=name,
        modality=plan.modality,
        view=plan.view,
        exposure=int(rng.integers(800, 6000)),
    )
    findings = [_finding(each.finding, each.bbox) for each in film.findings]
    truth = _truth(name, ["film.dcm"], plan.modality, plan.view, findings)
    truth["sentences"] = findings_sentences(plan.findings)
    return PhantomStudy(name, (("film.dcm", dataset),), truth)


def _ct_study(name: str, rng: np.random.Generator) -> PhantomStudy:
    """Make a study of one CT series."""
    volume = draw_volume(plan_volume(rng), rng)
    slices = volume.hu.shape[0]
    files = tuple(
        (f"slice-{number:03d}.dcm", slice_object(hu, study=name, number=number, slices=slices))
        for number, hu in enumerate(volume.hu)
    )
    findings = [_finding(finding, box) for finding, box in volume.findings]
    truth = _truth(name, [file_name for file_name, _ in files], "CT", "", findings)
    there = tuple(finding for finding, _ in volume.findings)
    truth["sentences"] = findings_sentences(there)
    return PhantomStudy(name, files, truth)


def _finding(finding: Finding, box: tuple[int, ...]) -> dict[str, Any]:
    """Return a finding as the truth file has it."""
    return {
        "finding": finding.finding,
        "side": finding.side,
        "zone": finding.zone,
        "bbox": list(box),
    }


def _truth(
    name: str, files: list[str], modality: str, view: str, findings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a study's entry in the truth file, sentences still to come."""
    return {
        "study": name,
        "files": [f"{name}/{file_name}" for file_name in files],
        "modality": modality,
        "view": view,
        "findings": findings,
    }
