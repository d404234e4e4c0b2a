"""Every sentence a clinician reads on a page, in one place."""

from typing import Final

from storage.notice import NOTICE

STRIP: Final = (
    "**Overread** is a laboratory for reviewing medical image models. It is **not a medical "
    "device**: nothing shown here may be used for care."
)
DRAFT_HEADING: Final = f"[{NOTICE}]"
DEMO_MODEL: Final = (
    "**overread-demo** is a small demonstration model, trained on a laptop and often wrong. It is "
    "here so that you can try the review loop; its mistakes make honest review material."
)
MODEL_AWAY: Final = (
    "**The model is not available:** {reason}. You can go on reading; your questions are kept."
)
MADE_UP: Final = "made-up study"

NO_CASE: Final = "Choose a case from the [worklist](/)."
NO_SUCH_CASE: Final = (
    "There is no such case, or it is not yours to open. Back to the [worklist](/)."
)
NOTHING_TO_READ: Final = (
    "Nothing is waiting for you here. Upload a study, or choose another collection or state above."
)
ALL_DONE: Final = "No case is waiting in this collection: you have read them all."

HELD: Final = {
    "pixels_unattested": "pixels of this kind of file can carry names, so a person has to look",
    "recognisable_face": "a face could be rebuilt from these thin slices of a head",
    "burned_in_declared": "the file itself says that text is burned into the pixels",
    "text_in_pixels": "text was found in the pixels",
    "pixels_unread": "the pixels could not be searched for text",
}
HELD_HELP: Final = (
    "This study is **held**: {reasons}. Look at every image. If no name, date, number or face is "
    "visible, attest it; if something is, draw rectangles over it in the viewer and mask it, or "
    "refuse the study."
)
HELD_FOUND: Final = (
    "\n\nText stands on {frames} of {count} images; rectangles are drawn around it. Delete those "
    "that are none, add your own where something was missed, and mask them."
)
FOUND_LABEL: Final = "text"
FOUND_AT: Final = "Text {number} of {count}: image {image}, frame {frame}"
FOUND_NONE: Final = "No text was found."
FOUND_PREVIOUS: Final = "Previous text"
FOUND_NEXT: Final = "Next text"
CHECKING: Final = (
    "Being searched for text in the pixels: {done} of {frames} images. It opens by itself, or is "
    "held, when that is through."
)
ATTEST_CLEAN: Final = "I have looked: no identity in the pixels"
ATTEST_MASK: Final = "Mask the rectangles, then admit"
ATTEST_REFUSE: Final = "Refuse this study"
ATTESTED: Final = {
    "clean": "Attested. The study is open for reading.",
    "mask": "Masked and attested. The study opens once no text is found any more.",
    "refuse": "Refused. The study cannot be read.",
}
NO_RECTANGLES: Final = "Draw at least one rectangle in the viewer before you mask."

OWN_READ_LABEL: Final = "Your own read, before you see the draft"
OWN_READ_PLACEHOLDER: Final = "Findings in your own words, as you would dictate them"
OWN_READ_NORMAL: Final = "No abnormality seen."
OWN_READ_EMPTY: Final = "Write your findings, or choose “Nothing abnormal”, before you commit."
OWN_READ_COMMITTED: Final = "**Your read** ({when}, confidence {confidence}): {text}"
OWN_READ_WAITING: Final = "Commit your own read first; then the model may answer."
CONFIDENCE: Final = "How sure are you? 1 guess – 5 certain"

ASK_LABEL: Final = "Ask the model about this study"
ASK_PLACEHOLDER: Final = "Is there a pleural effusion?"
QUICK_QUESTIONS: Final = (
    "Describe the findings.",
    "Give a short impression.",
    "Is this normal or abnormal?",
)
BATTERY_ASK: Final = "Ask the 14 chest findings"
BATTERY_STOP: Final = "Stop the findings"
BATTERY_PROGRESS: Final = "{answered} of {asked} answered"
STOPPED: Final = " … stopped"
NOT_CHECKED: Final = "(This answer was not checked by asking the other way round.)"
ASKED_WITHOUT_ANSWER: Final = "No answer was made. Your question is kept; ask it again."

REVIEW_LABEL: Final = "Correct the draft: change what is wrong, delete what is not there"
REVIEW_WHICH: Final = "Draft to review"
COMMENT_LABEL: Final = "Comment (optional)"
VERDICT_LABEL: Final = "Verdict"
VERDICT_AUTOMATIC: Final = "as inferred from your changes"
REVIEW_SAVED: Final = "Saved as revision {revision}: {verdict}."
REVIEW_LATEST: Final = "Your latest review of this draft: revision {revision}, {verdict}, {when}."
REVIEW_AGAIN: Final = " Saving again adds a revision; nothing is overwritten."
FAILED: Final = (
    "This did not work. What you wrote is still on the page; try again, and tell your "
    "administrator if it happens twice."
)
UNREADABLE: Final = "This page sent what it cannot have shown. Load it again."
NOTHING_CHANGED: Final = "You changed nothing. Choose “Accept as is” if the draft is right."
SIGNIFICANT_LABEL: Final = "A mistake I corrected could change patient management"

VERDICTS: Final = {
    "accept_as_is": "accepted as is",
    "minor_edit": "minor edit",
    "major_edit": "major edit",
    "reject": "rejected",
    "abstain": "abstained",
}
NOT_REVIEWED: Final = "not reviewed"
STILL_WAITING: Final = ", drafts not reviewed yet: {count}"
PROGRESS: Final = {
    "todo": "to do",
    "own_read": "own read committed",
    "drafted": "draft to review",
    "done": "done",
}
STATES: Final = {"checking": "checking", "held": "held", "admitted": "open", "refused": "refused"}
PROTOCOLS: Final = {
    "reader_first": "reader first",
    "ai_first": "AI first",
    "blind_pair": "blinded pair",
    "teaching": "teaching",
}

EXPORT_FORMATS: Final = {
    "full": "everything stored",
    "llava": "LLaVA conversations",
    "trl-sft": "TRL, supervised (prompt and completion)",
    "trl-dpo": "TRL, preference pairs (chosen and rejected)",
    "trl-kto": "TRL, single ratings (label true or false)",
}
EXPORT_EMPTY: Final = (
    "This export has no rows yet: no review in it fits the format. Review a draft first, or "
    "choose another collection."
)
EXPORT_MADE: Final = "Exported {rows} rows in {files} files."
AUDIT_HEADING: Final = (
    "### Audit\n"
    "Every access, change, sign-in and refusal, newest first. Nothing here can be changed; "
    "`overread audit verify` shows that nothing was."
)
AUDIT_EMPTY: Final = "No event fits."
AUDIT_NOBODY: Final = "–"
ALL_COLLECTIONS: Final = "all collections"
