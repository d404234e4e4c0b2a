"""The command line as a person or a script uses it, on a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import inference.worker.main
import webapp.cli
from inference.prompts.battery import battery
from storage.phantoms import make_studies, to_bytes
from tests.flow.fake_worker import SAYS, FakeWorker
from tests.flow.terminal import Overread

PASSWORD = "a password for a test"


@pytest.fixture
def installed(overread: Overread) -> Overread:
    overread("init", "--password-stdin", stdin=PASSWORD + "\n")
    return overread


def test_init_prints_a_one_time_password_once_and_is_safe_to_repeat(
    overread: Overread, tmp_path: Path
) -> None:
    first = overread("init", "--json")
    keys = (tmp_path / "data" / "keys.json").read_bytes()
    second = overread("init", "--json")

    assert (first.code, second.code) == (0, 0)
    assert first.json["one_time_password"]
    assert second.json["one_time_password"] is None
    assert first.json["id"] == second.json["id"]
    assert (tmp_path / "data" / "keys.json").read_bytes() == keys
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "keys.json").stat().st_mode & 0o777 == 0o600


def test_init_says_that_the_first_account_has_another_name(overread: Overread) -> None:
    overread("init", "--admin", "anna")
    assert overread("init").code == overread("init", "--admin", "Anna").code == 0

    ran = overread("init", "--admin", "bert")

    assert (ran.code, ran.out) == (1, "")
    assert "overread users add bert --role admin" in ran.err
    assert "bert" not in overread("users", "list").out


def test_data_without_keys_are_not_given_new_ones(installed: Overread, tmp_path: Path) -> None:
    (tmp_path / "data" / "keys.json").unlink()

    ran = installed("init")

    assert ran.code == 1
    assert "Restore" in ran.err
    assert not (tmp_path / "data" / "keys.json").exists()


def test_a_folder_of_other_things_is_left_alone(overread: Overread, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")

    ran = overread("init")

    assert ran.code == 1
    assert list((tmp_path / "data").iterdir()) == [tmp_path / "data" / "thesis.txt"]


@pytest.mark.parametrize("command", [["users", "list"], ["serve"], ["check"]])
def test_without_an_installation_a_command_says_what_to_do(
    overread: Overread, command: list[str], tmp_path: Path
) -> None:
    ran = overread(*command)

    assert ran.code == 1
    assert "overread init" in ran.err + ran.out
    assert not (tmp_path / "data").exists()


def test_an_unknown_setting_stops_the_start(overread: Overread) -> None:
    ran = overread("users", "list", OVERREAD_PROT="1")

    assert ran.code == 2
    assert "did you mean OVERREAD_PORT?" in ran.err


def test_people_and_tokens(installed: Overread) -> None:
    added = installed("users", "add", "Rita", "--role", "reader", "--json").json
    chosen = installed(
        "users", "add", "tom", "--role", "trainee", "--password-stdin", "--json", stdin=PASSWORD
    ).json
    taken = installed("users", "add", "rita", "--role", "admin", "--json")
    token = installed("tokens", "create", "rita", "--days", "3", "--json").json
    too_much = installed("tokens", "create", "tom", "--role", "admin")
    listed = installed("tokens", "list", "--json").json["items"]
    revoked = installed("tokens", "revoke", token["id"])
    installed("users", "disable", "tom")
    people = installed("users", "list", "--json").json["items"]

    assert (added["name"], added["must_change_password"]) == ("rita", True)
    assert added["one_time_password"]
    assert chosen["one_time_password"] is None
    assert (taken.code, taken.json["error"]["code"]) == (1, "name_taken")
    assert token["token"].startswith("ovr_")
    assert too_much.code == 1
    assert [each["id"] for each in listed] == [token["id"]]
    assert "secret" not in listed[0]
    assert revoked.code == 0
    assert {each["name"]: each["disabled"] for each in people} == {
        "admin": False,
        "rita": False,
        "tom": True,
    }


def test_a_read_from_the_terminal(installed: Overread, tmp_path: Path) -> None:
    (study,) = make_studies(1, seed=5, size=128, ct_every=0)
    film = tmp_path / "film.dcm"
    film.write_bytes(to_bytes(study.files[0][1]))
    picture = tmp_path / "photo.png"
    Image.new("L", (64, 64), 90).save(picture)
    empty = tmp_path / "empty.dcm"
    empty.write_bytes(b"")

    files = (str(film), str(picture))
    ingested = installed("ingest", *files, "--collection", "Films")
    lines = [json.loads(line) for line in ingested.out.splitlines()]
    assert ingested.code == 0
    assert [(line["file"], line["outcome"]) for line in lines] == [
        (str(film), "admitted"),
        (str(picture), "held"),
    ]
    assert all(set(line) >= {"file", "outcome", "code", "case_id"} for line in lines)
    bad = installed("ingest", str(empty), "--collection", "Films")
    assert (bad.code, json.loads(bad.out)["outcome"]) == (1, "refused")

    case_id = lines[0]["case_id"]
    assert case_id in installed("studies", "list").out
    assert len(installed("studies", "list", "--state", "held", "--json").json["items"]) == 1
    assert installed("studies", "show", case_id, "--json").json["id"] == case_id
    out = tmp_path / "out"
    written = installed("studies", "export", case_id, "--out", str(out), "--json").json["files"]
    assert {Path(name).suffix for name in written} == {".dcm", ".png"}
    assert all(Path(name).is_file() for name in written)

    asked = installed("ask", case_id, "What do you see?", "--json").json
    assert (asked["text"], asked["finish_reason"]) == (SAYS, "stop")
    assert asked["draft_id"]
    told = installed("ask", case_id, "And now?")
    assert SAYS in told.out
    assert "draft – not for clinical use" in told.out

    exported = installed("export", "--format", "full", "--out", str(tmp_path / "x"), "--json")
    assert exported.code == 0
    assert exported.json["format"] == "full"


def test_a_battery_from_the_terminal(
    installed: Overread, worker: FakeWorker, tmp_path: Path
) -> None:
    (study,) = make_studies(1, seed=5, size=128, ct_every=0)
    film = tmp_path / "film.dcm"
    film.write_bytes(to_bytes(study.files[0][1]))
    case_id = installed("ingest", str(film), "--collection", "Films").json["case_id"]
    worker.script = "indeterminate"

    told = installed("ask", case_id, "--battery", "chest-findings")
    printed = installed("ask", case_id, "--battery", "chest-findings", "--no-check", "--json")
    worker.refuse = 400
    failed = installed("ask", case_id, "--battery", "chest-findings", "--json")

    assert told.code == printed.code == 0
    findings = {line.split("  ")[0] for line in told.out.splitlines()[:14]}  # as they finish
    assert findings == {question.finding for question in battery("chest-findings").questions}
    assert "14 of 14 answered, 0 flagged." in told.out
    assert "draft – not for clinical use" in told.out
    assert (printed.json["finished"], printed.json["battery"]) == (14, "chest-findings")
    assert {item["text"] for item in printed.json["items"]} == {"indeterminate"}
    assert {item["consistency"]["reason"] for item in printed.json["items"]} == {"skipped"}
    assert (failed.code, failed.json["failed"]) == (1, 14)
    assert {item["error"]["code"] for item in failed.json["items"]} == {"request_refused"}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="nothing to ask"),
        pytest.param(("What?", "--battery", "chest-findings"), id="both"),
        pytest.param(("--battery", "chest-findings", "--choices", "a,b"), id="own choices"),
    ],
)
def test_a_battery_or_a_question_is_asked(
    installed: Overread, worker: FakeWorker, arguments: tuple[str, ...]
) -> None:
    ran = installed("ask", "00000000-0000-0000-0000-000000000001", *arguments)

    assert ran.code == 1
    assert "attery" in ran.err
    assert worker.asked == []


def test_a_case_that_is_not_there(installed: Overread) -> None:
    ran = installed("studies", "show", "00000000-0000-0000-0000-000000000001", "--json")

    assert (ran.code, ran.json["error"]["code"]) == (1, "not_found")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["studies", "show", "abc"], "'abc' is no id"),
        (["tokens", "revoke", "abc"], "'abc' is no id"),
        (["serve", "--port", "99999"], "a port is a whole number from 0 to 65535"),
        (["serve", "--port", "web"], "a port is a whole number from 0 to 65535"),
    ],
)
def test_an_argument_that_cannot_be_is_said_in_words(
    overread: Overread, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        overread(*arguments)
    assert f"{said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "main"),
    [("overread", webapp.cli.main), ("overread-worker", inference.worker.main.main)],
)
def test_the_release_is_told(
    capsys: pytest.CaptureFixture[str], program: str, main: Callable[[list[str]], int]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"{program} {version('overread')}\n"


def test_a_taken_port_is_said_once(installed: Overread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = installed("serve", "--port", str(port))

    assert ran.code == 1
    assert ran.err.splitlines()[-1] == (
        f"overread: 127.0.0.1:{port} is in use. Is Overread running already? Choose another port "
        "with --port."
    )


def test_ingest_says_first_that_there_is_no_installation(
    overread: Overread, tmp_path: Path
) -> None:
    ran = overread("ingest", str(tmp_path), "--collection", "films")

    assert ran.code == 1
    assert ran.err.startswith("overread: There is no installation")


def test_check_tells_what_is_unsafe(installed: Overread, tmp_path: Path) -> None:
    whole = {row["name"]: row["state"] for row in installed("check", "--json").json["items"]}
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data" / "keys.json").chmod(0o644)
    ran = installed("check", "--json", OVERREAD_HOST="0.0.0.0")  # noqa: S104 - what is refused
    broken = {row["name"]: row["state"] for row in ran.json["items"]}

    assert {name for name, state in whole.items() if state == "problem"} == set()
    assert ran.code == 1
    assert {name for name, state in broken.items() if state == "problem"} == {
        "address",
        "data folder",
        "keys",
    }


def _get(url: str, token: str = "") -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        found: dict[str, Any] = json.load(answer)
        return found


def _until(look: Callable[[], str | None], process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "overread serve ended"
        try:
            if (found := look()) is not None:
                return found
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError("it did not happen")


@pytest.mark.slow
@pytest.mark.timeout(240)  # web and worker start as separate processes
def test_serve_says_why_the_model_is_missing_and_stops_with_its_worker(
    installed: Overread, tmp_path: Path
) -> None:
    token = installed("tokens", "create", "admin", "--json").json["token"]
    model, system = tmp_path / "no-model", tmp_path / "system"
    model.mkdir()
    system.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")}
    process = subprocess.Popen(  # noqa: S603 - our own program
        [Path(sys.executable).with_name("overread"), "serve", "--port", "0", "--json"],
        env=kept
        | {
            "OVERREAD_DATA_DIR": str(tmp_path / "data"),
            "OVERREAD_MODEL": str(model),
            "TMPDIR": str(system),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert _get(f"{url}/api/v1/health/live") == {"status": "live"}
        note = json.loads((tmp_path / "data" / "worker.json").read_text())

        def reason() -> str | None:
            ready = _get(f"{url}/api/v1/health/ready", token)
            found: str = ready["worker_reason"]
            return found if found not in {"", "loading"} else None

        assert "overread.json" in _until(reason, process)
        (scratch,) = (tmp_path / "data" / "tmp").iterdir()  # Gradio's
        assert scratch.stat().st_mode & 0o777 == 0o700
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr] # a pipe, see above

    assert process.returncode == 0
    assert not (tmp_path / "data" / "worker.json").exists()
    assert [path for path in system.iterdir() if "gradio" in path.name] == []
    assert list((tmp_path / "data" / "tmp").iterdir()) == []
    with pytest.raises((urllib.error.URLError, OSError)):
        _get(f"http://127.0.0.1:{note['port']}/health")
