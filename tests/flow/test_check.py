"""`overread check` names configurations that are not safe, each by its own line."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.flow.terminal import Overread, Ran
from tests.unit.auth.provider_file import PROVIDER, write_provider
from webapp.cli.check import _database_connection as database_connection
from webapp.cli.init import set_up
from webapp.settings import WebSettings

KEY = "a-long-random-key-between-both"
PUBLIC = {"OVERREAD_PUBLIC_URL": "https://reads.example"}


@pytest.fixture(scope="module")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder that `init` made, to be copied."""
    folder = tmp_path_factory.mktemp("set up") / "data"
    settings = WebSettings.from_environment({"OVERREAD_DATA_DIR": str(folder)})
    set_up(settings, "admin", "a password for a test")
    return folder


@pytest.fixture
def installed(overread: Overread, set_up_once: Path, tmp_path: Path) -> Overread:
    shutil.copytree(set_up_once, tmp_path / "data")
    return overread


def _states(installed: Overread, name: str, **settings: str) -> list[str]:
    ran = installed("check", "--json", **settings)
    found = [row["state"] for row in ran.json["items"] if row["name"] == name]
    assert ran.code == (1 if any(row["state"] == "problem" for row in ran.json["items"]) else 0)
    return found


@pytest.mark.parametrize("name", ["keys.json", "overread.db", "blobs"])
def test_what_others_may_read_is_a_problem(installed: Overread, tmp_path: Path, name: str) -> None:
    line = "keys" if name == "keys.json" else "private files"
    assert _states(installed, line) == ["ok"]
    path = tmp_path / "data" / name
    path.chmod(0o755 if path.is_dir() else 0o644)
    assert _states(installed, line) == ["problem"]


@pytest.mark.parametrize(
    ("host", "public_url", "state"),
    [
        pytest.param("127.0.0.1", "", "ok", id="this machine"),
        pytest.param("0.0.0.0", "", "problem", id="everywhere"),  # noqa: S104 - what is refused
        pytest.param("0.0.0.0", "https://reads.example", "note", id="a proxy, but a way around"),  # noqa: S104 - as above
        pytest.param("127.0.0.1", "https://reads.example", "ok", id="a proxy alone"),
    ],
)
def test_an_address_without_https_is_weighed(
    installed: Overread, host: str, public_url: str, state: str
) -> None:
    given = {"OVERREAD_HOST": host, "OVERREAD_PUBLIC_URL": public_url}
    assert _states(installed, "address", **given) == [state]


def test_a_public_address_without_https_stops_every_command(installed: Overread) -> None:
    ran = installed("check", "--json", OVERREAD_PUBLIC_URL="http://reads.example")
    assert (ran.code, ran.json["error"]["code"]) == (2, "settings_refused")
    assert "https" in ran.err


@pytest.mark.parametrize(
    ("url", "states"),
    [
        pytest.param("http://127.0.0.1:9", [], id="this machine"),
        pytest.param("http://worker:9", ["note"], id="a container network"),
        pytest.param("http://10.255.255.1:9", ["problem"], id="an address"),
        pytest.param("http://gpu.example.invalid:9", ["problem"], id="a name"),
        pytest.param("https://gpu.example.invalid:9", [], id="https"),
    ],
)
def test_images_in_the_clear_are_weighed(
    installed: Overread, monkeypatch: pytest.MonkeyPatch, url: str, states: list[str]
) -> None:
    monkeypatch.setattr("webapp.cli.check.worker_state", lambda _settings: None)
    given = {"OVERREAD_WORKER_URL": url, "OVERREAD_WORKER_KEY": KEY}
    assert _states(installed, "worker connection", **given) == states


@pytest.mark.parametrize(
    ("key", "states"),
    [
        pytest.param("", ["note"], id="none"),
        pytest.param("changeme", ["problem"], id="a common word"),
        pytest.param("a" * 40, ["problem"], id="one letter"),
        pytest.param(KEY, [], id="a long one"),
    ],
)
def test_a_guessable_key_is_a_problem(
    installed: Overread, monkeypatch: pytest.MonkeyPatch, key: str, states: list[str]
) -> None:
    monkeypatch.setattr("webapp.cli.check.worker_state", lambda _settings: None)
    given = {"OVERREAD_WORKER_URL": "http://127.0.0.1:9", "OVERREAD_WORKER_KEY": key}
    assert _states(installed, "worker key", **given) == states


@pytest.mark.parametrize(
    ("url", "password", "connection"),
    [
        pytest.param("postgresql://o:changeme@127.0.0.1:9/o", ["problem"], [], id="common"),
        pytest.param(f"postgresql://o:{KEY}@127.0.0.1:9/o", [], [], id="this machine"),
        pytest.param(f"postgresql://o:{KEY}@database:9/o", [], ["note"], id="a container network"),
        pytest.param(f"postgresql://o:{KEY}@127.1.example.invalid/o", [], ["problem"], id="a name"),
        pytest.param(
            f"postgresql://o:{KEY}@db.example.invalid/o?sslmode=verify-full", [], [], id="TLS"
        ),
    ],
)
def test_a_database_elsewhere_is_weighed(
    url: str, password: list[str], connection: list[str]
) -> None:
    settings = WebSettings.from_environment({"OVERREAD_DATABASE_URL": url})
    found = [(each.name, each.state) for each in database_connection(settings)]
    assert [state for name, state in found if name == "database password"] == password
    assert [state for name, state in found if name == "database connection"] == connection


@pytest.fixture
def provider_file(tmp_path: Path) -> Path:
    """Write a file of one provider, as a test may spoil it."""
    return write_provider(tmp_path)


def _refuses(ran: Ran, name: str) -> str:
    """Return what a start that was refused says of `name`."""
    assert ran.code == 1
    assert ran.err.startswith("overread: Not started, because this would not be safe:")
    (line,) = [line for line in ran.err.splitlines() if line.strip().startswith(f"{name}:")]
    return line


def test_an_unsafe_provider_is_refused_with_what_to_do(
    installed: Overread, provider_file: Path
) -> None:
    provider_file.write_text(PROVIDER.replace("readers =", '"*" ='))
    given = {"OVERREAD_OIDC_FILE": str(provider_file)}

    told = _refuses(installed("serve", "--port", "0", **given), "sign-in")

    assert "must name each value in full: a wildcard would let everybody" in told
    assert _states(installed, "sign-in", **given) == ["problem"]


def test_a_provider_of_this_machine_is_for_trying_only(
    installed: Overread, provider_file: Path
) -> None:
    text = PROVIDER.replace("https://login.hospital.example", "http://127.0.0.1:9")
    provider_file.write_text(text)
    given = {"OVERREAD_OIDC_FILE": str(provider_file)}

    assert _states(installed, "sign-in", **given) == ["ok", "ok"]
    assert _states(installed, "provider", **given) == ["note"]
    assert _states(installed, "sign-in", **given, **PUBLIC) == ["ok", "problem"]
    ran = installed("serve", "--port", "0", **given, **PUBLIC)
    assert "reached over http" in _refuses(ran, "sign-in")


def test_nobody_could_sign_in(installed: Overread, provider_file: Path) -> None:
    off = {"OVERREAD_LOCAL_ACCOUNTS": "off"}

    assert _states(installed, "sign-in", **off) == ["problem"]
    assert "nobody could" in _refuses(installed("serve", "--port", "0", **off), "sign-in")
    with_provider = off | {"OVERREAD_OIDC_FILE": str(provider_file)}
    assert _states(installed, "sign-in", **with_provider) == ["ok"]


def test_what_to_register_at_the_provider_is_said(installed: Overread, provider_file: Path) -> None:
    ran = installed("check", "--json", OVERREAD_OIDC_FILE=str(provider_file), **PUBLIC)

    details = [row["detail"] for row in ran.json["items"] if row["name"] == "sign-in"]
    assert (
        "https://reads.example/login/hospital/callback and https://reads.example/login"
        in (details[1])
    )


def test_a_one_time_password_does_not_face_the_world(overread: Overread) -> None:
    overread("init")

    assert _states(overread, "first account") == ["note"]
    assert _states(overread, "first account", **PUBLIC) == ["problem"]
    told = _refuses(overread("serve", "--port", "0", **PUBLIC), "first account")
    assert told.endswith("overread init --admin admin --password-stdin")
    assert _states(overread, "first account", OVERREAD_LOCAL_ACCOUNTS="off", **PUBLIC) == ["ok"]

    overread("init", "--admin", "admin", "--password-stdin", stdin="a password for a test\n")
    assert _states(overread, "first account", **PUBLIC) == ["ok"]


@pytest.mark.parametrize(
    ("given", "host", "line"),
    [
        pytest.param({}, "0.0.0.0", "address", id="an address without https"),  # noqa: S104 - what is refused
        pytest.param(
            {"OVERREAD_WORKER_KEY": "changeme"}, "127.0.0.1", "worker key", id="a common key"
        ),
        pytest.param(
            {"OVERREAD_WORKER_URL": "http://gpu.example.invalid:9"},
            "127.0.0.1",
            "worker connection",
            id="images in the clear",
        ),
    ],
)
def test_an_unsafe_start_is_refused(
    installed: Overread, given: dict[str, str], host: str, line: str
) -> None:
    assert _refuses(installed("serve", "--port", "0", "--host", host, **given), line)


@pytest.mark.parametrize("name", ["keys.json", "overread.db", ""])
def test_what_others_may_read_is_not_served(installed: Overread, tmp_path: Path, name: str) -> None:
    path = tmp_path / "data" / name
    path.chmod(0o755 if path.is_dir() else 0o644)

    line = {"keys.json": "keys", "overread.db": "private files", "": "data folder"}[name]
    assert _refuses(installed("serve", "--port", "0"), line)


@pytest.fixture
def somewhere() -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """Serve one answer, which a test puts into the list, at a loopback address."""
    answers: list[tuple[int, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answers[-1]
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_given: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        pytest.param((200, "text/html", "<p>hi</p>"), "problem", "no JSON object", id="a page"),
        pytest.param((200, "application/json", "[]"), "problem", "no JSON object", id="a list"),
        pytest.param((404, "text/html", "no"), "problem", "status 404", id="nothing there"),
        pytest.param((401, "text/html", "no"), "problem", "status 401", id="not for everybody"),
        pytest.param((302, "text/html", ""), "problem", "status 302", id="elsewhere"),
        pytest.param((503, "text/html", "no"), "note", "status 503", id="down for now"),
    ],
)
def test_an_issuer_that_answers_something_else_is_a_problem(
    installed: Overread,
    provider_file: Path,
    somewhere: tuple[str, list[tuple[int, str, str]]],
    answer: tuple[int, str, str],
    state: str,
    said: str,
) -> None:
    url, answers = somewhere
    answers.append(answer)
    provider_file.write_text(PROVIDER.replace("https://login.hospital.example", url))

    ran = installed("check", "--json", OVERREAD_OIDC_FILE=str(provider_file))

    (found,) = [row for row in ran.json["items"] if row["name"] == "provider"]
    assert (found["state"], said in found["detail"]) == (state, True), found


def test_a_trail_that_was_tampered_with_is_a_problem(installed: Overread, tmp_path: Path) -> None:
    assert _states(installed, "audit trail") == ["ok"]
    with closing(sqlite3.connect(tmp_path / "data" / "overread.db")) as connection, connection:
        connection.execute("DROP TRIGGER audit_event_no_update")
        connection.execute("UPDATE audit_event SET code = 'other' WHERE seq = 1")

    ran = installed("check", "--json")

    (found,) = [row for row in ran.json["items"] if row["name"] == "audit trail"]
    assert found["state"] == "problem"
    assert "Event 1 is the first bad one: edited." in found["detail"]


def test_a_long_trail_is_left_to_its_own_command(
    installed: Overread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.cli.database_looks.MOST_EVENTS", 0)
    ran = installed("check", "--json")
    (found,) = [row for row in ran.json["items"] if row["name"] == "audit trail"]
    assert found["state"] == "note"
    assert "overread audit verify" in found["detail"]
