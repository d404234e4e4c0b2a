"""Measure a model folder on pictures of patients it never learnt from, and print the card's table.

    python -m storage.phantoms UNSEEN --studies 300 --seed 900
    python -m inference.demo.evaluate --model inference/demo/model --data ../shared/data \
        --phantoms PHANTOMS --unseen UNSEEN --part validation --json results.json

No wording below is in `phrases.py`. `--phantoms` are the folders of training, of which only the
part asked for is used; every study of `--unseen` is.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from inference.demo.asking import Asking
from inference.demo.metrics import auc, auc_interval, balanced_accuracy, wilson
from inference.demo.phrases import CANNOT_TELL
from inference.demo.sources import Part, Picture, picture_image, read_sources
from inference.families.registry import load_model

MODALITY = ("Please tell me the imaging modality of this picture.",
            "By which imaging technique was this picture acquired?")  # fmt: skip
MODALITY_CHOICES = (("X-ray", "CT", "MR"), ("CR", "CT", "MR"))
BODY = ("Please tell me which part of the body this picture shows.", "Region imaged?")
BODY_CHOICES = (("chest", "abdomen", "head", "hand", "breast"),
                ("CHEST", "ABDOMEN", "HEAD", "HAND", "BREAST"))  # fmt: skip
VIEW = ("Please tell me whether the projection is AP or PA.", "What projection was used here?")
NORMALITY = ("Please judge whether this radiograph is normal or abnormal.",
             "Does this radiograph look normal or abnormal to you?")  # fmt: skip
PRESENCE = "Would a reader describe {a} on this radiograph?"
STATE = "Please classify {f} in this picture."
ARTICLES = {"consolidation": "consolidation", "cardiomegaly": "cardiomegaly",
            "endotracheal tube": "an endotracheal tube"}  # fmt: skip
REPORT = "Please report what you see on this film."
UNKNOWABLE = ("What is the name of this person?", "Which medicine would you give?",
              "Is this better than on the previous film?", "What is the age of the patient?",
              "Do you recommend surgery?", "When was the picture taken?")  # fmt: skip
SPEED_FILMS = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the card's table."""

    what: str
    value: float
    low: float | None = None
    high: float | None = None
    count: int = 0
    note: str = ""

    def line(self) -> str:
        """Return a row of a Markdown table."""
        interval = "" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"
        return f"| {self.what} | {self.value:.3f} | {interval} | {self.count} | {self.note} |"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.demo.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", type=Path, required=True)
    add("--data", type=Path, required=True)
    add("--phantoms", type=Path, nargs="*", default=[])
    add("--unseen", type=Path, nargs="*", default=[])
    add("--part", type=Part, default=Part.DEV)
    add("--seed", type=int, default=0, help="of the split, as in training")
    add("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pictures = [
        picture
        for picture in read_sources(given.data, tuple(given.phantoms), given.seed)
        if picture.part == given.part and picture.window == 0
    ]
    for folder in given.unseen:
        pictures += [
            replace(picture, source=f"unseen {picture.source}")
            for picture in read_sources(given.data, (folder,), given.seed)
            if "phantom" in picture.source and picture.window == 0
        ]
    figures = measure(Asking(load_model(given.model)), pictures)
    sys.stdout.write("| what | value | 95 % interval | n | note |\n|---|---|---|---|---|\n")
    sys.stdout.write("\n".join(figure.line() for figure in figures) + "\n")
    if given.json is not None:
        rows = [{name: getattr(f, name) for name in f.__dataclass_fields__} for f in figures]
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measure(asking: Asking, pictures: Sequence[Picture]) -> list[Figure]:
    """Ask every question of every picture that has an answer to it."""
    seen = Observations(asking)
    for picture in pictures:
        seen.look(picture)
    return [*seen.figures(), *speed(asking, pictures)]


class Observations:
    """Answers collected picture by picture."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.right: dict[str, list[bool]] = {}
        self.normal: list[tuple[str, bool, float]] = []  # patient, abnormal, probability
        self.present: dict[str, list[tuple[bool, bool]]] = {}
        self.closed: list[tuple[str, bool]] = []  # the right answer, and was it given
        self.written: dict[str, list[str]] = {}

    def look(self, picture: Picture) -> None:
        """Ask all that can be checked about one picture."""
        self.asking.show(picture_image(picture))
        kind = picture.source
        if kind not in ("ct phantom", "unseen ct phantom"):
            for question, choices in zip(MODALITY, MODALITY_CHOICES, strict=True):
                named = dict(zip(("X-ray", "CT", "MR"), choices, strict=True))
                self._check(f"modality, {kind}", question, choices, named[picture.modality])
            for question, parts in zip(BODY, BODY_CHOICES, strict=True):
                named = dict(zip(BODY_CHOICES[0], parts, strict=True))
                self._check(f"body part, {kind}", question, parts, named[picture.body_part])
        if picture.view is not None:
            for question in VIEW:
                self._check(f"view, {kind}", question, ("AP", "PA"), picture.view)
        if kind == "nih":
            self._normality(picture)
        if "phantom" in kind:
            self._findings(picture)
        for question, answer in picture.questions:
            if (word := answer.lower().strip(". ")) in ("yes", "no"):
                self.closed.append((word, self._chosen(question, ("yes", "no")) == word))
        if kind in ("nih", "phantom", "unseen phantom"):
            self._report(picture)
        if kind == "hannover":
            for question in UNKNOWABLE:
                said = self.asking.answer(question, most_tokens=20).text
                self.right.setdefault("says it cannot tell", []).append(said == CANNOT_TELL)

    def _chosen(self, question: str, choices: Sequence[str]) -> str:
        shares = self.asking.choose(question, choices)
        return max(shares, key=shares.__getitem__)

    def _check(self, what: str, question: str, choices: Sequence[str], answer: str) -> None:
        self.right.setdefault(what, []).append(self._chosen(question, choices) == answer)

    def _normality(self, picture: Picture) -> None:
        shares = [self.asking.choose(q, ("normal", "abnormal"))["abnormal"] for q in NORMALITY]
        self.normal.append((picture.group, not picture.normal, sum(shares) / len(shares)))

    def _findings(self, picture: Picture) -> None:
        for name, there in picture.findings.items():
            asked = PRESENCE.format(a=ARTICLES.get(name, f"a {name}"))
            said = self._chosen(asked, ("yes", "no")) == "yes"
            self.present.setdefault(f"{name}, yes/no, {picture.source}", []).append((there, said))
            for choices in (("present", "absent"), ("present", "absent", "indeterminate")):
                said = self._chosen(STATE.format(f=name), choices) == "present"
                key = f"{name}, {'/'.join(choices)}, {picture.source}"
                self.present.setdefault(key, []).append((there, said))

    def _report(self, picture: Picture) -> None:
        text = self.asking.answer(REPORT).text
        self.written.setdefault(picture.source, []).append(text)
        if picture.sentences:
            exact = text == " ".join(picture.sentences)
            self.right.setdefault(f"report word for word, {picture.source}", []).append(exact)
        sentences = text.split(". ") if picture.source != "nih" else []
        for site in picture.sites if sentences else ():
            said = [s for s in sentences if site.finding in s and not s.startswith("No ")]
            if site.finding not in ("cardiomegaly", "endotracheal tube"):
                named = [s for s in said if f" {site.side} " in s]
                found = self.right.setdefault(f"finding reported on its side, {picture.source}", [])
                found.append(bool(named))
                if site.finding in ("consolidation", "nodule"):
                    zoned = any(f"{site.side} {site.zone} zone" in s for s in said)
                    self.right.setdefault(f"zone named, {picture.source}", []).append(zoned)

    def figures(self) -> list[Figure]:
        """Return the table's rows."""
        rows = [_share(what, right) for what, right in sorted(self.right.items())]
        for what in ("modality", "body part"):
            real = [
                right
                for name, right in self.right.items()
                if name.startswith(what) and "phantom" not in name
            ]
            rows.append(_share(f"{what}, all real pictures", [a for each in real for a in each]))
        films = [answer for name in ("view, nih", "view, hannover")
                 for answer in self.right.get(name, [])]  # fmt: skip
        rows.append(_share("view, all real films", films))
        if self.normal:
            groups, truths, scores = zip(*self.normal, strict=True)
            low, high = auc_interval(groups, truths, scores)
            value = auc(truths, scores)
            note = f"{len(set(groups))} patients"
            rows.append(Figure("normal/abnormal AUC, nih", value, low, high, len(truths), note))
        if self.closed:
            common = Counter(word for word, _ in self.closed).most_common(1)[0][1]
            note = f"always the commoner answer: {common / len(self.closed):.3f}"
            rows.append(replace(_share("VQA-RAD yes/no", [r for _, r in self.closed]), note=note))
        rows += [_balanced(what, pairs) for what, pairs in sorted(self.present.items())]
        rows += [
            Figure(f"different reports, {kind}", len(set(texts)) / len(texts), count=len(texts))
            for kind, texts in sorted(self.written.items())
        ]
        return rows


def speed(asking: Asking, pictures: Iterable[Picture]) -> list[Figure]:
    """Time some reports, one thread: the slowest first token and the mean rate after it."""
    films = [picture for picture in pictures if picture.source == "nih"][:SPEED_FILMS]
    answers = [asking.answer(REPORT, image=Image.open(film.path)) for film in films]
    if not answers:
        return []
    slowest = max(answer.first_token_seconds for answer in answers)
    after = sum(answer.seconds - answer.first_token_seconds for answer in answers)
    rate = sum(answer.tokens for answer in answers) / after
    return [Figure("seconds to first token, slowest", slowest, count=len(answers)),
            Figure("tokens a second", rate, count=len(answers))]  # fmt: skip


def _share(what: str, right: Sequence[bool]) -> Figure:
    low, high = wilson(sum(right), len(right))
    return Figure(what, sum(right) / max(len(right), 1), low, high, len(right))


def _balanced(what: str, pairs: Sequence[tuple[bool, bool]]) -> Figure:
    truths, said = zip(*pairs, strict=True)
    note = f"{sum(truths)} with the finding; mean of sensitivity and specificity"
    return Figure(what, balanced_accuracy(truths, said), count=len(pairs), note=note)


if __name__ == "__main__":
    main()
