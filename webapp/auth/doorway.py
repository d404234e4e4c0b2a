"""By which address a request came, and what follows from it for cookies and origins.

A page of another site can make a browser send requests here, or point its own name at this
machine. So only known host names are served, and a request that changes something must come
from our own pages. A browser says where a request comes from; a program that says nothing is
none, and cannot be made to act by a page.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

SECURE_COOKIE: Final = "__Host-overread"
IPV4_NETWORK_BITS: Final = 24
IPV6_NETWORK_BITS: Final = 48
LOOPBACK_COOKIE: Final = "overread"  # browsers refuse the __Host- prefix without https


@dataclass(frozen=True, slots=True)
class Doorway:
    """The address people use; `public_url` where a proxy ends TLS before us."""

    public_url: str | None = None

    def scheme(self, scope: Scope) -> str:
        """Return http or https as the person's browser sees it."""
        if self.public_url and not is_loopback(_host_name(_host(scope))):
            return urlsplit(self.public_url).scheme
        return str(scope["scheme"])

    def serves(self, scope: Scope) -> bool:
        """Whether the Host header names this machine's loopback or the public address."""
        host = _host_name(_host(scope))
        if is_loopback(host):
            return True
        return self.public_url is not None and host == urlsplit(self.public_url).hostname

    def is_secure(self, scope: Scope) -> bool:
        """Whether the connection is https from the browser's side."""
        return self.scheme(scope) == "https"

    def cookie_name(self, scope: Scope) -> str:
        """Return the session cookie's name on this connection."""
        return SECURE_COOKIE if self.is_secure(scope) else LOOPBACK_COOKIE

    def base(self, scope: Scope) -> str:
        """Return the address people type, without a path: a proxy's where it came through one."""
        host = _host(scope)
        if self.public_url and not is_loopback(_host_name(host)):
            host = urlsplit(self.public_url).netloc
        return f"{self.scheme(scope)}://{host}"

    def is_own_request(self, scope: Scope) -> bool:
        """Whether a changing request comes from our own pages, or from no browser at all."""
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        origins = headers.getlist("origin")
        own = _origin(f"{self.scheme(scope)}://{_host(scope)}")
        return all(_origin(origin) == own for origin in origins)


def network_of(scope: Scope) -> str:
    """Return the network a request came from, coarse enough not to single out a machine.

    Behind a proxy this is the proxy's: what a proxy says of others is not believed here.
    """
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return ""
    bits = IPV4_NETWORK_BITS if address.version == 4 else IPV6_NETWORK_BITS
    return str(ipaddress.ip_network((address, bits), strict=False))


def safe_next(path: str | None) -> str:
    """Return `path` when it leads to a page of ours, else the start page."""
    if not path or len(path) > 500 or not path.startswith("/") or path.startswith("//"):
        return "/"
    if "\\" in path or not path.isprintable():
        return "/"
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc else path


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(scope: Scope) -> str:
    hosts = Headers(scope=scope).getlist("host")
    return hosts[0] if len(hosts) == 1 else ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
