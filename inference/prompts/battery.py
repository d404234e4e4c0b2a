"""Named lists of questions that are asked together about one study.

A battery is data with a version and a hash, as templates are; both are kept with every question
it asked, so that an answer can be traced to the list it came from. A changed list is a new version.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from inference.errors import InferenceError

UNSAID: Final = frozenset({"", "OT"})  # modalities that say nothing of what is shown


class UnknownBatteryError(InferenceError):
    """A battery id that this release does not have."""

    code = "unknown_battery"

    def __init__(self) -> None:
        """List the known ones."""
        super().__init__(f"There is no such battery; known are {', '.join(battery_ids())}.")


@dataclass(frozen=True, slots=True)
class BatteryQuestion:
    """One question of a battery; without own choices the template's are offered."""

    id: str
    finding: str  # by its published name
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Battery:
    """One list of questions; `sha256` covers what reaches a model, next to the template's own."""

    id: str
    version: int
    title: str
    template_id: str
    modalities: frozenset[str]
    body_parts: frozenset[str]
    questions: tuple[BatteryQuestion, ...]
    sha256: str

    def suits(self, modality: str, body_part: str) -> bool | None:
        """Say whether the questions are about such a study; None where it does not say enough.

        Args:
            modality: DICOM's Modality.
            body_part: DICOM's BodyPartExamined, empty when unknown.
        """
        if modality not in self.modalities | UNSAID:
            return False
        if body_part and body_part not in self.body_parts:
            return False
        return True if modality in self.modalities and body_part else None


def battery_ids() -> tuple[str, ...]:
    """Return the known ids, in order."""
    return tuple(_batteries())


def battery(battery_id: str) -> Battery:
    """Return a battery.

    Raises:
        UnknownBatteryError: this release does not have it.
    """
    try:
        return _batteries()[battery_id]
    except KeyError:
        raise UnknownBatteryError from None


@cache
def _batteries() -> dict[str, Battery]:
    found = (
        (entry.name.removesuffix(".toml"), entry.read_text("utf-8"))
        for entry in files("inference.prompts").joinpath("batteries").iterdir()
        if entry.name.endswith(".toml")
    )
    return {name: _parsed(name, text) for name, text in sorted(found)}


def _parsed(battery_id: str, text: str) -> Battery:
    fields = tomllib.loads(text)
    sent = {name: fields[name] for name in ("version", "template", "question")}
    sent |= {"id": battery_id}
    canonical = json.dumps(sent, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Battery(
        id=battery_id,
        version=fields["version"],
        title=fields["title"],
        template_id=fields["template"],
        modalities=frozenset(fields["modalities"]),
        body_parts=frozenset(fields["body_parts"]),
        questions=tuple(
            BatteryQuestion(
                each["id"], each["finding"], each["text"], tuple(each.get("choices", ()))
            )
            for each in fields["question"]
        ),
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )
