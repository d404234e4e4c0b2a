"""The table of who may do what, walked pair by pair against the published one."""

from itertools import product

import pytest

from storage.vocabulary import Protocol, Role
from webapp.services.policy import (
    ACTIONS,
    Action,
    at_most,
    may,
    may_review,
    must_read_first,
)

T, R, J, A = Role.TRAINEE, Role.READER, Role.ADJUDICATOR, Role.ADMIN
EVERYBODY = {T, R, J, A}
PUBLISHED: dict[Action, set[Role]] = {
    # open cases of own collections, own read, ask
    Action.LIST_CASES: EVERYBODY,
    Action.CLAIM_CASE: EVERYBODY,
    Action.OPEN_CASE: EVERYBODY,
    Action.OPEN_IMAGE: EVERYBODY,
    Action.COMMIT_OWN_READ: EVERYBODY,
    Action.SAVE_PROGRESS: EVERYBODY,
    Action.OPEN_PROGRESS: EVERYBODY,
    Action.ASK: EVERYBODY,
    Action.STORE_DRAFT: EVERYBODY,
    Action.OPEN_DRAFT: EVERYBODY,
    Action.OPEN_REVIEWS: EVERYBODY,
    Action.LIST_COLLECTIONS: EVERYBODY,
    Action.LIST_MODELS: EVERYBODY,
    # review: a trainee in teaching only, see below
    Action.REVIEW: EVERYBODY,
    # upload
    Action.UPLOAD: {R, J, A},
    Action.ENSURE_COLLECTION: {R, J, A},
    # attest held pixels
    Action.ATTEST: {R, J, A},
    # see others' reviews before own is done
    Action.OPEN_OTHERS_REVIEWS: {J, A},
    # export, train, promote
    Action.EXPORT: {A},
    Action.OPEN_EXPORT: {A},
    Action.EXPORT_STUDY: {A},
    # people, tokens of others, audit
    Action.ADD_PERSON: {A},
    Action.LIST_PEOPLE: {A},
    Action.DISABLE_PERSON: {A},
    Action.ENABLE_PERSON: {A},
    Action.CHANGE_ROLE: {A},
    Action.END_SESSIONS: {A},
    Action.RESET_PASSWORD: {A},
    Action.REMOVE_MEMBER: {A},
    Action.LIST_MEMBERS: {A},
    Action.OPEN_HEALTH: {A},
    Action.ADD_MEMBER: {A},
    Action.MANAGE_OTHERS_TOKENS: {A},
    Action.ENSURE_FIRST_ACCOUNT: {A},
    Action.OPEN_AUDIT: {A},
    Action.EXPORT_AUDIT: {A},
    Action.VERIFY_AUDIT: {A},
    # keys and backups
    Action.ROTATE_KEYS: {A},
    Action.SHOW_KEYS: {A},
    Action.BACK_UP: {A},
    Action.RESTORE: {A},
    # events without a use case behind them
    Action.REQUEST: EVERYBODY,
    Action.TAKE_ROLE: EVERYBODY,
    Action.LOSE_ROLE: EVERYBODY,
    Action.START: {A},
    Action.STOP: {A},
    Action.KEEP_HEAD: {A},
    Action.SEARCH_PIXELS: {A},
    # one's own account
    Action.SIGN_IN: EVERYBODY,
    Action.SIGN_OUT: EVERYBODY,
    Action.CHANGE_OWN_PASSWORD: EVERYBODY,
    Action.CREATE_TOKEN: EVERYBODY,
    Action.LIST_TOKENS: EVERYBODY,
    Action.REVOKE_TOKEN: EVERYBODY,
}


@pytest.mark.parametrize(
    ("role", "action"),
    [pytest.param(r, a, id=f"{r.value} {a.value}") for r, a in product(Role, Action)],
)
def test_role_may_exactly_what_is_published(role: Role, action: Action) -> None:
    assert may(role, action) is (role in PUBLISHED[action])


def test_every_action_has_a_rule_with_a_reason() -> None:
    assert set(ACTIONS) == set(Action)
    assert all(rule.reason and rule.doing for rule in ACTIONS.values())


@pytest.mark.parametrize(
    ("role", "protocol"),
    [pytest.param(r, p, id=f"{r.value} {p.value}") for r, p in product(Role, Protocol)],
)
def test_trainee_reviews_where_it_is_teaching_only(role: Role, protocol: Protocol) -> None:
    assert may_review(role, protocol) is (role is not T or protocol is Protocol.TEACHING)


@pytest.mark.parametrize(
    ("role", "protocol"),
    [pytest.param(r, p, id=f"{r.value} {p.value}") for r, p in product(Role, Protocol)],
)
def test_everybody_but_the_operator_reads_first_where_the_protocol_says_so(
    role: Role, protocol: Protocol
) -> None:
    first = protocol in {Protocol.READER_FIRST, Protocol.TEACHING}
    assert must_read_first(role, protocol) is (first and role is not A)


@pytest.mark.parametrize(
    ("role", "ceiling", "lower"),
    [
        pytest.param(A, R, R, id="admin held to reader"),
        pytest.param(T, A, T, id="trainee stays trainee"),
        pytest.param(J, J, J, id="the same"),
    ],
)
def test_at_most_takes_the_lower_role(role: Role, ceiling: Role, lower: Role) -> None:
    assert at_most(role, ceiling) is lower
