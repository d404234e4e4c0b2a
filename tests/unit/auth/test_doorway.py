"""Which addresses are served, whose requests count as our own, and where `next` may lead."""

import pytest
from starlette.types import Scope

from webapp.auth.doorway import LOOPBACK_COOKIE, SECURE_COOKIE, Doorway, safe_next

PUBLIC = Doorway("https://reads.hospital.example/")


def _scope(host: str, *, scheme: str = "http", **headers: str) -> Scope:
    fields = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": "http",
        "scheme": scheme,
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:80", "127.3.2.1"])
def test_loopback_is_served_without_any_setting(host: str) -> None:
    assert Doorway().serves(_scope(host))


@pytest.mark.parametrize(
    "host", ["evil.example", "10.0.0.5:7860", "localhost.evil.example", "", "[", "127.0.0.1@x"]
)
def test_another_name_for_this_machine_is_not_served(host: str) -> None:
    assert not Doorway().serves(_scope(host))


def test_the_public_address_is_served_when_it_is_set() -> None:
    assert PUBLIC.serves(_scope("reads.hospital.example"))
    assert not PUBLIC.serves(_scope("evil.example"))


def test_two_host_headers_are_nobodys() -> None:
    scope = _scope("127.0.0.1")
    scope["headers"].append((b"host", b"evil.example"))

    assert not Doorway().serves(scope)


def test_the_cookie_has_the_host_prefix_wherever_browsers_take_it() -> None:
    assert PUBLIC.cookie_name(_scope("reads.hospital.example")) == SECURE_COOKIE
    assert Doorway().cookie_name(_scope("127.0.0.1", scheme="https")) == SECURE_COOKIE
    assert PUBLIC.cookie_name(_scope("127.0.0.1:7860")) == LOOPBACK_COOKIE


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="a program that sends neither header"),
        pytest.param({"origin": "http://127.0.0.1:7860"}, id="our own origin"),
        pytest.param({"sec_fetch_site": "same-origin"}, id="the browser says same origin"),
    ],
)
def test_own_requests_pass(headers: dict[str, str]) -> None:
    assert Doorway().is_own_request(_scope("127.0.0.1:7860", **headers))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "null"}, id="a sandboxed page"),
        pytest.param({"origin": "http://evil.example"}, id="another site"),
        pytest.param({"origin": "http://127.0.0.1:9999"}, id="another port"),
        pytest.param({"origin": "https://127.0.0.1:7860"}, id="another scheme"),
        pytest.param({"origin": "http://127.0.0.1:99999"}, id="no port at all"),
        pytest.param({"sec_fetch_site": "cross-site"}, id="the browser says cross site"),
        pytest.param({"sec_fetch_site": "same-site"}, id="a sister site"),
        pytest.param({"sec_fetch_site": "none"}, id="typed or bookmarked, so not a form of ours"),
    ],
)
def test_foreign_requests_do_not(headers: dict[str, str]) -> None:
    assert not Doorway().is_own_request(_scope("127.0.0.1:7860", **headers))


@pytest.mark.parametrize("path", ["/", "/case?id=3", "/exports#new"])
def test_next_leads_to_our_own_pages(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "evil",
        "/a\nb",
        "/" + "a" * 500,
    ],
)
def test_next_leads_nowhere_else(path: str | None) -> None:
    assert safe_next(path) == "/"
