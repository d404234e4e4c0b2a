"""Who may do what, as data with reasons: one table for use cases, one for routes.

The tables are the whole truth about roles. What a role may do still only holds for objects of
collections the person is a member of; that is checked where the object is loaded.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from storage.vocabulary import Protocol, Role

TRAINEES_UP: Final = frozenset(Role)
READERS_UP: Final = TRAINEES_UP - {Role.TRAINEE}
ADJUDICATORS_UP: Final = READERS_UP - {Role.READER}
ADMINS: Final = frozenset({Role.ADMIN})


class Action(StrEnum):
    """What can be done, named as the audit trail names it."""

    LIST_CASES = "worklist.listed"
    CLAIM_CASE = "case.claimed"
    OPEN_CASE = "case.opened"
    OPEN_IMAGE = "image.opened"
    COMMIT_OWN_READ = "own_read.committed"
    SAVE_PROGRESS = "progress.saved"
    OPEN_PROGRESS = "progress.opened"
    ASK = "question.asked"
    STORE_DRAFT = "draft.stored"
    OPEN_DRAFT = "draft.opened"
    REVIEW = "review.submitted"
    OPEN_REVIEWS = "reviews.opened"
    OPEN_OTHERS_REVIEWS = "reviews.of_others_opened"
    LIST_COLLECTIONS = "collections.listed"
    ENSURE_COLLECTION = "collection.ensured"
    ADD_MEMBER = "collection.member_added"
    REMOVE_MEMBER = "collection.member_removed"
    LIST_MEMBERS = "collection.members_listed"
    UPLOAD = "study.received"
    SEARCH_PIXELS = "study.searched"
    ATTEST = "study.attested"
    EXPORT_STUDY = "study.exported"
    EXPORT = "export.made"
    OPEN_EXPORT = "export.opened"
    LIST_MODELS = "models.listed"
    OPEN_HEALTH = "health.opened"
    SIGN_IN = "person.signed_in"
    SIGN_OUT = "person.signed_out"
    TAKE_ROLE = "person.role_taken"
    LOSE_ROLE = "person.role_lost"
    ENSURE_FIRST_ACCOUNT = "person.first_ensured"
    CHANGE_OWN_PASSWORD = "password.changed"  # noqa: S105 - an action's name
    CREATE_TOKEN = "token.created"  # noqa: S105 - an action's name
    LIST_TOKENS = "tokens.listed"
    REVOKE_TOKEN = "token.revoked"  # noqa: S105 - an action's name
    MANAGE_OTHERS_TOKENS = "tokens.of_others_managed"
    ADD_PERSON = "person.added"
    LIST_PEOPLE = "people.listed"
    DISABLE_PERSON = "person.disabled"
    ENABLE_PERSON = "person.enabled"
    CHANGE_ROLE = "person.role_changed"
    END_SESSIONS = "person.sessions_ended"
    RESET_PASSWORD = "person.password_reset"  # noqa: S105 - an action's name
    REQUEST = "request.refused"
    START = "application.started"
    STOP = "application.stopped"
    KEEP_HEAD = "audit.head_kept"
    OPEN_AUDIT = "audit.opened"
    EXPORT_AUDIT = "audit.exported"
    VERIFY_AUDIT = "audit.verified"
    ROTATE_KEYS = "keys.rotated"
    SHOW_KEYS = "keys.shown"
    BACK_UP = "backup.made"
    RESTORE = "backup.restored"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which roles may, how to say it, and why so."""

    roles: frozenset[Role]
    doing: str  # completes "Your account may not …"
    reason: str


ACTIONS: Final[dict[Action, Rule]] = {
    Action.LIST_CASES: Rule(TRAINEES_UP, "list cases", "everybody reads in own collections"),
    Action.CLAIM_CASE: Rule(TRAINEES_UP, "take the next case", "everybody reads"),
    Action.OPEN_CASE: Rule(TRAINEES_UP, "open cases", "everybody reads in own collections"),
    Action.OPEN_IMAGE: Rule(TRAINEES_UP, "open images", "a case without images is no case"),
    Action.COMMIT_OWN_READ: Rule(TRAINEES_UP, "commit a read", "everybody reads"),
    Action.SAVE_PROGRESS: Rule(TRAINEES_UP, "save half-written work", "nothing may be lost"),
    Action.OPEN_PROGRESS: Rule(TRAINEES_UP, "open half-written work", "nothing may be lost"),
    Action.ASK: Rule(TRAINEES_UP, "ask the model", "everybody reads with the model"),
    Action.STORE_DRAFT: Rule(TRAINEES_UP, "get drafts", "whoever may ask gets the answer"),
    Action.OPEN_DRAFT: Rule(TRAINEES_UP, "open drafts", "everybody sees own drafts"),
    Action.REVIEW: Rule(
        TRAINEES_UP, "review drafts here", "a trainee only where nothing is learnt from it"
    ),
    Action.OPEN_REVIEWS: Rule(TRAINEES_UP, "open reviews", "everybody sees own reviews"),
    Action.OPEN_OTHERS_REVIEWS: Rule(
        ADJUDICATORS_UP,
        "see others' reviews before your own",
        "a second reader must not be led by the first",
    ),
    Action.LIST_COLLECTIONS: Rule(TRAINEES_UP, "list collections", "own ones only"),
    Action.ENSURE_COLLECTION: Rule(
        READERS_UP, "make collections", "an upload names the collection it goes to"
    ),
    Action.ADD_MEMBER: Rule(ADMINS, "add members", "membership opens studies"),
    Action.REMOVE_MEMBER: Rule(ADMINS, "remove members", "membership opens studies"),
    Action.LIST_MEMBERS: Rule(ADMINS, "list members", "names are nobody else's business"),
    Action.UPLOAD: Rule(READERS_UP, "upload studies", "bringing data in is a responsibility"),
    Action.SEARCH_PIXELS: Rule(ADMINS, "search pixels for text", "Overread does it by itself"),
    Action.ATTEST: Rule(READERS_UP, "decide about held pixels", "needs a trained eye"),
    Action.EXPORT_STUDY: Rule(ADMINS, "export studies", "data leave the house"),
    Action.EXPORT: Rule(ADMINS, "make exports", "data leave the house"),
    Action.OPEN_EXPORT: Rule(ADMINS, "open exports", "data leave the house"),
    Action.LIST_MODELS: Rule(TRAINEES_UP, "list models", "everybody may know what answers"),
    Action.OPEN_HEALTH: Rule(ADMINS, "see the machine's state", "it tells of disk and keys"),
    Action.SIGN_IN: Rule(TRAINEES_UP, "sign in", "everybody with an account"),
    Action.SIGN_OUT: Rule(TRAINEES_UP, "sign out", "everybody with an account"),
    Action.TAKE_ROLE: Rule(TRAINEES_UP, "take a role", "the identity provider's word"),
    Action.LOSE_ROLE: Rule(TRAINEES_UP, "lose a role", "the identity provider's word"),
    Action.ENSURE_FIRST_ACCOUNT: Rule(ADMINS, "make the first account", "the operator"),
    Action.CHANGE_OWN_PASSWORD: Rule(TRAINEES_UP, "change a password", "one's own"),
    Action.CREATE_TOKEN: Rule(TRAINEES_UP, "create tokens", "for oneself, at most own role"),
    Action.LIST_TOKENS: Rule(TRAINEES_UP, "list tokens", "one's own"),
    Action.REVOKE_TOKEN: Rule(TRAINEES_UP, "revoke tokens", "one's own"),
    Action.MANAGE_OTHERS_TOKENS: Rule(ADMINS, "manage others' tokens", "acting as others"),
    Action.ADD_PERSON: Rule(ADMINS, "add people", "who comes in is decided by one role"),
    Action.LIST_PEOPLE: Rule(ADMINS, "list people", "names are nobody else's business"),
    Action.DISABLE_PERSON: Rule(ADMINS, "disable people", "who stays out, likewise"),
    Action.ENABLE_PERSON: Rule(ADMINS, "open closed accounts", "who comes in, likewise"),
    Action.CHANGE_ROLE: Rule(ADMINS, "change roles", "what one may, likewise"),
    Action.END_SESSIONS: Rule(ADMINS, "sign others out", "a lost laptop"),
    Action.RESET_PASSWORD: Rule(ADMINS, "reset passwords", "whoever knows it is the person"),
    Action.REQUEST: Rule(TRAINEES_UP, "do this", "nobody does it; it names what the gate refused"),
    Action.START: Rule(ADMINS, "start Overread", "the operator"),
    Action.STOP: Rule(ADMINS, "stop Overread", "the operator"),
    Action.KEEP_HEAD: Rule(ADMINS, "keep the trail's head", "the operator"),
    Action.OPEN_AUDIT: Rule(ADMINS, "open the audit trail", "it tells of everybody"),
    Action.EXPORT_AUDIT: Rule(ADMINS, "export the audit trail", "it tells of everybody"),
    Action.VERIFY_AUDIT: Rule(ADMINS, "verify the audit trail", "the operator"),
    Action.ROTATE_KEYS: Rule(ADMINS, "replace keys", "the operator"),
    Action.SHOW_KEYS: Rule(ADMINS, "list keys", "the operator"),
    Action.BACK_UP: Rule(ADMINS, "make backups", "everything leaves the house"),
    Action.RESTORE: Rule(ADMINS, "restore backups", "the operator"),
}

OWN_READ_FIRST: Final = frozenset({Protocol.READER_FIRST, Protocol.TEACHING})
"""Protocols in which a draft stays closed until the reader has committed own findings."""


def may(role: Role, action: Action) -> bool:
    """Say whether the role covers the action at all."""
    return role in ACTIONS[action].roles


def may_review(role: Role, protocol: Protocol) -> bool:
    """Say whether the role reviews in collections of this protocol; a trainee in teaching only."""
    return may(role, Action.REVIEW) and (role is not Role.TRAINEE or protocol is Protocol.TEACHING)


def must_read_first(role: Role, protocol: Protocol) -> bool:
    """Say whether own findings come before any draft; the operator is exempt."""
    return protocol in OWN_READ_FIRST and role is not Role.ADMIN


def at_most(role: Role, ceiling: Role) -> Role:
    """Return the lower of two roles."""
    order = list(Role)
    return min(role, ceiling, key=order.index)
