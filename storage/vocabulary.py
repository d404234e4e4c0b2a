"""Closed sets of words that are stored, exported and shown; no database imports here."""

from enum import StrEnum


class Role(StrEnum):
    """What an account may do; each role includes the rights of those above it in this list."""

    TRAINEE = "trainee"
    READER = "reader"
    ADJUDICATOR = "adjudicator"
    ADMIN = "admin"


class Protocol(StrEnum):
    """In which order a reader and the model speak (Fogliato et al., FAccT 2022)."""

    READER_FIRST = "reader_first"
    AI_FIRST = "ai_first"
    BLIND_PAIR = "blind_pair"
    TEACHING = "teaching"


class CaseState(StrEnum):
    """Where the study door left a case."""

    CHECKING = "checking"
    HELD = "held"
    ADMITTED = "admitted"
    REFUSED = "refused"


class Progress(StrEnum):
    """How far one reader has come with one case; derived, never stored."""

    TODO = "todo"
    OWN_READ = "own_read"
    DRAFTED = "drafted"
    DONE = "done"


class Attestation(StrEnum):
    """A person's decision about the pixels of a held study."""

    CLEAN = "clean"
    MASK = "mask"
    REFUSE = "refuse"


class FindingState(StrEnum):
    """What a reader or a closed question says about one finding."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"


class Side(StrEnum):
    """Where a finding lies, as seen from the patient."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"
    MIDLINE = "midline"


class FinishReason(StrEnum):
    """Why a draft ended; the first two are OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


class Verdict(StrEnum):
    """A reviewer's judgement of one draft."""

    ACCEPT_AS_IS = "accept_as_is"
    MINOR_EDIT = "minor_edit"
    MAJOR_EDIT = "major_edit"
    REJECT = "reject"
    ABSTAIN = "abstain"


class ErrorClass(StrEnum):
    """The six error classes of ReXVal, spelt as CheXprompt's output keys."""

    FALSE_POSITIVE_FINDING = "false_positive_finding"
    OMISSION_FINDING = "omission_finding"
    INCORRECT_LOCATION = "incorrect_location"
    INCORRECT_SEVERITY = "incorrect_severity"
    FALSE_POSITIVE_COMPARISON = "false_positive_comparison"
    OMISSION_COMPARISON = "omission_comparison"


class ErrorSubtype(StrEnum):
    """What went wrong inside an error class; optional, never instead of the class."""

    LATERALITY = "laterality"
    MEASUREMENT = "measurement"
    DEVICE_POSITION = "device_position"
    CONTRADICTION = "contradiction"
    NEGATION_FLIP = "negation_flip"
    LANGUAGE = "language"
    OTHER = "other"


class RegionType(StrEnum):
    """The shape of a marked region."""

    BBOX = "bbox"


class Space(StrEnum):
    """The frame of reference of a region's coordinates."""

    PIXEL = "pixel"
    PATIENT_MM = "patient_mm"


class ExportFormat(StrEnum):
    """The training formats an export can be written in."""

    FULL = "full"
    LLAVA = "llava"
    TRL_SFT = "trl-sft"
    TRL_DPO = "trl-dpo"
    TRL_KTO = "trl-kto"


class Outcome(StrEnum):
    """How an audited action ended."""

    SUCCESS = "success"
    REFUSED = "refused"
    FAILED = "failed"
