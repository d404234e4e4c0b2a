"""A whole Overread in one process: real store, real gate and pages, a scripted worker."""

import atexit
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final

import httpx
from fastapi import FastAPI
from starlette.requests import Request

from inference.client import WorkerClient
from storage.intake.sandbox import READING, Sandbox
from storage.keys import Keys
from storage.vocabulary import Protocol, Role
from tests.flow.fake_worker import KEY, FakeWorker
from tests.unit.services.world import Clock, World
from webapp.app import MountPages, create_app
from webapp.auth.gate import Gate
from webapp.services.actor import Actor
from webapp.services.bundle import Services, build_services
from webapp.services.passwords import Passwords
from webapp.settings import WebSettings

HERE: Final = "http://127.0.0.1:7860"
PASSWORD: Final = "a password for a test"
COLLECTION: Final = "Chest films"


@cache
def cheap_passwords() -> Passwords:
    """Return a hasher with the smallest parameters argon2 takes."""
    return Passwords(time_cost=1, memory_kib=8)


@cache
def searcher() -> Sandbox:
    """Return what looks for text in this process's tests: its models are loaded once."""
    made = Sandbox(children=READING)
    atexit.register(made.close)
    return made


def no_pages(app: FastAPI, _services: Services, _actor_of: Callable[[Request], Actor]) -> FastAPI:
    """Leave the pages out: building them takes longer than most tests."""
    return app


@dataclass
class Place:
    """What tests of the running application work with."""

    gate: Gate
    services: Services
    settings: WebSettings
    worker: FakeWorker
    world: World
    people: dict[Role, Actor] = field(default_factory=dict)
    tokens: dict[Role, str] = field(default_factory=dict)

    def visitor(self, base_url: str = HERE) -> httpx.AsyncClient:
        """Return a browser without a cookie."""
        transport = httpx.ASGITransport(self.gate, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base_url)

    def program(self, role: Role) -> httpx.AsyncClient:
        """Return a program with a bearer token of somebody of this role."""
        client = self.visitor()
        client.headers["authorization"] = f"Bearer {self.tokens[role]}"
        return client

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator["Place"]:
        """Yield another process's view of the same data."""
        client = WorkerClient(self.worker.url, KEY)
        services = build_services(self.settings, client, now=self.world.clock, searcher=searcher())
        try:
            yield replace(
                self, gate=create_app(self.settings, services, mount=no_pages), services=services
            )
        finally:
            await services.aclose()

    @asynccontextmanager
    async def person(self, name: str, password: str = PASSWORD) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a browser that has signed in through the form."""
        async with self.visitor() as client:
            await client.post("/login", data={"name": name, "password": password})
            yield client


@asynccontextmanager
async def furnished(
    folder: Path, migrated: Path, worker: FakeWorker, *, mount: MountPages = no_pages
) -> AsyncIterator[Place]:
    """Yield a place with one account of each role, all members of one collection."""
    settings = WebSettings.from_environment(
        {
            "OVERREAD_DATA_DIR": str(folder / "data"),
            "OVERREAD_WORKER_URL": worker.url,
            "OVERREAD_WORKER_KEY": KEY,
            "OVERREAD_MAX_UPLOAD_MB": "8",
        }
    )
    settings.blob_dir.mkdir(parents=True, mode=0o700)
    shutil.copy(migrated, settings.data_dir / "overread.db")
    Keys.create(settings.key_file)
    client = WorkerClient(worker.url, KEY)
    clock = Clock()
    services = build_services(
        settings, client, now=clock, passwords=cheap_passwords(), searcher=searcher()
    )
    try:
        world = World(services.store, services.studies.blobs, clock)
        place = Place(
            create_app(settings, services, mount=mount), services, settings, worker, world
        )
        _move_in(place)
        yield place
    finally:
        await services.aclose()


def _move_in(place: Place) -> None:
    accounts = place.services.accounts
    accounts.first_account("admin", PASSWORD)
    operator = accounts.operator()
    place.services.collections.ensure(operator, COLLECTION, Protocol.AI_FIRST)
    for role in Role:
        if role is not Role.ADMIN:
            place.services.people.add(operator, role.value, role, PASSWORD)
            place.services.collections.add_member(operator, COLLECTION, role.value)
        place.tokens[role] = place.services.tokens.create(operator, role.value).secret
    for person in place.services.people.list(operator):
        place.people[person.role] = Actor(person.id, person.name, person.role, "session")
