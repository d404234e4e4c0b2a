"""Signing in and out over the running application: cookies, sessions, the first password."""

from http.cookies import SimpleCookie

import httpx
import pytest

from storage.vocabulary import Role
from tests.flow.place import HERE, PASSWORD, Place
from webapp.auth.routes import API

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _cookie(answer: httpx.Response, name: str) -> dict[str, str]:
    morsel = SimpleCookie(answer.headers["set-cookie"])[name]
    return {"value": morsel.value, **{k: v for k, v in morsel.items() if v}}


async def _sign_in(visitor: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await visitor.post("/login", data={"name": "reader", "password": PASSWORD, **form})


async def test_the_page_needs_no_script_and_nothing_from_elsewhere(place: Place) -> None:
    async with place.visitor() as visitor:
        answer = await visitor.get("/login")
        styles = await visitor.get("/overread/sign-in.css")

    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")
    assert "not a medical" in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert styles.headers["content-type"].startswith("text/css")


async def test_a_sign_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use(
    place: Place,
) -> None:
    async with place.visitor() as visitor:
        answer = await _sign_in(visitor, next="/read?case=3")
        cookie = _cookie(answer, "overread")

    assert (answer.status_code, answer.headers["location"]) == (303, "/read?case=3")
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"]) == ("lax", "/")
    assert "max-age" not in cookie
    assert "expires" not in cookie


async def test_next_never_leads_away(place: Place) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        async with place.visitor() as visitor:
            answer = await _sign_in(visitor, next=elsewhere)

        assert answer.headers["location"] == "/"


async def test_a_wrong_password_and_an_unknown_name_are_told_alike(place: Place) -> None:
    async with place.visitor() as visitor:
        wrong = await _sign_in(visitor, password="not the password")
        unknown = await _sign_in(visitor, name="nobody", password="not the password")

    assert [wrong.status_code, unknown.status_code] == [401, 401]
    assert wrong.text.replace("reader", "nobody") == unknown.text
    assert "set-cookie" not in wrong.headers


async def test_what_was_typed_comes_back_as_text(place: Place) -> None:
    async with place.visitor() as visitor:
        answer = await _sign_in(visitor, name='"><script>alert(1)</script>', next='"><b>')

    assert "<script" not in answer.text
    assert "<b>" not in answer.text


async def test_guessing_is_paused(place: Place) -> None:
    async with place.visitor() as visitor:
        answers = [await _sign_in(visitor, name="guessed", password=f"guess {n}") for n in range(6)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 429]
    assert [answer.headers.get("retry-after") for answer in answers[:5]] == [None] * 5
    place.world.clock.forward(seconds=int(answers[5].headers["retry-after"]))
    async with place.visitor() as visitor:
        assert (await _sign_in(visitor, name="guessed", password="guess 7")).status_code == 401


async def test_guessing_the_old_password_is_paused_too(place: Place) -> None:
    place.services.people.add(
        place.services.accounts.operator(), "changing", Role.READER, "quiet lamps at four"
    )
    async with place.visitor() as visitor:
        await _sign_in(visitor, name="changing", password="quiet lamps at four")
        form = {"new": "other lamps at five", "again": "other lamps at five"}
        answers = [
            await visitor.post("/account/password", data={**form, "old": f"guess {n}"})
            for n in range(6)
        ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 400, 429]
    assert int(answers[5].headers["retry-after"]) > 0


async def test_signing_out_ends_the_session_itself_not_only_the_cookie(place: Place) -> None:
    async with place.person("reader") as person:
        stolen = dict(person.cookies)
        assert (await person.get(f"{API}/cases")).status_code == 200
        answer = await person.post("/logout")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    async with place.visitor() as thief:
        thief.cookies.update(stolen)
        assert (await thief.get(f"{API}/cases")).status_code == 401


async def test_signing_in_again_changes_the_cookie_and_ends_the_old_session(place: Place) -> None:
    async with place.person("reader") as person:
        old = person.cookies["overread"]
        await _sign_in(person)
        assert person.cookies["overread"] != old
    async with place.visitor() as visitor:
        visitor.cookies.set("overread", old, domain="127.0.0.1")
        assert (await visitor.get(f"{API}/cases")).status_code == 401


async def test_a_session_ends_when_nobody_uses_it_and_after_half_a_day(place: Place) -> None:
    clock = place.world.clock
    async with place.person("reader") as person:
        clock.forward(minutes=14)
        assert (await person.get(f"{API}/cases")).status_code == 200
        clock.forward(minutes=15)
        assert (await person.get(f"{API}/cases")).status_code == 401
    async with place.person("reader") as person:
        for _ in range(71):
            clock.forward(minutes=10)
            assert (await person.get(f"{API}/cases")).status_code == 200
        clock.forward(minutes=10)
        assert (await person.get(f"{API}/cases")).status_code == 401


async def test_the_first_password_is_replaced_before_anything_else(place: Place) -> None:
    accounts = place.services.accounts
    added = place.services.people.add(accounts.operator(), "newcomer", Role.READER)
    assert added.one_time_password is not None
    async with place.person("newcomer", added.one_time_password) as person:
        blocked = await person.get(f"{API}/cases")
        page = await person.get("/", headers={"accept": "text/html"})
        form = {"old": added.one_time_password, "new": "one of my own choice", "again": "another"}
        differing = await person.post("/account/password", data=form)
        form["again"] = form["new"]
        changed = await person.post("/account/password", data=form)
        allowed = await person.get(f"{API}/cases")

    assert (blocked.status_code, blocked.json()["error"]["code"]) == (
        403,
        "password_change_required",
    )
    assert page.headers["location"] == "/account/password"
    assert differing.status_code == 400
    assert (changed.status_code, allowed.status_code) == (303, 200)


async def test_a_disabled_account_is_out_at_once(place: Place) -> None:
    accounts = place.services.accounts
    place.services.people.add(accounts.operator(), "leaver", Role.READER, PASSWORD)
    token = place.services.tokens.create(accounts.operator(), "leaver").secret
    async with place.person("leaver") as person:
        bearer = {"authorization": f"Bearer {token}"}
        assert (await person.get(f"{API}/cases")).status_code == 200
        place.services.people.disable(accounts.operator(), "leaver")
        assert (await person.get(f"{API}/cases")).status_code == 401
        assert (await person.get(f"{API}/cases", headers=bearer)).status_code == 401


async def test_a_token_may_do_no_more_than_it_was_made_for(place: Place) -> None:
    accounts = place.services.accounts
    token = place.services.tokens.create(accounts.operator(), "admin", Role.TRAINEE).secret
    async with place.visitor() as program:
        program.headers["authorization"] = f"Bearer {token}"
        assert (await program.get(f"{API}/cases")).status_code == 200
        assert (await program.get(f"{API}/exports")).status_code == 403


async def test_a_page_asks_how_long_it_lasts_and_only_the_button_prolongs_it(place: Place) -> None:
    clock = place.world.clock
    before = clock.at
    async with place.person("reader") as browser:
        clock.forward(minutes=14)
        asked = [(await browser.get("/account/session")).json() for _ in range(2)]
        stayed = (await browser.post("/account/session", headers={"origin": HERE})).json()
        foreign = await browser.post("/account/session", headers={"origin": "http://evil.example"})
        clock.forward(minutes=15)
        ended = await browser.get("/account/session")
    clock.at = before
    async with place.program(Role.READER) as program:
        token = await program.get("/account/session")

    assert asked == [{"signed_out_in_s": 60, "warn_s": 120}] * 2
    assert stayed == {"signed_out_in_s": 900, "warn_s": 120}
    assert (foreign.status_code, ended.status_code, token.status_code) == (403, 401, 401)
