"""What the demo model may learn from: pictures with what is known about each, split by patient.

Nothing is inferred from a picture itself. Labels of NIH films are text-mined and about nine in
ten right; "Pneumonia" against "No Finding" makes up most of them. Whether a VQA-RAD head is CT
or MR is not in the data: the nine CT slices were picked out by eye, by no clinician.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from inference.families.preparing import Preparation

NIH_FINDINGS = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Edema": "oedema",
    "Effusion": "pleural effusion",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Hernia": "hernia",
    "Infiltration": "infiltration",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pleural_Thickening": "pleural thickening",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
}
PHANTOM_FINDINGS = (
    "pleural effusion",
    "pneumothorax",
    "consolidation",
    "nodule",
    "cardiomegaly",
    "endotracheal tube",
)
CT_PHANTOM_FINDINGS = ("pleural effusion", "nodule")
CT_HEADS = frozenset(
    f"synpic{number}.jpg"
    for number in (16520, 34922, 39757, 42951, 45914, 46943, 54795, 57520, 58261)
)
PARTS_OF_BODY = {
    "CHEST": "chest", "ABD": "abdomen", "ABDOMEN": "abdomen", "HEAD": "head", "HAND": "hand",
    "BREAST": "breast", "ABDOMEN/PELVIS": "abdomen",
}  # fmt: skip
CT_SLICES_USED = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8)  # of a volume's length
VALIDATION_SHARE, DEV_SHARE = 0.20, 0.12


Box = tuple[float, float, float, float]  # left, top, right, bottom; shares of the picture's side


class Part(StrEnum):
    """Which part of the data a patient belongs to; the validation part is never fitted to."""

    TRAIN = "train"
    DEV = "dev"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a finding is; side and zone are empty where it has none or it is unknown."""

    finding: str
    side: str = ""
    zone: str = ""
    box: Box | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image and what is known about it; None or absent means unknown, never "no"."""

    path: Path
    source: str  # nih, hannover, vqarad, mednist, tcia, phantom
    group: str  # patient
    part: Part
    modality: str  # X-ray, CT, MR
    body_part: str
    view: str | None = None  # AP, PA
    normal: bool | None = None
    findings: dict[str, bool] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    sentences: tuple[str, ...] = ()
    questions: tuple[tuple[str, str], ...] = ()  # a clinician's question and answer
    window: int = 0  # which of a DICOM file's windows


def part_of(group: str, seed: int) -> Part:
    """Draw a patient's part of the data; depends on the patient and the seed alone."""
    drawn = int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:8], 16) / 2**32
    if drawn < VALIDATION_SHARE:
        return Part.VALIDATION
    return Part.DEV if drawn < VALIDATION_SHARE + DEV_SHARE else Part.TRAIN


def read_sources(data: Path, phantoms: tuple[Path, ...], seed: int) -> list[Picture]:
    """List every picture of the data folder and of the phantom folders, in a fixed order."""
    rows = manifest_rows(data)
    asked = _questions(data / "vqarad" / "qa.jsonl")
    boxes = json.loads((data / "cxr_nih_1024" / "boxes.json").read_text(encoding="utf-8"))
    pictures = [
        picture for row in rows if (picture := _picture(data, row, asked, boxes, seed)) is not None
    ]
    for folder in phantoms:
        pictures += _phantoms(folder, seed)
    return pictures


def manifest_rows(data: Path) -> list[dict[str, str]]:
    """Return the rows of MANIFEST.csv that the model is trained or measured on."""
    with (data / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = ("cxr_nih_", "cxr_hannover/", "vqarad/", "mednist64/", "dicom/tcia_mr_pseudo_phi/exp")
    return [row for row in rows if row["file"].startswith(wanted)]


def rows_sha256(rows: list[dict[str, str]]) -> str:
    """Return one hash of the names and hashes of all files used."""
    lines = "".join(f"{row['sha256']}  {row['file']}\n" for row in rows)
    return hashlib.sha256(lines.encode()).hexdigest()


def picture_image(picture: Picture) -> Image.Image:
    """Open a picture at its own size, 8 bits, through a window if it is DICOM."""
    if picture.path.suffix == ".dcm":
        return _dicom(picture)
    return Image.open(picture.path)


def grey_levels(picture: Picture, size: int) -> NDArray[np.uint8]:
    """Read a picture as the model will be shown it: uint8 [size, size]."""
    how = Preparation(fit="stretch", size=size, mean=(0.5,) * 3, std=(0.5,) * 3)
    fitted = Image.fromarray(how.levels(picture_image(picture)))
    levels: NDArray[np.uint8] = np.asarray(fitted.convert("L"))
    return levels


def _dicom(picture: Picture) -> Image.Image:
    """Map a DICOM file onto 8 bits by one of its windows, or by percentiles if it has none."""
    dataset = pydicom.dcmread(io.BytesIO(picture.path.read_bytes()))
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    values = dataset.pixel_array.astype(np.float32) * float(slope) + float(intercept)
    if "WindowCenter" in dataset:
        centres, widths = _numbers(dataset.WindowCenter), _numbers(dataset.WindowWidth)
        index = min(picture.window, len(centres) - 1)
        low = centres[index] - widths[index] / 2
        high = low + widths[index]
    else:
        low, high = (float(v) for v in np.percentile(values, [1, 99]))
    levels = np.clip((values - low) / max(high - low, 1.0), 0, 1) * 255
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def _numbers(value: Any) -> list[float]:  # noqa: ANN401 - pydicom gives one number or several
    several = isinstance(value, (list, pydicom.multival.MultiValue))
    return [float(v) for v in value] if several else [float(value)]


def _questions(path: Path) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return each VQA-RAD image's questions and answers."""
    asked: dict[str, list[tuple[str, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        pair = (" ".join(str(entry["question"]).split()), " ".join(str(entry["answer"]).split()))
        asked.setdefault(entry["image"], []).append(pair)
    return {image: tuple(pairs) for image, pairs in asked.items()}


def _picture(
    data: Path,
    row: dict[str, str],
    asked: dict[str, tuple[tuple[str, str], ...]],
    boxes: dict[str, list[dict[str, Any]]],
    seed: int,
) -> Picture | None:
    """Turn one manifest row into a picture; None for what is no labelled image."""
    source = row["file"].split("/")[0]
    path, found = data / row["file"], re.search(r"view=(\w+)", row["notes"])
    view = found[1].upper() if found else None
    body = PARTS_OF_BODY.get(row["body_part"], "")
    if path.suffix not in (".png", ".jpg", ".jpeg", ".dcm") or not body:
        return None
    group = row["patient_group"] or row["file"]
    part = part_of(group, seed)
    if source.startswith("cxr_nih"):
        labels = set(row["labels"].split("|"))
        if not labels & {*NIH_FINDINGS, "No Finding"}:
            return None
        findings = {name: label in labels for label, name in NIH_FINDINGS.items()}
        sites = tuple(_site(box, int(row["width"])) for box in boxes.get(path.name, []))
        normal = "No Finding" in labels
        return Picture(path, "nih", group, part, "X-ray", body, view, normal, findings, sites=sites)
    if source == "cxr_hannover":
        return Picture(path, "hannover", group, part, "X-ray", body, view)
    if source == "vqarad":
        modality = {"HEAD": "MR", "ABD": "CT", "CHEST": "X-ray"}[row["body_part"]]
        modality = "CT" if path.name in CT_HEADS else modality
        return Picture(
            path, "vqarad", group, part, modality, body, questions=asked.get(path.name, ())
        )
    modality = "X-ray" if row["modality"].startswith("CR") else row["modality"]
    if source == "mednist64":
        return Picture(path, "mednist", group, part, modality, body)
    return Picture(path, "tcia", group, Part.TRAIN, modality, body)  # one patient: train only


def _site(box: dict[str, Any], width: int) -> Site:
    """Name the side and zone of a radiologist's box; the patient's right is the film's left."""
    x, y = (box["x"] + box["w"] / 2) / width, (box["y"] + box["h"] / 2) / width
    zone = "upper" if y < 0.40 else "mid" if y < 0.58 else "lower"
    corners = (box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"])
    left, top, right, bottom = (corner / width for corner in corners)
    side = "right" if x < 0.5 else "left"
    return Site(box["finding"].lower(), side, zone, (left, top, right, bottom))


def _phantoms(folder: Path, seed: int) -> Iterator[Picture]:
    """Yield the films, and some slices in both windows, of a folder of made-up studies."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    for study in truth["studies"]:
        part = part_of(study["study"], seed)
        if study["modality"] == "CT":
            yield from _slices(folder, study, part)
            continue
        there = {entry["finding"] for entry in study["findings"]}
        yield Picture(
            folder / study["files"][0],
            "phantom",
            study["study"],
            part,
            "X-ray",
            "chest",
            study["view"],
            normal=not there,
            findings={name: name in there for name in PHANTOM_FINDINGS},
            sites=_true_sites(study["findings"], folder / study["files"][0]),
            sentences=tuple(study["sentences"]),
        )


def _slices(folder: Path, study: dict[str, Any], part: Part) -> Iterator[Picture]:
    """Yield some slices of a made-up CT; a finding is present where its box reaches."""
    files = study["files"]
    for share in CT_SLICES_USED:
        index = int(share * len(files))
        cut = [e for e in study["findings"] if e["bbox"][2] <= index <= e["bbox"][5]]
        there = {entry["finding"] for entry in cut}
        sites = _true_sites(cut, folder / files[index])
        for window in (0, 1):
            yield Picture(
                folder / files[index],
                "ct phantom",
                study["study"],
                part,
                "CT",
                "chest",
                normal=not there,
                findings={name: name in there for name in CT_PHANTOM_FINDINGS},
                sites=sites,
                window=window,
            )


def _true_sites(entries: list[dict[str, Any]], path: Path) -> tuple[Site, ...]:
    """Return the places of findings in a made-up picture, with their boxes."""
    if not entries:
        return ()
    side = float(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows"]).Rows)
    sites = []
    for entry in entries:
        first, last = entry["bbox"][:2], entry["bbox"][len(entry["bbox"]) // 2 :][:2]
        box = (first[0] / side, first[1] / side, (last[0] + 1) / side, (last[1] + 1) / side)
        sites.append(Site(entry["finding"], entry["side"], entry["zone"], box))
    return tuple(sites)
