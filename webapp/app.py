"""The web application: API, sign-in and pages, with the gate around all of it."""

import asyncio
import hashlib
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from fastapi import FastAPI
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from webapp.api.asker import actor_of
from webapp.api.problems import add_problem_handlers
from webapp.api.router import api_router
from webapp.auth.bodies import Limits
from webapp.auth.doorway import Doorway
from webapp.auth.gate import Gate
from webapp.auth.oidc.provider import Provider
from webapp.auth.oidc.settings import fingerprint_of
from webapp.auth.page_routes import page_routes
from webapp.auth.routes import API, API_ROUTES, DOORS, RouteTable
from webapp.auth.sign_in import sign_in_routes
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.settings import WebSettings
from webapp.ui import ADMIN_PAGES, OWN_PAGES, PAGES, mount_pages

STATIC: Final = Path(__file__).parent / "static"
ROUTES: Final = RouteTable.of(
    API_ROUTES,
    DOORS,
    page_routes(
        "",
        ["/", *(path for _, path, _ in (*PAGES, *OWN_PAGES))],
        [path for _, path, _ in ADMIN_PAGES],
    ),
)


MountPages = Callable[[FastAPI, Services, Callable[[Request], Actor]], FastAPI]


def create_app(
    settings: WebSettings,
    services: Services,
    *,
    providers: Sequence[Provider] = (),
    mount: MountPages = mount_pages,
) -> Gate:
    """Build the application; nothing of it can be reached but through the returned gate.

    Args:
        settings: Of this process.
        services: Closed when the application shuts down.
        providers: Identity providers people may sign in with.
        mount: Adds the pages; tests of the API alone pass one that adds none.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        trail = services.trail
        await run_sync(trail.started, _fingerprint(settings, providers))
        keeping = asyncio.create_task(trail.keep_house())
        await run_sync(services.readers.warm)
        services.checking.start()
        sweeping = asyncio.create_task(services.keeping.keep_swept())
        yield
        for task in (keeping, sweeping):
            task.cancel()
        await asyncio.wait({keeping, sweeping})
        await run_sync(trail.stopped)
        await services.aclose()

    app = FastAPI(
        title="Overread",
        description="A laboratory, not a medical device: every model output is a draft.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    doorway = Doorway(None if settings.public_url is None else str(settings.public_url))
    add_problem_handlers(app)
    app.include_router(api_router(services, settings.data_dir))
    app.router.routes.extend(
        sign_in_routes(services.accounts, doorway, services.federation, services.trail, providers)
    )
    app.mount("/overread", StaticFiles(directory=STATIC))
    with warnings.catch_warnings():  # Gradio warns that several pages exclude what we turned off
        warnings.filterwarnings("ignore", "SSR mode is not supported", UserWarning)
        mount(app, services, actor_of)
    return Gate(
        app=app,
        table=ROUTES,
        doorkeeper=services.accounts,
        doorway=doorway,
        trail=services.trail,
        limits=Limits(upload=settings.max_upload_bytes),
        rates=services.rates,
    )


def _fingerprint(settings: WebSettings, providers: Sequence[Provider]) -> str:
    """Hash every setting but the secrets; who may come in and with which role is one."""
    vouching = fingerprint_of(tuple(provider.settings for provider in providers))
    return hashlib.sha256(f"{settings.fingerprint}\n{vouching}".encode()).hexdigest()
