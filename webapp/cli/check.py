"""`overread check`: is this installation safe and whole? Exit code 0 only when it is.

What is not safe, as against not whole, also keeps `overread serve` from starting.
"""

import argparse
import asyncio
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from inference.catalog import catalog
from inference.errors import ModelFolderRefusedError
from inference.families.folder import check_folder
from storage.clock import utc_now
from storage.errors import StorageError
from storage.keys import Keys, seal_of
from webapp.auth.doorway import is_loopback
from webapp.auth.oidc.errors import (
    ProviderError,
    ProviderMisplacedError,
    ProviderUnreachableError,
)
from webapp.auth.oidc.provider import Provider
from webapp.auth.oidc.settings import ProviderSettings, ProvidersRefusedError, read_providers
from webapp.cli.context import Context
from webapp.cli.database_looks import audit_trail, database, first_account
from webapp.cli.finding import Finding, Look, State, is_public
from webapp.cli.output import CommandError
from webapp.cli.parsing import Parsers
from webapp.cli.workers import worker_state
from webapp.settings import WebSettings

LEAST_FREE_GB: Final = 1.0
SHORTEST_SECRET: Final = 16
FEWEST_CHARACTERS: Final = 6
VIEWER: Final = Path(__file__).parents[1] / "static" / "viewer" / "viewer.js"


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "check", parents=[common], help="is this installation safe and whole?"
    )
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    findings = _found(LOOKS, context.settings)
    table = [(finding.state, finding.name, finding.detail) for finding in findings]
    context.output.rows(findings, table, "")
    problems = sum(finding.state == "problem" for finding in findings)
    context.output.note(f"{problems} problems." if problems != 1 else "1 problem.")
    return 1 if problems else 0


def refuse_unsafe(settings: WebSettings) -> None:
    """Keep an installation from starting in which others could get at what is in it.

    Raises:
        CommandError: a look found a problem; the message names each and what to do.
    """
    problems = [found for found in _found(SAFETY, settings) if found.state == "problem"]
    if problems:
        raise CommandError(
            "Not started, because this would not be safe:\n"
            + "\n".join(f"  {found.name}: {found.detail}" for found in problems)
        )


def _found(looks: Iterable[Look], settings: WebSettings) -> list[Finding]:
    return [finding for look in looks for finding in look(settings)]


def _address(settings: WebSettings) -> Iterator[Finding]:
    if settings.public_url is not None and not is_loopback(settings.host):
        yield Finding(
            "address",
            "note",
            f"{settings.host} answers without https beside {settings.public_url}; let only your "
            "proxy reach it",
        )
    elif settings.public_url is not None:
        yield Finding("address", "ok", f"{settings.public_url} (https ends at your proxy)")
    elif is_loopback(settings.host):
        yield Finding("address", "ok", f"{settings.host}, this machine only")
    else:
        yield Finding(
            "address",
            "problem",
            f"{settings.host} can be reached from elsewhere; put a TLS proxy before it and set "
            "OVERREAD_PUBLIC_URL",
        )


def _data_dir(settings: WebSettings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.is_dir():
        yield Finding("data folder", "problem", f"{folder} does not exist; run `overread init`")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("data folder", "problem", f"{folder} has mode {mode:04o}; chmod 700 it")
    else:
        yield Finding("data folder", "ok", f"{folder}, mode {mode:04o}")


def _free_space(settings: WebSettings) -> Iterator[Finding]:
    if not settings.data_dir.is_dir():
        return
    free = shutil.disk_usage(settings.data_dir).free
    enough = free >= LEAST_FREE_GB * 1e9
    said = f"{free / 1e9:.1f} GB" if enough else f"{free / 1e6:,.0f} MB; at least 1 GB is needed"
    yield Finding("free space", "ok" if enough else "problem", said)


def _keys(settings: WebSettings) -> Iterator[Finding]:
    try:
        Keys.load(settings.key_file, settings.key_seal)
    except StorageError as refusal:
        yield Finding("keys", "problem", str(refusal))
    else:
        seal = seal_of(settings.key_file)
        yield Finding(
            "keys", "ok", f"{settings.key_file.name}, mode 0600, seal: {seal}; do you keep a copy?"
        )


def _private_files(settings: WebSettings) -> Iterator[Finding]:
    """Look at what lies beside the keys: a database that others may read is a way around them."""
    kept = (settings.data_dir / "overread.db", settings.blob_dir, settings.audit_heads_file)
    opened = [path for path in kept if path.exists() and path.stat().st_mode & 0o077]
    for path in opened:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield Finding("private files", "problem", f"{path.name} has mode {mode:04o}; chmod go= it")
    if not opened and any(path.exists() for path in kept):
        yield Finding("private files", "ok", "nobody else of this machine may read them")


def _worker_connection(settings: WebSettings) -> Iterator[Finding]:
    url = settings.worker_url
    if url is None:
        return
    if url.scheme != "https" and not is_loopback(url.host or ""):
        yield Finding(
            "worker connection",
            _in_the_clear(url.host or ""),
            f"images travel to {url.host} without https; put TLS before it",
        )
    key = None if settings.worker_key is None else settings.worker_key.get_secret_value()
    if key is None:
        yield Finding("worker key", "note", "there is none: whoever reaches the worker may use it")
    elif _is_guessable(key):
        yield Finding("worker key", "problem", "OVERREAD_WORKER_KEY is short or a common word")


def _database_connection(settings: WebSettings) -> Iterator[Finding]:
    if settings.database_url is None:
        return
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite":
        return
    if url.password is not None and _is_guessable(str(url.password)):
        yield Finding(
            "database password", "problem", "the one in OVERREAD_DATABASE_URL is short or common"
        )
    if url.host is None or is_loopback(url.host):
        return
    if url.query.get("sslmode") not in {"require", "verify-ca", "verify-full"}:
        yield Finding(
            "database connection",
            _in_the_clear(url.host),
            "it leaves this machine without a demand for TLS; add ?sslmode=verify-full",
        )


def _in_the_clear(host: str) -> State:
    """Weigh a connection without TLS: a name without a dot is of a private container network."""
    return "problem" if "." in host or ":" in host else "note"


def _is_guessable(secret: str) -> bool:
    return len(secret) < SHORTEST_SECRET or len(set(secret)) < FEWEST_CHARACTERS


def _sign_in(settings: WebSettings) -> Iterator[Finding]:
    try:
        providers = read_providers(settings.oidc_file)
    except ProvidersRefusedError as refusal:
        yield Finding("sign-in", "problem", str(refusal))
        return
    if settings.local_accounts == "on":
        yield Finding("sign-in", "ok", "by name and password")
    elif not providers:
        yield Finding(
            "sign-in",
            "problem",
            "nobody could: OVERREAD_LOCAL_ACCOUNTS is off and OVERREAD_OIDC_FILE names no provider",
        )
    for provider in providers:
        if is_public(settings) and not provider.issuer.startswith("https:"):
            yield Finding(
                "sign-in",
                "problem",
                f"{provider.name} is reached over http, which is for trying one on this machine; "
                "give it an https issuer or take OVERREAD_PUBLIC_URL away",
            )
        else:
            yield Finding("sign-in", "ok", _described(provider, settings))


def _described(provider: ProviderSettings, settings: WebSettings) -> str:
    base = str(settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")
    roles = ", ".join(sorted({role.value for role in provider.roles.values()}))
    return (
        f"{provider.name}, {provider.issuer}, {provider.algorithm}, roles: {roles}; "
        f"register {base}/login/{provider.id}/callback and {base}/login there"
    )


def _providers(settings: WebSettings) -> Iterator[Finding]:
    try:
        providers = read_providers(settings.oidc_file)
    except ProvidersRefusedError:
        return  # `_sign_in` says so
    for provider in providers:
        try:
            asyncio.run(Provider(provider, utc_now).discovered())
        except ProviderMisplacedError as refusal:
            told = f"{provider.name}: {refusal.reason}; is its issuer {provider.issuer}?"
            yield Finding("provider", "problem", told)
        except ProviderUnreachableError as refusal:
            told = f"{provider.name} does not answer from here ({refusal.reason})"
            yield Finding("provider", "note", told)
        except ProviderError as refusal:
            yield Finding("provider", "problem", f"{provider.name}: {refusal.reason}")
        else:
            yield Finding("provider", "ok", f"{provider.name} answers as its settings say")


def _blobs(settings: WebSettings) -> Iterator[Finding]:
    folder = settings.blob_dir
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"overread")
    except OSError as error:
        yield Finding("image store", "problem", f"{folder} cannot be written: {error.strerror}")
    else:
        yield Finding("image store", "ok", "can be written; everything in it is encrypted")


def _viewer(_settings: WebSettings) -> Iterator[Finding]:
    if VIEWER.is_file():
        yield Finding("viewer", "ok", f"{VIEWER.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding("viewer", "problem", "its build is missing; run `make viewer`")


def _weights(settings: WebSettings) -> Iterator[Finding]:
    if settings.worker_url is not None:
        return
    entry = catalog().get(settings.model)
    folder = Path(settings.model) if entry is None else entry.packaged_folder
    if folder is None:
        yield Finding(
            "weights", "problem", f"{settings.model} comes as a folder; set OVERREAD_MODEL to it"
        )
        return
    try:
        manifest = check_folder(folder)
    except ModelFolderRefusedError as refusal:
        yield Finding("weights", "problem", str(refusal))
    else:
        yield Finding("weights", "ok", f"{manifest.family}, sha256 {manifest.weights_sha256[:16]}")


def _worker(settings: WebSettings) -> Iterator[Finding]:
    health = worker_state(settings)
    if health is None:
        yield Finding("worker", "note", "not running; `overread serve` starts it")
    elif health.state == "ready":
        yield Finding("worker", "ok", "answers")
    elif health.state == "loading":
        yield Finding("worker", "note", "is loading its model")
    else:
        yield Finding("worker", "problem", f"{health.state} {health.reason}".strip())


SAFETY: Final[tuple[Look, ...]] = (
    _address,
    _data_dir,
    _keys,
    _private_files,
    _worker_connection,
    _database_connection,
    _sign_in,
    first_account,
)
LOOKS: Final[tuple[Look, ...]] = (
    *SAFETY,
    _free_space,
    database,
    audit_trail,
    _providers,
    _blobs,
    _viewer,
    _weights,
    _worker,
)
