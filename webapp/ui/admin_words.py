"""Every sentence of the administration and account pages, in one place."""

# ruff: noqa: S105 - sentences about passwords and tokens; none is one

from typing import Final

HEADING: Final = (
    "### Administration\n"
    "Everything here counts at once and leaves an event in the [audit trail](/audit)."
)
TABS: Final = {
    "people": "People",
    "collections": "Collections",
    "tokens": "API tokens",
    "held": "Held studies",
    "models": "Models",
    "health": "Health",
}
CONFIRM_NO: Final = "Keep it as it is"
UNDO: Final = "Undo"
SECRET_ONCE: Final = "Shown only now: copy it before you go on"

NAME: Final = "Name"
PERSON: Final = "Person"
ROLE: Final = "Role"
ADD_PERSON: Final = "#### Add a person"
ADD_PERSON_HELP: Final = (
    "A one-time password is made; the person replaces it at the first sign-in. A new reader sees "
    "no case before you add them to a collection."
)
CHANGE_PERSON: Final = "#### Change a person"
CHOOSE_PERSON: Final = "Choose a person first."
ROLES_HEADING: Final = "What each role may do"
OPEN: Final = "open"
CLOSED: Final = "closed"
FIRST_PASSWORD: Final = "first password not replaced yet"
NO_PASSWORD: Final = "through the identity provider"
ADDED: Final = "Added **{name}** as {role}. Give them this password; it works once."
ROLE_CHANGED: Final = "**{name}** is {role} now, was {before}. They sign in again."
ROLE_SAME: Final = "**{name}** is {role} already."
RESET: Final = "**{name}** signs in with this password, once, and then chooses another."
SIGNED_OUT: Final = "**{name}** is signed out everywhere and may sign in again."
DISABLED: Final = "**{name}** is closed. Reopening brings neither sessions nor tokens back."
ENABLED: Final = "**{name}** may sign in again."
CONFIRM_RESET: Final = (
    "Reset the password of **{name}**? The one until now stops working, every open session "
    "ends and API tokens are revoked for good."
)
CONFIRM_SIGN_OUT: Final = (
    "Sign **{name}** out of every open session now? API tokens stay; they are revoked under "
    "“API tokens”, or all at once by resetting the password."
)
CONFIRM_DISABLE: Final = (
    "Close the account of **{name}**? Sessions end and API tokens are revoked for good. What they "
    "read and wrote stays."
)
DO_RESET: Final = "Reset the password"
DO_SIGN_OUT: Final = "Sign out everywhere"
DO_DISABLE: Final = "Close the account"
DO_ENABLE: Final = "Reopen the account"
DO_ROLE: Final = "Change the role"
DO_ADD: Final = "Add"

COLLECTION: Final = "Collection"
COLLECTIONS_HELP: Final = (
    "A person sees the cases of the collections they are a member of, and of no other. "
    "Administrators see all and need no membership."
)
NO_COLLECTIONS: Final = "There is no collection yet."
NEW_COLLECTION: Final = "#### Make a collection"
MADE_COLLECTION: Final = "**{name}** is there. Add its members."
DO_MAKE: Final = "Make"
PROTOCOL: Final = "Protocol"
MEMBERS: Final = "#### Members of {name}"
NO_MEMBERS: Final = "Nobody but administrators opens it."
MEMBER: Final = "Member"
NOT_A_MEMBER: Final = "Person to add"
DO_ADD_MEMBER: Final = "Add to the collection"
DO_REMOVE_MEMBER: Final = "Remove from the collection"
MEMBER_ADDED: Final = "**{person}** opens {name} now."
MEMBER_REMOVED: Final = "**{person}** does not open {name} any more. What they wrote in it stays."
CHOOSE_MEMBER: Final = "Choose a person first."

ACCOUNT_HEADING: Final = "### Your account"
ACCOUNT: Final = "You are **{name}**, {role}. You {doing}."
ROLE_IN_WORDS: Final = {
    "trainee": "read, ask the model, and review in teaching collections",
    "reader": "read, ask, review, upload, and decide about held pixels",
    "adjudicator": "read, ask, review, upload, and see others' reviews before your own",
    "admin": "may do everything, for every collection",
}
TOKENS_HELP: Final = (
    "A program that shows a token acts for its account, at most with the token's role, until the "
    "token expires or is revoked. Treat it like a password."
)
NO_TOKENS: Final = "There are no tokens."
TOKEN_FOR: Final = "For"
TOKEN_ROLE: Final = "At most as"
TOKEN_DAYS: Final = "Days until it expires"
DO_TOKEN: Final = "Make a token"
TOKEN_MADE: Final = "A token of **{name}**, as {role}, until {until}."
TOKEN: Final = "Token to revoke"
DO_REVOKE: Final = "Revoke"
CHOOSE_TOKEN: Final = "Choose a token first."
CONFIRM_REVOKE: Final = (
    "Revoke this token of **{name}**? A program that uses it is refused at once."
)
REVOKED: Final = "The token is revoked."
GOOD: Final = "good"
EXPIRED: Final = "expired"
REVOKED_ON: Final = "revoked {when}"

HELD_HEADING: Final = "Studies that wait for a person to look at their pixels, newest first."
HELD_NONE: Final = "No study is held."
HELD_MORE: Final = "There are more: the [worklist](/) shows all of them under “held”."
MODELS_HEADING: Final = "What the model server offers now; the first one answers by default."
MODELS_AWAY: Final = "The model server does not answer; the health tab says why."
MODELS_NONE: Final = "The model server offers nothing."
HEALTH_LOOK: Final = "Look again"
HEALTH_STATE: Final = {"ok": "ok", "act": "**needs you**"}
