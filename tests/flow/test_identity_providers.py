"""Sign-in with an identity provider: what a good one brings, and what a hostile one never does.

Long, because every lie is told to the one application and provider that are started here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Mount

from storage.tables import AuditEvent, Identity, LoginSession, Person
from storage.vocabulary import Role
from tests.flow.fake_worker import running_worker
from tests.flow.hostile_provider import (
    CLIENT,
    ISSUER,
    MISSING,
    SECRET,
    HostileProvider,
    ec_key,
    rsa_key,
    signed_by_another,
    signed_under_an_unknown_name,
    signed_with_a_key_it_brings,
    signed_with_the_public_key,
    tampered,
    unsigned,
)
from tests.flow.place import HERE, PASSWORD, Place, furnished, no_pages
from webapp.app import create_app
from webapp.auth.gate import Gate
from webapp.auth.oidc.provider import (
    CALLS_AT_ONCE,
    KEPT_FOR,
    KEYS_AGAIN_AFTER,
    QUIET_FOR,
    Provider,
)
from webapp.auth.oidc.settings import ProviderSettings
from webapp.auth.oidc.transport import LARGEST_ANSWER
from webapp.auth.routes import API
from webapp.auth.sign_in import sign_in_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER_ISSUER = "https://login.university.example"
SETTINGS: dict[str, Any] = {
    "id": "hospital",
    "name": "City Hospital",
    "issuer": ISSUER,
    "client_id": CLIENT,
    "client_secret": SECRET,
    "roles": {"readers": "reader", "admins": "admin", "pupils": "trainee"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("providers")
    with running_worker() as worker:
        async with furnished(folder, migrated_sqlite, worker) as place:
            yield place


@dataclass
class Town:
    """An application, two identity providers it trusts, and a subject nobody had before."""

    place: Place
    hospital: HostileProvider
    university: HostileProvider
    given: dict[str, Any] = field(default_factory=dict)
    transport: httpx2.MockTransport | None = None  # instead of the hospital's own
    _gate: Gate | None = None

    @property
    def gate(self) -> Gate:
        """The place's application behind sign-in routes of its own: building one takes long."""
        if self._gate is None:
            university = SETTINGS | {"id": "university", "name": "University"}
            university |= {"issuer": OTHER_ISSUER}
            services = self.place.services
            routes = sign_in_routes(
                services.accounts,
                self.place.gate.doorway,
                services.federation,
                services.trail,
                [
                    self._provider(SETTINGS | self.given, self.hospital),
                    self._provider(university, self.university),
                ],
            )
            app = Starlette(routes=[*routes, Mount("/", self.place.gate.app)])
            self._gate = replace(self.place.gate, app=app)
        return self._gate

    def _provider(self, given: dict[str, Any], played: HostileProvider) -> Provider:
        settings = ProviderSettings.model_validate(given)
        own = self.transport if played is self.hospital else None
        return Provider(settings, self.place.world.clock, own or played.transport())

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.gate)
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as browser:
            yield browser

    async def begin(self, browser: httpx.AsyncClient, next_path: str = "/") -> str:
        """Press the button; return the address at the provider."""
        answer = await browser.get("/login/hospital", params={"next": next_path})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def finish(
        self, browser: httpx.AsyncClient, back: dict[str, str], provider: str = "hospital"
    ) -> httpx.Response:
        return await browser.get(f"/login/{provider}/callback", params=back)

    async def sign_in(self, browser: httpx.AsyncClient, next_path: str = "/") -> httpx.Response:
        back = self.hospital.sign_in(await self.begin(browser, next_path))
        return await self.finish(browser, back)

    def rows(self) -> tuple[int, int, int]:
        rows = self.place.world.rows
        return len(rows(LoginSession)), len(rows(Person)), len(rows(Identity))

    def events_of(self, answer: httpx.Response) -> list[AuditEvent]:
        request_id = answer.headers["x-request-id"]
        return [e for e in self.place.world.rows(AuditEvent) if e.request_id == request_id]

    def last_event(self) -> AuditEvent:
        return self.place.world.last_event()


@pytest.fixture
def town(place: Place) -> Town:
    clock = place.world.clock
    clock.forward(minutes=2)  # so that no refusal is only counted
    subject = {"sub": f"subject {next(place.world.numbers)}"}
    hospital = HostileProvider(clock, claims=subject)
    university = HostileProvider(clock, issuer=OTHER_ISSUER, claims=dict(subject))
    return Town(place, hospital, university)


def _is_in(answer: httpx.Response) -> bool:
    """Whether an answer brings a session."""
    cookies = SimpleCookie()
    for header in answer.headers.get_list("set-cookie"):
        cookies.load(header)
    return "overread" in cookies and bool(cookies["overread"].value)


async def test_a_person_signs_in_and_works(town: Town) -> None:
    sessions, people, identities = town.rows()
    async with town.browser() as browser:
        answer = await town.sign_in(browser, "/read?case=3")
        cases = await browser.get(f"{API}/cases")

    assert (answer.status_code, answer.headers["location"]) == (303, "/read?case=3")
    assert cases.status_code == 200
    assert town.rows() == (sessions + 1, people + 1, identities + 1)


async def test_the_session_cookie_is_the_servers_own_and_the_other_one_is_gone(town: Town) -> None:
    async with town.browser() as browser:
        begun = await browser.get("/login/hospital")
        on_its_way = SimpleCookie(begun.headers["set-cookie"])["overread-sign-in"]
        answer = await town.finish(browser, town.hospital.sign_in(begun.headers["location"]))
        left = set(browser.cookies)

    assert (on_its_way["max-age"], on_its_way["httponly"]) == ("600", True)
    assert (on_its_way["samesite"], on_its_way["path"]) == ("lax", "/")
    assert _is_in(answer)
    assert left == {"overread"}
    for secret in ("an access token", "eyJ"):  # how every JSON Web Token begins
        assert secret not in answer.headers["set-cookie"]


async def test_over_https_both_cookies_are_bound_to_the_host(town: Town, place: Place) -> None:
    settings = place.settings.model_copy(update={"public_url": "https://reads.example"})
    provider = Provider(
        ProviderSettings.model_validate(SETTINGS), place.world.clock, town.hospital.transport()
    )
    gate = create_app(settings, place.services, providers=[provider], mount=no_pages)
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="https://reads.example") as browser:
        begun = await browser.get("/login/hospital")
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        answer = await town.finish(browser, town.hospital.sign_in(begun.headers["location"]))

    assert asked["redirect_uri"] == ["https://reads.example/login/hospital/callback"]
    assert begun.headers["set-cookie"].startswith("__Host-overread-sign-in=")
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == [
        "__Host-overread",
        "__Host-overread-sign-in",
    ]
    assert all("Secure" in cookie and "Domain" not in cookie for cookie in cookies)


@pytest.mark.parametrize(
    ("claims", "given", "role"),
    [
        pytest.param({"roles": ["readers"]}, {}, Role.READER, id="a list of one"),
        pytest.param({"roles": "readers"}, {}, Role.READER, id="a text"),
        pytest.param({"roles": ["x", "readers", 7]}, {}, Role.READER, id="one known among others"),
        pytest.param({"roles": ["pupils", "admins"]}, {}, Role.ADMIN, id="the highest of several"),
        pytest.param(
            {"realm_access": {"roles": ["pupils"]}},
            {"role_claim": ("realm_access", "roles")},
            Role.TRAINEE,
            id="a claim inside another",
        ),
    ],
)
async def test_the_role_is_what_the_map_says(
    town: Town, claims: dict[str, Any], given: dict[str, Any], role: Role
) -> None:
    town.hospital.claims |= claims
    town.given = given
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))

    assert town.place.world.rows(Person)[-1].role is role


@pytest.mark.parametrize(
    "roles",
    [
        pytest.param(MISSING, id="none"),
        pytest.param([], id="an empty list"),
        pytest.param(["strangers"], id="an unknown one"),
        pytest.param("*", id="a wildcard"),
        pytest.param(["*"], id="a wildcard in a list"),
        pytest.param("readers admins", id="two in one text"),
        pytest.param("Readers", id="other capitals"),
        pytest.param(["readers "], id="a space more"),
        pytest.param("reader", id="our word for it"),
        pytest.param({"readers": True}, id="an object"),
        pytest.param([["readers"]], id="a list in a list"),
        pytest.param(True, id="yes"),
        pytest.param(None, id="null"),
    ],
)
async def test_without_a_role_of_the_map_there_is_no_account(town: Town, roles: object) -> None:
    town.hospital.claims["roles"] = roles
    before = town.rows()
    async with town.browser() as browser:
        answer = await town.sign_in(browser)

    assert (answer.status_code, _is_in(answer)) == (403, False)
    assert "you have no role in Overread" in answer.text
    assert town.rows() == before
    assert town.last_event().code == "no_role"


Lie = Callable[[Town], object]
HOUR = 3600
_MOVED = httpx2.Response(302, headers={"location": "https://evil.example/keys"})


def _said(**changes: Any) -> Lie:  # noqa: ANN401 - claims
    return lambda town: town.hospital.claims.update(
        {k: v(town) if callable(v) else v for k, v in changes.items()}
    )


def _forged(how: Callable[..., str]) -> Lie:
    return lambda town: setattr(town.hospital, "forged", how)


def _set(name: str, **changes: Any) -> Lie:  # noqa: ANN401 - fields
    return lambda town: getattr(town.hospital, name).update(changes)


def _later(seconds: int) -> Callable[[Town], int]:
    return lambda town: int(town.place.world.clock().timestamp()) + seconds


UNPROVEN, UNSAFE, UNREACHABLE = "sign_in_unproven", "provider_unsafe", "provider_unreachable"
NOT_HERE, DECLINED = "sign_in_not_begun_here", "provider_declined"
LIES: dict[str, tuple[str, Lie]] = {
    # signature
    "alg none": (UNPROVEN, _forged(unsigned)),
    "HS256 with the public key": (UNPROVEN, _forged(signed_with_the_public_key)),
    "a key the token brings along": (UNPROVEN, _forged(signed_with_a_key_it_brings)),
    "another key under the known name": (UNPROVEN, _forged(signed_by_another)),
    "an unknown key id": (UNPROVEN, _forged(signed_under_an_unknown_name)),
    "claims changed after signing": (UNPROVEN, _forged(tampered)),
    "a good algorithm that is not ours": (
        UNPROVEN,
        lambda town: vars(town.hospital).update(signing=ec_key("curve"), header={"alg": "ES256"}),
    ),
    "another algorithm of our key": (UNPROVEN, _set("header", alg="PS256")),
    "keys swapped on the way": (
        UNPROVEN,
        lambda town: setattr(town.hospital, "published", [rsa_key("own")]),
    ),
    # claims
    "another issuer": (UNPROVEN, _said(iss="https://evil.example")),
    "the issuer with a slash": (UNPROVEN, _said(iss=ISSUER + "/")),
    "the other provider's issuer": (UNPROVEN, _said(iss=OTHER_ISSUER)),
    "no issuer": (UNPROVEN, _said(iss=MISSING)),
    "another audience": (UNPROVEN, _said(aud="another client")),
    "no audience": (UNPROVEN, _said(aud=MISSING)),
    "several audiences and nobody named": (UNPROVEN, _said(aud=[CLIENT, "another client"])),
    "another audience, and us as the party": (UNPROVEN, _said(aud="another client", azp=CLIENT)),
    "another authorised party": (UNPROVEN, _said(azp="another client")),
    "another nonce": (UNPROVEN, _said(nonce="x" * 43)),
    "no nonce": (UNPROVEN, _said(nonce=MISSING)),
    "expired": (UNPROVEN, _said(exp=_later(-61))),
    "no expiry": (UNPROVEN, _said(exp=MISSING)),
    "an expiry that is no number": (UNPROVEN, _said(exp="tomorrow")),
    "issued in the future": (UNPROVEN, _said(iat=_later(61))),
    "not valid yet": (UNPROVEN, _said(nbf=_later(HOUR))),
    "no time of issue": (UNPROVEN, _said(iat=MISSING)),
    "no subject": (UNPROVEN, _said(sub=MISSING)),
    "an empty subject": (UNPROVEN, _said(sub="")),
    "a subject that is no text": (UNPROVEN, _said(sub=7)),
    "a subject of 256 letters": (UNPROVEN, _said(sub="x" * 256)),
    "a subject with a NUL": (UNPROVEN, _said(sub="7\x00")),
    "a hash of another access token": (UNPROVEN, _said(at_hash="x" * 22)),
    # the token endpoint's answer
    "no ID token": (UNPROVEN, _set("answer", id_token=MISSING)),
    "an ID token that is no text": (UNPROVEN, _set("answer", id_token={"sub": "7"})),
    "an ID token that is none": (UNPROVEN, _set("answer", id_token="a.b.c")),
    "no access token": (UNPROVEN, _set("answer", access_token=MISSING)),
    "an error beside the tokens": (UNPROVEN, _set("answer", error="invalid_grant")),
    "tokens that are no object": (
        UNPROVEN,
        _set("instead", token=httpx2.Response(200, json=["id_token"])),
    ),
    "a failure of the token endpoint": (UNREACHABLE, _set("instead", token=httpx2.Response(500))),
    "an answer without an end": (
        UNSAFE,
        _set("instead", token=httpx2.Response(200, content=b"x" * (LARGEST_ANSWER + 1))),
    ),
    "a compressed answer": (
        UNSAFE,
        _set("instead", keys=httpx2.Response(200, headers={"content-encoding": "gzip"})),
    ),
    "keys that moved elsewhere": (UNREACHABLE, _set("instead", keys=_MOVED)),
    "keys that are none": (
        UNSAFE,
        _set("instead", keys=httpx2.Response(200, json={"keys": "all of them"})),
    ),
    "a provider that hangs": (
        UNREACHABLE,
        _set("instead", token=httpx2.ReadTimeout("too slow")),
    ),
    # what the browser comes back with
    "another state": (NOT_HERE, _set("redirect", state="x" * 43)),
    "no state": (NOT_HERE, _set("redirect", state=MISSING)),
    "the other provider's name": (UNPROVEN, _set("redirect", iss=OTHER_ISSUER)),
    "no name though it promised one": (UNPROVEN, _set("redirect", iss=MISSING)),
    "an unknown code": (UNPROVEN, _set("redirect", code="another")),
    "no code": (UNPROVEN, _set("redirect", code=MISSING)),
    "a code without an end": (UNPROVEN, _set("redirect", code="x" * 5000)),
    "an error": (DECLINED, _set("redirect", code=MISSING, error="access_denied")),
    "an error and a code": (DECLINED, _set("redirect", error="access_denied")),
}


@pytest.mark.parametrize(("code", "lie"), [pytest.param(*v, id=k) for k, v in LIES.items()])
async def test_a_lie_signs_nobody_in(town: Town, code: str, lie: Lie) -> None:
    lie(town)
    before = town.rows()
    async with town.browser() as browser:
        answer = await town.sign_in(browser)
        cases = await browser.get(f"{API}/cases")

    assert not _is_in(answer)
    assert answer.status_code in {401, 502, 503}
    assert (cases.status_code, town.rows()) == (401, before)
    assert 'role="alert">Th' in answer.text  # a sentence
    (refusal,) = town.events_of(answer)
    assert (refusal.action, refusal.outcome.value) == ("person.signed_in", "refused")
    assert refusal.code == code
    assert (refusal.object_type, refusal.object_id) == ("provider", "hospital")


UNFIT: dict[str, Lie] = {
    "another issuer": _set("discovery", issuer="https://evil.example"),
    "the issuer with a slash": _set("discovery", issuer=ISSUER + "/"),
    "no issuer": _set("discovery", issuer=MISSING),
    "a sign-in page elsewhere": _set(
        "discovery", authorization_endpoint="https://evil.example/authorize"
    ),
    "tokens from elsewhere": _set("discovery", token_endpoint="https://evil.example/token"),
    "keys from elsewhere": _set("discovery", jwks_uri="https://evil.example/keys"),
    "keys from inside": _set("discovery", jwks_uri="http://127.0.0.1:9/keys"),
    "keys from another port": _set(
        "discovery", jwks_uri="https://login.hospital.example:8443/keys"
    ),
    "keys without TLS": _set("discovery", jwks_uri="http://login.hospital.example/keys"),
    "keys from a name in front": _set(
        "discovery", jwks_uri="https://login.hospital.example@evil.example/keys"
    ),
    "a sign-out elsewhere": _set("discovery", end_session_endpoint="https://evil.example/out"),
    "a sign-out that is a script": _set("discovery", end_session_endpoint="javascript:alert(1)"),
    "an address with a line break": _set(
        "discovery", token_endpoint="https://login.hospital.example/token\r\nx: y"
    ),
    "no token endpoint": _set("discovery", token_endpoint=MISSING),
    "a promise that is no yes or no": _set(
        "discovery", authorization_response_iss_parameter_supported="no"
    ),
}


@pytest.mark.parametrize("lie", [pytest.param(lie, id=name) for name, lie in UNFIT.items()])
async def test_what_does_not_fit_the_settings_is_not_asked(town: Town, lie: Lie) -> None:
    lie(town)
    async with town.browser() as browser:
        answer = await browser.get("/login/hospital")

    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert town.last_event().code == UNSAFE
    assert [str(request.url) for request in town.hospital.asked] == [
        f"{ISSUER}/.well-known/openid-configuration"
    ]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(httpx2.Response(404), id="nothing"),
        pytest.param(httpx2.Response(200, text="<html>"), id="a page"),
        pytest.param(httpx2.Response(200, content=b"[" * 100_000), id="endless brackets"),
        pytest.param(httpx2.ConnectError("refused"), id="no connection"),
    ],
)
async def test_an_unreachable_provider_is_a_sentence_and_is_left_alone_for_a_moment(
    town: Town, said: httpx2.Response | Exception
) -> None:
    town.hospital.instead["openid-configuration"] = said
    async with town.browser() as browser:
        answers = [await browser.get("/login/hospital") for _ in range(3)]
        del town.hospital.instead["openid-configuration"]
        town.place.world.clock.forward(seconds=QUIET_FOR.total_seconds())
        assert _is_in(await town.sign_in(browser))

    assert [answer.status_code for answer in answers] == [503] * 3
    assert "cannot be reached right now" in answers[0].text
    assert len([r for r in town.hospital.asked if "well-known" in str(r.url)]) == 2


async def test_visitors_do_not_make_us_call_without_end(town: Town) -> None:
    calling = most = 0

    async def slow(request: httpx2.Request) -> httpx2.Response:
        nonlocal calling, most
        if not request.url.path.endswith("/token"):
            return await played.handle_async_request(request)
        calling += 1
        most = max(most, calling)
        await asyncio.sleep(0.01)
        calling -= 1
        return httpx2.Response(400, json={"error": "invalid_grant"})

    played = town.hospital.transport()
    town.transport = httpx2.MockTransport(slow)
    async with town.browser() as visitor:
        back = town.hospital.sign_in(await town.begin(visitor)) | {"code": "a guess"}
        cookies = dict(visitor.cookies)
        answers = await asyncio.gather(*(_alone(town, cookies, back) for _ in range(30)))

    assert {answer.status_code for answer in answers} == {401}
    assert 1 < most <= CALLS_AT_ONCE


async def _alone(town: Town, cookies: dict[str, str], back: dict[str, str]) -> httpx.Response:
    async with town.browser() as browser:
        browser.cookies.update(cookies)
        return await town.finish(browser, back)


async def test_an_answer_is_good_once(town: Town) -> None:
    town.hospital.replays = True
    async with town.browser() as browser, town.browser() as thief:
        back = town.hospital.sign_in(await town.begin(browser))
        thief.cookies.update(dict(browser.cookies))
        assert _is_in(await town.finish(browser, back))
        before = town.rows()
        again = await town.finish(browser, back)  # the cookie is gone
        stolen = await town.finish(thief, back)  # the cookie was copied before

    assert [again.status_code, stolen.status_code] == [401, 401]
    assert not any(map(_is_in, (again, stolen)))
    assert town.rows() == before
    assert town.last_event().code == "sign_in_replayed"


async def test_a_code_is_good_once_at_a_good_provider(town: Town) -> None:
    async with town.browser() as browser:
        back = town.hospital.sign_in(await town.begin(browser))
        kept = dict(browser.cookies)
        assert _is_in(await town.finish(browser, back))
        browser.cookies.update(kept)
        again = await town.finish(browser, back)

    assert (again.status_code, _is_in(again)) == (401, False)


async def test_nobody_finishes_what_another_browser_began(town: Town) -> None:
    async with town.browser() as attacker, town.browser() as victim:
        back = town.hospital.sign_in(await town.begin(attacker))
        without_cookie = await town.finish(victim, back)
        await town.begin(victim)
        with_own_cookie = await town.finish(victim, back)

    assert [without_cookie.status_code, with_own_cookie.status_code] == [401, 401]
    assert not any(map(_is_in, (without_cookie, with_own_cookie)))
    assert town.last_event().code == NOT_HERE


async def test_a_sign_in_lasts_ten_minutes(town: Town) -> None:
    async with town.browser() as browser:
        back = town.hospital.sign_in(await town.begin(browser))
        kept = dict(browser.cookies)
        town.place.world.clock.forward(minutes=10)
        browser.cookies.update(kept)
        answer = await town.finish(browser, back)

    assert (answer.status_code, _is_in(answer)) == (401, False)
    assert "longer than ten minutes" in answer.text


async def test_providers_are_not_mixed_up(town: Town) -> None:
    async with town.browser() as browser:
        back = town.hospital.sign_in(await town.begin(browser))
        answer = await town.finish(browser, back | {"iss": OTHER_ISSUER}, "university")

    assert (answer.status_code, _is_in(answer)) == (401, False)
    assert town.university.asked == []  # the code went to nobody else
    assert town.last_event().code == NOT_HERE


async def test_the_same_subject_of_another_issuer_is_another_person(town: Town) -> None:
    async with town.browser() as one, town.browser() as two:
        assert _is_in(await town.sign_in(one))
        begun = await two.get("/login/university")
        back = town.university.sign_in(begun.headers["location"])
        assert _is_in(await town.finish(two, back, "university"))

    first, second = town.place.world.rows(Identity)[-2:]
    assert first.subject == second.subject
    assert first.person_id != second.person_id


async def test_an_address_counts_for_nothing(town: Town) -> None:
    admin = town.place.people[Role.ADMIN]
    town.hospital.claims |= {"preferred_username": "admin", "email": "admin", "email_verified": 1}
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))
        exports = await browser.get(f"{API}/exports")

    assert exports.status_code == 403
    assert town.place.world.rows(Identity)[-1].person_id != admin.id


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n//evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:/evil.example",
        " //evil.example",
        "evil.example",
        "@evil.example",
    ],
)
async def test_next_leads_nowhere_else(town: Town, elsewhere: str) -> None:
    async with town.browser() as browser:
        answer = await town.sign_in(browser, elsewhere)

    assert answer.headers["location"] == "/"


async def test_a_field_twice_is_no_answer(town: Town) -> None:
    async with town.browser() as browser:
        back = town.hospital.sign_in(await town.begin(browser))
        query = httpx.QueryParams([("code", "another"), *back.items()])
        answer = await browser.get("/login/hospital/callback", params=query)

    assert (answer.status_code, town.last_event().code) == (401, UNPROVEN)


async def test_an_unknown_provider_is_no_way_in(town: Town) -> None:
    async with town.browser() as browser:
        answers = [
            await browser.get(f"/login/{name}{end}")
            for name in ("nobody", "Hospital", "%2e%2e")
            for end in ("", "/callback")
        ]

    assert {answer.status_code for answer in answers} <= {401, 404}
    assert town.hospital.asked == []


async def test_a_fresh_key_of_the_provider_is_found(town: Town) -> None:
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))
        town.hospital.signing = rsa_key("second")
        town.place.world.clock.forward(seconds=KEYS_AGAIN_AFTER.total_seconds())
        assert _is_in(await town.sign_in(browser))
        assert _is_in(await town.sign_in(browser))

    paths = [request.url.path for request in town.hospital.asked]
    assert paths.count("/keys") == 2
    assert len([path for path in paths if "well-known" in path]) == 1


async def test_what_the_provider_says_is_read_again_after_an_hour(town: Town) -> None:
    async with town.browser() as browser:
        await town.begin(browser)
        town.place.world.clock.forward(seconds=KEPT_FOR.total_seconds())
        town.hospital.discovery["issuer"] = "https://evil.example"
        assert (await browser.get("/login/hospital")).status_code == 502


@pytest.mark.parametrize(
    ("given", "header", "signing"),
    [
        pytest.param({"client_auth": "post"}, {}, None, id="the secret in the form"),
        pytest.param({"algorithm": "PS256"}, {"alg": "PS256"}, None, id="PS256"),
        pytest.param({"algorithm": "ES256"}, {"alg": "ES256"}, "curve", id="ES256"),
    ],
)
async def test_what_providers_rightly_do_otherwise_is_a_setting(
    town: Town, given: dict[str, Any], header: dict[str, Any], signing: str | None
) -> None:
    town.given, town.hospital.header = given, header
    town.hospital.signing = None if signing is None else ec_key(signing)
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))


async def test_the_right_key_is_found_among_others(town: Town) -> None:
    for_secrets = rsa_key("first").as_dict(private=False, use="enc", alg="RSA-OAEP", kid="secrets")
    of_tomorrow = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "tomorrow", "pub": "x"}
    town.hospital.published = [for_secrets, of_tomorrow, ec_key("curve"), rsa_key("first")]
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))


async def test_keys_may_come_from_an_origin_that_is_listed(town: Town) -> None:
    town.hospital.discovery["jwks_uri"] = "https://keys.hospital.example/keys"
    town.given = {"other_origins": ("https://keys.hospital.example",)}
    async with town.browser() as browser:
        assert _is_in(await town.sign_in(browser))


@pytest.mark.parametrize(
    ("auth_time", "status"),
    [
        pytest.param(_later(-29 * 60), 303, id="recent enough"),
        pytest.param(_later(-32 * 60), 401, id="too long ago"),
        pytest.param(lambda _town: MISSING, 401, id="not said"),
        pytest.param(lambda _town: "now", 401, id="no time"),
        pytest.param(lambda _town: True, 401, id="yes"),
    ],
)
async def test_a_fresh_sign_in_at_the_provider_can_be_demanded(
    town: Town, auth_time: Callable[[Town], object], status: int
) -> None:
    town.given = {"max_age_minutes": 30}
    town.hospital.claims["auth_time"] = auth_time(town)
    async with town.browser() as browser:
        address = await town.begin(browser)
        answer = await town.finish(browser, town.hospital.sign_in(address))

    assert parse_qs(urlsplit(address).query)["max_age"] == ["1800"]
    assert answer.status_code == status


async def test_signing_out_leads_through_the_provider(town: Town) -> None:
    async with town.browser() as browser:
        await town.sign_in(browser)
        answer = await browser.post("/logout", headers={"origin": HERE})
        after = await browser.get(f"{API}/cases")

    way, _, address = answer.headers["refresh"].partition("; url=")
    asked = parse_qs(urlsplit(address).query)
    assert (answer.status_code, way, after.status_code) == (200, "0", 401)
    assert address.startswith("https://login.hospital.example/leave?")
    assert asked["post_logout_redirect_uri"] == [f"{HERE}/login"]
    assert asked["client_id"] == [CLIENT]
    assert asked["id_token_hint"][0].count(".") == 2
    assert "City Hospital" in answer.text
    assert answer.headers["clear-site-data"]


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(_set("discovery", end_session_endpoint=MISSING), id="it has no such page"),
        pytest.param(lambda town: town.given.update(sign_out="here"), id="it is not wanted"),
    ],
)
async def test_signing_out_here_alone_ends_on_our_own_page(town: Town, lie: Lie) -> None:
    lie(town)
    async with town.browser() as browser:
        await town.sign_in(browser)
        answer = await browser.post("/logout", headers={"origin": HERE})

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_an_unreachable_provider_keeps_nobody_in(town: Town) -> None:
    async with town.browser() as browser:
        await town.sign_in(browser)
        cookies = dict(browser.cookies)
        town.hospital.instead["openid-configuration"] = httpx2.ConnectError("refused")
        for _ in range(5):  # until what it said of itself is an hour old
            town.place.world.clock.forward(minutes=14)
            await browser.get(f"{API}/cases")
        answer = await browser.post("/logout", headers={"origin": HERE})
        browser.cookies.update(cookies)
        after = await browser.get(f"{API}/cases")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert after.status_code == 401


async def _signed_out(_town: Town, owner: httpx.AsyncClient) -> None:
    await owner.post("/logout", headers={"origin": HERE})


async def _signed_in_again(town: Town, owner: httpx.AsyncClient) -> None:
    await town.sign_in(owner)


async def _another_role(town: Town, _owner: httpx.AsyncClient) -> None:
    town.hospital.claims["roles"] = ["pupils"]
    async with town.browser() as elsewhere:
        assert _is_in(await town.sign_in(elsewhere))


async def _no_role(town: Town, _owner: httpx.AsyncClient) -> None:
    town.hospital.claims["roles"] = []
    async with town.browser() as elsewhere:
        await town.sign_in(elsewhere)


async def _closed_account(town: Town, _owner: httpx.AsyncClient) -> None:
    services = town.place.services
    services.people.disable(services.accounts.operator(), town.place.world.rows(Person)[-1].name)


async def _idle(town: Town, _owner: httpx.AsyncClient) -> None:
    town.place.world.clock.forward(minutes=15)


async def _half_a_day(town: Town, owner: httpx.AsyncClient) -> None:
    for _ in range(72):
        town.place.world.clock.forward(minutes=10)
        await owner.get(f"{API}/cases")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(_signed_out, id="signed out"),
        pytest.param(_signed_in_again, id="signed in again"),
        pytest.param(_another_role, id="another role"),
        pytest.param(_no_role, id="no role any more"),
        pytest.param(_closed_account, id="account closed"),
        pytest.param(_idle, id="idle"),
        pytest.param(_half_a_day, id="half a day"),
    ],
)
async def test_a_stolen_cookie_is_worth_nothing_at_the_next_request(
    town: Town, end: Callable[[Town, httpx.AsyncClient], Awaitable[None]]
) -> None:
    async with town.browser() as owner, town.browser() as thief:
        await town.sign_in(owner)
        thief.cookies.update(dict(owner.cookies))
        before = await thief.get(f"{API}/cases")
        await end(town, owner)
        after = [await thief.get(path) for path in (f"{API}/cases", f"{API}/models", "/")]

    assert before.status_code == 200
    assert [answer.status_code for answer in after] == [401] * 3


async def test_another_role_at_the_provider_counts_at_the_next_sign_in(town: Town) -> None:
    async with town.browser() as old, town.browser() as new:
        town.hospital.claims["roles"] = ["admins"]
        await town.sign_in(old)
        assert (await old.get(f"{API}/exports")).status_code == 200
        town.hospital.claims["roles"] = ["pupils"]
        await town.sign_in(new)

        assert (await old.get(f"{API}/cases")).status_code == 401
        assert (await new.get(f"{API}/exports")).status_code == 403
        assert (await new.get(f"{API}/cases")).status_code == 200


async def test_who_is_known_by_an_institution_has_no_password_here(town: Town) -> None:
    async with town.browser() as browser:
        await town.sign_in(browser)
        shown = await browser.get("/account/password")
        form = {"old": "", "new": "a long new password", "again": "a long new password"}
        tried = await browser.post("/account/password", data=form)

    assert "<form" not in shown.text
    assert "your institution's account" in shown.text
    assert tried.status_code == 400


async def test_the_page_offers_each_provider_and_the_form(town: Town) -> None:
    async with town.browser() as browser:
        answer = await browser.get("/login", params={"next": "/read?case=3"})

    assert answer.text.index("Sign in with City Hospital") < answer.text.index('name="password"')
    assert 'href="/login/university?next=%2Fread%3Fcase%3D3"' in answer.text
    assert "<script" not in answer.text


async def test_without_local_accounts_there_is_no_form_and_no_password_works(
    place: Place,
) -> None:
    services = replace(
        place.services, accounts=replace(place.services.accounts, password_sign_in=False)
    )
    gate = create_app(place.settings, services, mount=no_pages)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=HERE) as browser:
        shown = await browser.get("/login")
        tried = await browser.post("/login", data={"name": "reader", "password": PASSWORD})

    assert "<form" not in shown.text
    assert "There is no way to sign in here" in shown.text
    assert (tried.status_code, _is_in(tried)) == (403, False)
