"""Every route of the program, who may knock, and why. What is not listed is refused.

The table is the first of two checks: it says which roles may use a route at all. Whether this
person may open this case is decided by the use case behind it. A test walks the running
application's own route list, so that a new route without an entry fails.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Final, Self

from storage.vocabulary import Role
from webapp.services.policy import ADMINS, READERS_UP, TRAINEES_UP

API: Final = "/api/v1"
ANYONE: Final = None
NOBODY: Final[frozenset[Role]] = frozenset()


class Surface(StrEnum):
    """What kind of answer a route gives; it chooses the security headers."""

    API = "api"
    SIGN_IN = "sign_in"
    PAGE = "page"
    ASSET = "asset"  # the same for everybody and without data of anybody


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table; `roles` None lets everybody in, an empty set nobody."""

    method: str
    path: str
    roles: frozenset[Role] | None
    reason: str
    surface: Surface = Surface.API
    upload: bool = False  # its body may be as large as an upload
    page_ids: bool = False  # its calls name Gradio session hashes and event ids
    any_host: bool = False  # answered under whatever name this machine was called by
    first_password: bool = False  # open while the first password is not replaced yet
    attended: bool = True  # a request to it means that somebody is there


API_ROUTES: Final = (
    Route(
        "GET",
        f"{API}/health/live",
        ANYONE,
        "a supervisor asks it; it says only that the process runs",
        any_host=True,
    ),
    Route("GET", f"{API}/health/ready", TRAINEES_UP, "the pages show what is down"),
    Route("GET", f"{API}/openapi.json", TRAINEES_UP, "the description of this API"),
    Route("GET", f"{API}/models", TRAINEES_UP, "choosing whom to ask"),
    Route("POST", f"{API}/studies", READERS_UP, "bringing data in", upload=True),
    Route(
        "POST",
        f"{API}/dicomweb/{{collection}}/studies",
        READERS_UP,
        "bringing data in, from a program that speaks DICOMweb",
        upload=True,
    ),
    Route("POST", f"{API}/studies/{{case_id}}/attest", READERS_UP, "needs a trained eye"),
    Route("GET", f"{API}/cases", TRAINEES_UP, "the worklist of own collections"),
    Route("POST", f"{API}/cases/next", TRAINEES_UP, "taking the next case to read"),
    Route("GET", f"{API}/cases/{{case_id}}", TRAINEES_UP, "opening a case"),
    Route(
        "GET",
        f"{API}/cases/{{case_id}}/search",
        TRAINEES_UP,
        "an open page asks how far the search for text is",
        attended=False,
    ),
    Route("POST", f"{API}/cases/{{case_id}}/own-reads", TRAINEES_UP, "everybody reads"),
    Route("POST", f"{API}/cases/{{case_id}}/questions", TRAINEES_UP, "everybody asks"),
    Route("POST", f"{API}/cases/{{case_id}}/batteries", TRAINEES_UP, "everybody asks"),
    Route("GET", f"{API}/cases/{{case_id}}/progress", TRAINEES_UP, "one's own half-written work"),
    Route("PUT", f"{API}/cases/{{case_id}}/progress", TRAINEES_UP, "one's own half-written work"),
    Route("GET", f"{API}/images/{{image_id}}", TRAINEES_UP, "looking at a case"),
    Route("GET", f"{API}/images/{{image_id}}/frames/{{n}}", TRAINEES_UP, "looking at a case"),
    Route("GET", f"{API}/drafts/{{draft_id}}", TRAINEES_UP, "the answer to one's own question"),
    Route(
        "POST",
        f"{API}/drafts/{{draft_id}}/reviews",
        TRAINEES_UP,
        "a trainee in teaching collections; the use case knows which those are",
    ),
    Route("GET", f"{API}/exports", ADMINS, "data leave the house"),
    Route("POST", f"{API}/exports", ADMINS, "data leave the house"),
    Route("GET", f"{API}/exports/{{export_id}}/files/{{name:path}}", ADMINS, "data leave"),
    Route("GET", f"{API}/audit", ADMINS, "it tells of everybody"),
    Route("GET", f"{API}/audit/export", ADMINS, "it tells of everybody"),
)

DOORS: Final = (
    Route("GET", "/login", ANYONE, "the way in", Surface.SIGN_IN),
    Route("POST", "/login", ANYONE, "the way in", Surface.SIGN_IN),
    Route("GET", "/login/{provider}", ANYONE, "the way to an identity provider", Surface.SIGN_IN),
    Route("GET", "/login/{provider}/callback", ANYONE, "the way back from there", Surface.SIGN_IN),
    Route("POST", "/logout", TRAINEES_UP, "the way out", Surface.SIGN_IN, first_password=True),
    Route(
        "GET",
        "/account/session",
        TRAINEES_UP,
        "an open page asks how long one's own session lasts",
        Surface.SIGN_IN,
        attended=False,
    ),
    Route("POST", "/account/session", TRAINEES_UP, "staying signed in", Surface.SIGN_IN),
    Route(
        "GET",
        "/account/password",
        TRAINEES_UP,
        "one's own password",
        Surface.SIGN_IN,
        first_password=True,
    ),
    Route(
        "POST",
        "/account/password",
        TRAINEES_UP,
        "one's own password",
        Surface.SIGN_IN,
        first_password=True,
    ),
    Route("GET", "/overread/sign-in.css", ANYONE, "how the way in looks", Surface.ASSET),
    Route("GET", "/overread/{path:path}", TRAINEES_UP, "the viewer", Surface.ASSET),
)


@dataclass(frozen=True)
class RouteTable:
    """The routes, compiled; the first one that fits method and path decides."""

    routes: tuple[Route, ...]
    _patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Turn each path template into a pattern."""
        object.__setattr__(self, "_patterns", tuple(_pattern(r.path) for r in self.routes))

    @classmethod
    def of(cls, *parts: Iterable[Route]) -> Self:
        """Join several lists of routes, earlier ones first."""
        return cls(tuple(chain.from_iterable(parts)))

    def find(self, method: str, path: str) -> Route | None:
        """Return the entry for a request; HEAD counts as GET."""
        method = "GET" if method == "HEAD" else method
        for pattern, route in zip(self._patterns, self.routes, strict=True):
            if route.method == method and pattern.fullmatch(path):
                return route
        return None


_PARAMETER: Final = re.compile(r"\{(\w+)(:path)?\}")


def _pattern(template: str) -> re.Pattern[str]:
    result, end = "", 0
    for parameter in _PARAMETER.finditer(template):
        result += re.escape(template[end : parameter.start()])
        result += "(?s:.+)" if parameter[2] else "[^/]+"
        end = parameter.end()
    return re.compile(result + re.escape(template[end:]))
