"""Labelled sentences, written for these tests: what the rules must catch, and leave alone.

`dev` was open while the rules were written; `held_out` was written before and is only scored. A
sentence about a critical finding carries its label in its form. `voices` were written in many
manners before policy 3, and fall into an open and a held half by their own text. `fresh` and the
rounds came one after the other; what each scored at first is at the head of its file. The
`writers` have a manner each and are divided by writer: `train` and `dev` were read while policy 5
was made, the `UNFORESEEN` while policy 6 was, `test` was only scored; a third of the sentences of
`UNFORESEEN` and `cross_section` are hard on purpose. `not_urgent` are
findings that can wait, for fitting.
"""

import tomllib
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

RAISES: Final = frozenset(
    {"positive", "uncertain", "misspelt", "abbreviation", "plural", "template"}
)
MIXED: Final = "critical_suggested"  # dev only: sentences found hard, by no one finding
SILENT: Final = frozenset({"negated", "historical", "hypothetical", "family", "template_absent"})

SCORED_FIRST: Final = ("fresh", "round1", "round2", "round3", "round4")

WRITERS: Final = {
    "train": (
        *("academic_us", "assistant", "body_specialties", "consultant", "neuro_msk", "portal"),
        *("registrar", "side_remarks", "talk", "generalities", "plain_findings", "told_and_seen"),
    ),
    "dev": ("dictation", "teaching"),
    "test": ("clinic_chat", "icu_ed", "cross_section", "natural"),
}

# Nobody had provided for these when policy 6 was begun; what they taught is in it.
UNFORESEEN: Final = (
    *("bedside", "outsider", "reports_hard", "shorthand"),
    *("textbook", "turns_of_phrase"),
)

Half = Literal["dev", "held_out"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence and what the rules should say to it."""

    text: str
    finding: str | None  # the critical finding it is about
    form: str  # "treatment", "benign", or how it speaks of the finding

    @property
    def urgent(self) -> bool:
        """Whether it suggests a critical finding in this patient now."""
        return self.form in RAISES or self.form == MIXED


@cache
def labelled(half: Half) -> tuple[Labelled, ...]:
    """Return one half of the set."""
    fields = tomllib.loads(files(__name__).joinpath(f"{half}.toml").read_text("utf-8"))
    plain = [
        Labelled(text, None, form)
        for form in ("treatment", "benign", MIXED, "critical_not_suggested")
        for text in fields.get(form, [])
    ]
    critical = [
        Labelled(text, finding, form)
        for finding, forms in fields["critical"].items()
        for form, texts in forms.items()
        for text in texts
    ]
    return (*plain, *critical)


@cache
def voices(half: Half) -> tuple[Labelled, ...]:
    """Return one half of the sentences in many voices; which, their checksum tells."""
    return tuple(
        sentence
        for sentence in _read("voices")
        if zlib.crc32(sentence.text.encode()) % 2 == (half == "held_out")
    )


@cache
def scored_first(name: str) -> tuple[Labelled, ...]:
    """Return one of `SCORED_FIRST`: written and scored before the rules were mended for it."""
    return _read(name)


@cache
def written_by(writer: str) -> tuple[Labelled, ...]:
    """Return the sentences of one of `WRITERS`."""
    return _read(f"writers/{writer}")


def _read(name: str) -> tuple[Labelled, ...]:
    fields = tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))
    return tuple(
        Labelled(text, None, {"urgent": MIXED, "silent": "critical_not_suggested"}.get(form, form))
        for form, texts in fields.items()
        for text in texts
    )


@cache
def not_urgent() -> tuple[Labelled, ...]:
    """Return findings that can wait, each behind each opening."""
    fields = tomllib.loads(files(__name__).joinpath("not_urgent.toml").read_text("utf-8"))
    texts = [opening.format(f) for f in fields["findings"] for opening in fields["openings"]]
    texts += fields["sentences"]
    return tuple(Labelled(text[0].upper() + text[1:], None, "benign") for text in texts)


@cache
def only_scored() -> tuple[Labelled, ...]:
    """Return the sentences that nothing is fitted on."""
    return (
        *labelled("held_out"),
        *voices("held_out"),
        *(sentence for writer in WRITERS["test"] for sentence in written_by(writer)),
    )


@cache
def unforeseen() -> tuple[str, ...]:
    """Return treatment advice that was written after the rules."""
    text = files(__name__).joinpath("afterthought.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["treatment"])
