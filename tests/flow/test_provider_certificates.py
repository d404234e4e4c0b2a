"""A provider behind a certificate of the institution's own: trusted by setting, else not at all."""

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage.clock import utc_now
from webapp.auth.oidc.errors import ProviderUnreachableError
from webapp.auth.oidc.provider import Provider
from webapp.auth.oidc.settings import ProviderSettings


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a key and a certificate of 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "institution")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


class _Discovery(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = f"https://{self.headers['host']}"
        doors = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        document: dict[str, Any] = {"issuer": issuer} | {door: f"{issuer}/{door}" for door in doors}
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def institution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve a discovery document over TLS; yield the issuer and its certificate."""
    pem, secret = _certificate(tmp_path_factory.mktemp("institution"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Discovery)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, secret)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}", pem
    server.shutdown()
    server.server_close()
    thread.join()


def _provider(issuer: str, ca_file: Path | None) -> Provider:
    given = {
        "id": "hospital",
        "name": "City Hospital",
        "issuer": issuer,
        "client_id": "overread",
        "client_secret": "a long secret between both",
        "roles": {"readers": "reader"},
        "ca_file": ca_file,
    }
    return Provider(ProviderSettings.model_validate(given), utc_now)


async def test_the_institutions_own_certificate_is_a_setting(institution: tuple[str, Path]) -> None:
    issuer, certificate = institution

    assert (await _provider(issuer, certificate).discovered()).issuer == issuer


async def test_without_it_nothing_is_believed(
    institution: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, _ = institution
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # of no effect: no proxy is used

    with pytest.raises(ProviderUnreachableError) as refusal:
        await _provider(issuer, None).discovered()
    assert refusal.value.reason == "ConnectError"


async def test_certificates_of_somebody_else_are_not_enough(
    institution: tuple[str, Path], tmp_path: Path
) -> None:
    issuer, _ = institution
    other, _ = _certificate(tmp_path)

    with pytest.raises(ProviderUnreachableError):
        await _provider(issuer, other).discovered()
