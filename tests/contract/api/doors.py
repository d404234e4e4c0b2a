"""Every route that an application answers, as the application itself knows them."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

Door = tuple[str, str]  # method, path template
NOTHING = str(UUID(int=0))


def doors(routes: list[BaseRoute], prefix: str = "") -> Iterator[Door]:
    """Yield every route an application answers, mounted and included ones too."""
    for route in routes:
        if isinstance(route, Mount):
            inner: Any = getattr(route.app, "app", route.app)  # what wraps it answers nothing
            if isinstance(inner, StaticFiles):
                yield "GET", f"{prefix}{route.path}/{{path:path}}"
            else:
                yield from doors(inner.routes, prefix + route.path)
        elif isinstance(route, Route | APIRoute):
            for method in sorted((route.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                yield method, prefix + route.path
        elif hasattr(route, "effective_candidates"):  # a router that FastAPI keeps included
            for candidate in route.effective_candidates():
                if hasattr(candidate, "effective_candidates"):
                    yield from doors([candidate], prefix)
                else:
                    found = candidate.starlette_route or candidate
                    for method in sorted((found.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                        yield method, prefix + found.path
        else:
            raise TypeError(f"{type(route).__name__} is a kind of route this test cannot see into")


def sample(template: str) -> str:
    """Return an address that fits a template, with an id of nothing in it."""
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: "0" if m[1] == "n" else NOTHING, template)
