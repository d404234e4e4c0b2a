"""`overread check` names configurations that are not safe, each by its own line."""

from pathlib import Path

import pytest

from tests.flow.terminal import Overread
from webapp.cli.check import _database_connection as database_connection
from webapp.settings import WebSettings

KEY = "a-long-random-key-between-both"


@pytest.fixture
def installed(overread: Overread) -> Overread:
    overread("init", "--password-stdin", stdin="a password for a test\n")
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
