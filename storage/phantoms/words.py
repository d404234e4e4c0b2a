"""What a perfect reader would write about a made-up film, one sentence a finding.

The wording never varies for the same truth: it is an answer key, not a language exercise.
"""

from collections.abc import Sequence
from typing import Final

from storage.phantoms.plan import Finding

_SIZES: Final = ("small", "moderate", "large")


def findings_sentences(findings: Sequence[Finding]) -> list[str]:
    """Return the findings of a frontal chest film, what is there first, what is not after."""
    sentences = [_present(finding) for finding in findings]
    there = {finding.finding for finding in findings}
    if not there & {"consolidation", "nodule"}:
        sentences.append("No consolidation or nodule.")
    if "cardiomegaly" not in there:
        sentences.append("The heart is not enlarged.")
    absent = [name for name in ("pleural effusion", "pneumothorax") if name not in there]
    if absent:
        sentences.append(f"No {' or '.join(absent)}.")
    return sentences


def _present(finding: Finding) -> str:
    """Say what is seen and where."""
    size = _SIZES[min(int(finding.size * 3), 2)]
    match finding.finding:
        case "pleural effusion":
            return f"There is a {size} {finding.side} pleural effusion."
        case "pneumothorax":
            return f"There is a {size} {finding.side} apical pneumothorax."
        case "consolidation":
            return f"There is consolidation in the {finding.side} {finding.zone} zone."
        case "nodule":
            return f"There is a nodule in the {finding.side} {finding.zone} zone."
        case "cardiomegaly":
            return "The heart is enlarged."
        case _:
            return "An endotracheal tube is in place, with its tip above the carina."
