"""An archive that errs, lies or is somebody else's: what is sent where, and how it ends."""

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from webapp.services.dicomweb import (
    Archive,
    ArchiveError,
    ArchiveRedirectError,
    ArchiveRefusedError,
    ArchiveTooLargeError,
    Credentials,
    opened,
    text,
)
from webapp.services.parts import Parts

BASE = "https://pacs.example/dicom-web"
Handler = Callable[[httpx.Request], httpx.Response]
LATER = float("inf")


def archive_of(handler: Handler) -> Archive:
    return Archive(httpx.Client(transport=httpx.MockTransport(handler)), BASE)


def found(*uids: str) -> list[dict[str, object]]:
    return [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]


def body(*files: bytes, kind: str = "application/dicom") -> bytes:
    parts = [f"--b\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n" for data in files]
    return b"\r\n" + b"".join(parts) + b"--b--"


RELATED = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}


def retrieved(handler: Handler, folder: Path, *, most: int = 1000, until: float = LATER) -> Parts:
    parts = Parts(folder, most, 3)
    archive_of(handler).retrieve("1.2", "1.2.3", parts, until, lambda: None)
    return parts


def test_a_search_goes_page_by_page_and_stops_at_the_limit() -> None:
    asked: list[tuple[str, str]] = []

    def pages(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        asked.append((query["offset"], query["limit"]))
        start, size = int(query["offset"]), int(query["limit"])
        return httpx.Response(200, json=found(*(f"1.{n}" for n in range(start, start + size))))

    uids = archive_of(pages).studies({"PatientID": "a b&c"}, 1500)
    assert len(uids) == 1501
    assert asked == [("0", "1000"), ("1000", "501")]


def test_a_server_that_knows_no_pages_is_asked_once() -> None:
    answers = iter([httpx.Response(200, json=found(*(f"1.{n}" for n in range(1200))))])
    assert len(archive_of(lambda _: next(answers)).studies({}, 5000)) == 1000


def test_no_content_is_nothing_found() -> None:
    assert archive_of(lambda _: httpx.Response(204)).studies({}, 5) == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(httpx.Response(401), ArchiveRefusedError, id="not signed in"),
        pytest.param(httpx.Response(403), ArchiveRefusedError, id="not allowed"),
        pytest.param(httpx.Response(500, text="Doe^Jane"), ArchiveError, id="broken"),
        pytest.param(httpx.Response(200, text="<html>Doe^Jane"), ArchiveError, id="a page"),
        pytest.param(httpx.Response(200, json={"a": 1}), ArchiveError, id="no list"),
        pytest.param(httpx.Response(200, text="[" * 90_000), ArchiveError, id="nested"),
    ],
)
def test_an_answer_that_is_none_is_said_so_and_not_quoted(
    answer: httpx.Response, kind: type[ArchiveError]
) -> None:
    with pytest.raises(kind) as refusal:
        archive_of(lambda _: answer).studies({"PatientID": "x"}, 5)
    assert "Doe" not in str(refusal.value)


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.services.dicomweb._MOST_JSON_BYTES", 1000)
    with pytest.raises(ArchiveTooLargeError):
        archive_of(lambda _: httpx.Response(200, text=" " * 2000)).studies({}, 5)


@pytest.mark.parametrize(
    ("location", "follows"),
    [
        ("/dicom-web/v2/studies", True),
        ("https://pacs.example/elsewhere", True),
        ("https://pacs.example:8443/dicom-web", False),
        ("http://pacs.example/dicom-web", False),
        ("https://evil.example/dicom-web", False),
        ("//evil.example/x", False),
    ],
)
def test_the_sign_in_never_follows_a_redirect_to_another_origin(
    location: str, *, follows: bool
) -> None:
    hosts: list[str] = []

    def moved(request: httpx.Request) -> httpx.Response:
        hosts.append(str(request.url.copy_with(path="/", query=None)))
        if len(hosts) == 1:
            return httpx.Response(302, headers={"location": location})
        return httpx.Response(200, json=found("1.2"))

    if follows:
        assert archive_of(moved).studies({}, 5) == ["1.2"]
    else:
        with pytest.raises(ArchiveRedirectError):
            archive_of(moved).studies({}, 5)
    assert set(hosts) == {"https://pacs.example/"}


def test_redirects_in_circles_end() -> None:
    with pytest.raises(ArchiveRedirectError):
        archive_of(lambda r: httpx.Response(307, headers={"location": str(r.url)})).studies({}, 5)


def test_files_are_written_as_they_come(tmp_path: Path) -> None:
    files = b"\r\n--c\r\n" * 3, b"", b"--b"
    parts = retrieved(
        lambda _: httpx.Response(200, content=body(*files), headers=RELATED), tmp_path
    )
    assert [path.read_bytes() for path in parts.paths] == list(files)


def test_a_second_series_that_is_cut_off_is_refused_too(tmp_path: Path) -> None:
    bodies = iter([body(b"one"), body(b"two")[:-5]])

    def handler(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=next(bodies), headers=RELATED)

    parts = retrieved(handler, tmp_path)
    with pytest.raises(ArchiveError, match="cut off"):
        archive_of(handler).retrieve("1.2", "1.2.4", parts, LATER, lambda: None)


def test_a_server_without_the_wildcard_is_asked_again_without(tmp_path: Path) -> None:
    accepted: list[str] = []

    def plain(request: httpx.Request) -> httpx.Response:
        accepted.append(request.headers["accept"])
        if "transfer-syntax" in accepted[-1]:
            return httpx.Response(406)
        return httpx.Response(200, content=body(b"x"), headers=RELATED)

    assert len(retrieved(plain, tmp_path).paths) == 1
    assert len(accepted) == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((body(b"x" * 600, b"y" * 600), RELATED), id="too many bytes"),
        pytest.param((body(*[b"x"] * 4), RELATED), id="too many files"),
        pytest.param((body(b"x")[:-5], RELATED), id="cut off"),
        pytest.param((body(b"x", kind="text/html"), RELATED), id="another kind of part"),
        pytest.param((b"no boundary", RELATED), id="no parts"),
        pytest.param((body(b"x"), {"content-type": "application/dicom"}), id="not multipart"),
        pytest.param((body(b"x"), {"content-type": "multipart/related"}), id="no boundary named"),
        pytest.param((b"--b\r\nX-" + b"a" * 2000, RELATED), id="a long header"),
    ],
)
def test_files_that_are_none_are_refused(
    answer: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    content, headers = answer
    with pytest.raises(ArchiveError):
        retrieved(lambda _: httpx.Response(200, content=content, headers=headers), tmp_path)


def test_an_archive_that_takes_too_long_is_left(tmp_path: Path) -> None:
    answer = httpx.Response(200, content=body(b"x"), headers=RELATED)
    with pytest.raises(ArchiveTooLargeError, match="too long"):
        retrieved(lambda _: answer, tmp_path, until=time.monotonic() - 1)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftp://pacs/x", "begins with"),
        ("pacs/x", "begins with"),
        ("https://", "begins with"),
        ("https://name:secret@pacs/x", "file or the environment"),
        ("https://pacs/x?key=1", "begins with"),
        ("http://pacs.example/x", "unencrypted"),
        ("http://127.0.0.1.evil.example/x", "unencrypted"),
    ],
)
def test_addresses_that_are_not_taken(address: str, says: str) -> None:
    with pytest.raises(ArchiveError, match=says), opened(address, Credentials()):
        pass


def test_plain_http_is_taken_on_this_machine_or_where_it_is_meant() -> None:
    with opened("http://127.0.0.1:8042/", Credentials()) as archive:
        assert archive.base == "http://127.0.0.1:8042"
    with opened("http://pacs.example/x/", Credentials(), plain=True) as archive:
        assert archive.base == "http://pacs.example/x"


def test_a_sign_in_is_not_shown() -> None:
    for made in (Credentials.bearer("s3cret"), Credentials.basic("a:s3cret")):
        assert "s3cret" not in repr(made)
    assert Credentials.basic("a:b").authorization.get_secret_value() == "Basic YTpi"


@pytest.mark.parametrize("attribute", [None, {}, {"Value": {}}, {"Value": [7]}, {"Value": []}])
def test_an_attribute_that_is_none_is_empty(attribute: object) -> None:
    assert text({"0020000D": attribute}, "0020000D") == text({}, "0020000D") == ""


class _Nothing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def behind_tls(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the address of a server and the file of the certificate that it shows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server for tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                       critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    own, private = folder / "own.pem", folder / "private.pem"
    own.write_bytes(made.public_bytes(pem))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, form, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, private)
    server = http.server.HTTPServer(("127.0.0.1", 0), _Nothing)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a refused handshake
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_certificate_nobody_vouches_for_is_refused_until_it_is_named(tmp_path: Path) -> None:
    with behind_tls(tmp_path) as (address, certificate):
        with opened(address, Credentials.bearer("x")) as archive, pytest.raises(ArchiveError):
            archive.studies({}, 5)
        with opened(address, Credentials.bearer("x"), ca=str(certificate)) as archive:
            assert archive.studies({}, 5) == []
    with (
        pytest.raises(ArchiveError, match="certificates"),
        opened(BASE, Credentials(), ca=str(tmp_path / "none")),
    ):
        pass
