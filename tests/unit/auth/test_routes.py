"""How the table is searched: first match, whole path, nothing by default."""

import pytest

from webapp.auth.page_routes import page_routes
from webapp.auth.routes import API_ROUTES, DOORS, NOBODY, RouteTable

EXPORTS = "/api/v1/exports"
TABLE = RouteTable.of(API_ROUTES, DOORS, page_routes("", ["/"]))


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/api/v1/cases/next", "/api/v1/cases/{case_id}"),
        ("POST", "/api/v1/cases/next", "/api/v1/cases/next"),
        ("HEAD", "/api/v1/cases", "/api/v1/cases"),
        ("GET", f"{EXPORTS}/3/files/images/a.png", f"{EXPORTS}/{{export_id}}/files/{{name:path}}"),
        ("GET", "/overread/sign-in.css", "/overread/sign-in.css"),
        ("GET", "/overread/viewer/viewer.js", "/overread/{path:path}"),
    ],
)
def test_a_listed_route_is_found(method: str, path: str, template: str) -> None:
    route = TABLE.find(method, path)

    assert route is not None
    assert route.path == template


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1"),
        ("GET", "/api/v1/casesx"),
        ("GET", "/api/v1/cases/3/secret"),
        ("DELETE", "/api/v1/cases"),
        ("OPTIONS", "/api/v1/cases"),
        ("GET", "/overread/"),
        ("GET", "/gradio_api/something-new"),
    ],
)
def test_what_is_not_listed_is_not_found(method: str, path: str) -> None:
    assert TABLE.find(method, path) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file=https://evil.example/"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:22/"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/call/anything"),
        ("GET", "/monitoring/x"),
    ],
)
def test_gradios_own_doors_are_shut_for_every_role(method: str, path: str) -> None:
    route = TABLE.find(method, path)

    assert route is not None
    assert route.roles == NOBODY


def test_every_line_gives_a_reason() -> None:
    assert [route.path for route in TABLE.routes if not route.reason] == []


def test_only_these_are_open_to_anybody() -> None:
    assert {(r.method, r.path) for r in TABLE.routes if r.roles is None} == {
        ("GET", "/api/v1/health/live"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/login/{provider}"),
        ("GET", "/login/{provider}/callback"),
        ("GET", "/overread/sign-in.css"),
    }
