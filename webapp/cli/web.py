"""The web process itself; imported only to serve, since Gradio takes seconds to load."""

import errno
import logging
import os
import signal
import socket
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from storage.clock import utc_now
from webapp.app import create_app
from webapp.auth.oidc.provider import Provider
from webapp.auth.oidc.settings import ProvidersRefusedError, read_providers
from webapp.cli.context import Context
from webapp.cli.output import CommandError
from webapp.cli.workers import serving_worker
from webapp.services.bundle import build_services
from webapp.settings import WebSettings

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 3  # pages hold streams open; they are cut after this long


def serve(context: Context) -> int:
    """Serve until told to stop.

    Raises:
        CommandError: there is no installation, or the address cannot be listened on.
    """
    context.require_installation()
    given, settings = context.arguments, context.settings
    providers = _providers(settings)
    host = given.host or settings.host
    listener = _listen(host, settings.port if given.port is None else given.port)
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises it again once it has shut down
    with listener, serving_worker(settings) as worker:
        known = [provider.settings.id for provider in providers]
        services = build_services(settings, worker, providers=known)
        app = create_app(settings, services, providers=providers)
        _Server(app, listener, context).run(sockets=[listener])
    context.output.note("Stopped.")
    return 0


def _providers(settings: WebSettings) -> list[Provider]:
    try:
        return [Provider(each, utc_now) for each in read_providers(settings.oidc_file)]
    except ProvidersRefusedError as refusal:
        raise CommandError(str(refusal)) from None


class _Server(uvicorn.Server):
    """Says where it answers once it does, and takes Ctrl-C as an orderly end."""

    def __init__(self, app: ASGIApp, listener: socket.socket, context: Context) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # the gate logs requests, by template
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._listener = listener
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if not self.started:
            return
        settings = self._context.settings
        host, port = self._listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        url = f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else name}:{port}"  # noqa: S104 - compared
        if settings.public_url is not None:
            url = str(settings.public_url).rstrip("/")
        self._context.output.result({"url": url}, f"Overread answers at {url}  (Ctrl-C stops it)")
        logger.info("web.started", extra={"port": port})

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until a signal comes; Ctrl-C is how a person ends it, not a failure."""
        try:
            super().run(sockets)
        except (KeyboardInterrupt, _LeaveError):
            logger.info("web.stopped")


class _LeaveError(Exception):
    """SIGTERM, where Ctrl-C would raise KeyboardInterrupt."""


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise _LeaveError


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except socket.gaierror:
        raise CommandError(f"There is no address {host} on this machine to listen on.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"{host}:{port} is in use. Is Overread running already? Choose another port with "
                "--port."
            ) from None
        reason = os.strerror(error.errno or errno.EADDRNOTAVAIL)  # Python nests the text
        raise CommandError(f"{host}:{port} cannot be listened on: {reason}.") from None
