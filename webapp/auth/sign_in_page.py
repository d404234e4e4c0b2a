"""The page on which people say who they are: a button for each provider, a form for a password."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from webapp.auth.pages import fragment, page

NO_WAY_IN: Final = "There is no way to sign in here. Whoever runs Overread has to set one up."


@dataclass(frozen=True, slots=True)
class SignInPage:
    """Which ways in there are."""

    providers: Mapping[str, str]  # id -> name
    passwords: bool

    def show(
        self, name: str = "", next_path: str = "/", problem: str = "", *, status: int = 200
    ) -> HTMLResponse:
        """Return the page, with what was typed and what was wrong with it."""
        buttons = "".join(
            fragment(
                "provider.html",
                name=shown,
                address=f"/login/{provider}?{urlencode({'next': next_path})}",
            )
            for provider, shown in self.providers.items()
        )
        form = ""
        if self.passwords:
            form = fragment(
                "password_form.html",
                name=name,
                next=next_path,
                title="Or with a name and a password" if self.providers else "",
                focus="" if self.providers else "autofocus",
            )
        if not (self.providers or self.passwords):
            problem = problem or NO_WAY_IN
        return page("sign_in.html", status, {"providers": buttons, "form": form}, problem=problem)
