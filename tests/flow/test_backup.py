"""`overread backup` and `overread restore` at the terminal, over an installation that was used."""

import base64
import shutil
from pathlib import Path

import pytest
from sqlmodel import select

from storage.blobs import BlobStore
from storage.clock import utc_now
from storage.engine import Store
from storage.keys import Keys
from storage.phantoms import make_studies, to_bytes
from storage.snapshot import named_objects
from storage.tables import LoginSession, Person
from tests.flow.place import Place
from tests.flow.terminal import Overread
from tests.unit.intake.samples import film
from webapp.services.actor import Actor

PASSWORD = "a password for a test"


@pytest.fixture
def installed(overread: Overread) -> Overread:
    """Set an installation up, with one account and nothing else."""
    overread("init", "--password-stdin", stdin=PASSWORD + "\n")
    return overread


@pytest.fixture
def used(installed: Overread, tmp_path: Path) -> str:
    """Bring a study in and ask about it; return its case."""
    overread = installed
    (study,) = make_studies(1, seed=5, size=128, ct_every=0)
    path = tmp_path / "film.dcm"
    path.write_bytes(to_bytes(study.files[0][1]))
    case_id = overread("ingest", str(path), "--collection", "Films").json["case_id"]
    assert overread("ask", case_id, "What do you see?").code == 0
    return str(case_id)


def test_a_backup_restored_elsewhere_goes_on(used: str, overread: Overread, tmp_path: Path) -> None:
    made = overread("backup", str(tmp_path / "kept"), "--json")
    assert made.code == 0
    assert made.json["with_keys"] is False
    assert made.json["missing"] == made.json["damaged"] == []
    assert "objects copied" in made.err
    assert list((tmp_path / "data" / "tmp").iterdir()) == []  # the database was there, in the open

    other = {"OVERREAD_DATA_DIR": str(tmp_path / "other")}
    keyless = overread("restore", str(tmp_path / "kept"), **other)
    assert keyless.code == 1
    assert "--keys" in keyless.err
    copy = str(shutil.copy2(tmp_path / "data" / "keys.json", tmp_path / "my-copy.json"))
    checked = overread("restore", str(tmp_path / "kept"), "--check", "--keys", copy, **other)
    assert (checked.code, "Whole" in checked.out) == (0, True)
    assert not (tmp_path / "other" / "overread.db").exists()

    restored = overread("restore", str(tmp_path / "kept"), "--keys", copy, "--json", **other)
    assert restored.code == 0
    assert restored.json["restored"] is True
    shown = [overread("studies", "show", used, "--json", **place).json for place in ({}, other)]
    assert shown[0] == shown[1]
    out = str(tmp_path / "out")
    assert overread("studies", "export", used, "--out", out, **other).code == 0
    assert overread("ask", used, "And now?", **other).code == 0
    verified = overread("audit", "verify", "--json", **other).json
    assert verified["whole"] is True
    assert verified["events"] > made.json["events"]


def test_a_backup_says_where_the_keys_are(installed: Overread, tmp_path: Path) -> None:
    without = installed("backup", str(tmp_path / "without"))
    assert "NOT in it" in without.out
    with_keys = installed("backup", str(tmp_path / "with"), "--with-keys")
    assert "whoever has this folder can read everything" in with_keys.out
    other = {"OVERREAD_DATA_DIR": str(tmp_path / "other")}
    assert installed("restore", str(tmp_path / "with"), **other).code == 0
    assert installed("check", **other).out.count("problem") == installed("check").out.count(
        "problem"
    )


def test_a_backup_with_sealed_keys_names_what_opens_it(overread: Overread, tmp_path: Path) -> None:
    sealed = {"OVERREAD_KEY": base64.b64encode(bytes(range(32))).decode()}
    overread("init", "--password-stdin", stdin=PASSWORD + "\n", **sealed)

    ran = overread("backup", str(tmp_path / "kept"), "--with-keys", **sealed)

    assert ran.code == 0
    assert "sealed" in ran.out
    assert "whoever has this folder" not in ran.out


@pytest.mark.parametrize("more", [[], ["--check"]])
def test_a_backup_that_is_not_there_is_said(
    installed: Overread, tmp_path: Path, more: list[str]
) -> None:
    ran = installed("restore", str(tmp_path / "nowhere"), *more)

    assert ran.code == 1
    assert f"There is no folder {tmp_path / 'nowhere'}." in ran.err


def test_a_check_leaves_nothing_behind(installed: Overread, tmp_path: Path) -> None:
    installed("backup", str(tmp_path / "kept"), "--with-keys")
    other = {"OVERREAD_DATA_DIR": str(tmp_path / "other")}
    assert installed("restore", str(tmp_path / "kept"), "--check", **other).code == 0
    assert not (tmp_path / "other").exists()


def test_an_installation_is_not_written_over(installed: Overread, tmp_path: Path) -> None:
    installed("backup", str(tmp_path / "kept"))
    before = (tmp_path / "data" / "overread.db").read_bytes()
    refused = installed("restore", str(tmp_path / "kept"), "--json")
    assert refused.code == 1
    assert refused.json["error"]["code"] == "backup_refused"
    assert "--replace" in refused.err
    assert (tmp_path / "data" / "overread.db").read_bytes() == before
    assert installed("restore", str(tmp_path / "kept"), "--replace").code == 0
    (aside,) = (tmp_path / "data").glob("replaced-*")
    assert {path.name for path in aside.iterdir()} >= {"overread.db", "blobs", "keys.json"}
    assert installed("audit", "verify").code == 0


def test_nobody_is_signed_in_after_a_restore(installed: Overread, tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = Store.open(f"sqlite:///{data / 'overread.db'}")
    with store.write() as session:
        person = session.exec(select(Person)).one()
        session.add(
            LoginSession.model_validate(
                {"token_sha256": "0" * 64, "person_id": person.id}
                | dict.fromkeys(("created_at", "last_seen_at", "expires_at"), utc_now())
            )
        )
    store.close()
    installed("backup", str(tmp_path / "kept"), "--with-keys")
    installed("restore", str(tmp_path / "kept"), "--replace")
    store = Store.open(f"sqlite:///{data / 'overread.db'}")
    with store.read() as session:
        assert session.exec(select(LoginSession)).all() == []
    store.close()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_folder_that_cannot_be_used_is_told(
    installed: Overread, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = installed(command, str(tmp_path / "file"))
    assert ran.code == 1
    assert "Traceback" not in ran.err


async def test_every_object_that_is_stored_is_named(place: Place, tmp_path: Path) -> None:
    """What no row names would be lost unseen: `missing` could not tell of it."""
    admin: Actor = place.services.accounts.operator()
    (tmp_path / "film.dcm").write_bytes(film())
    place.services.studies.receive(admin, [tmp_path / "film.dcm"], "films")
    place.services.exporting.make(admin, "full")
    settings = place.settings
    blobs = BlobStore(settings.blob_dir, Keys.load(settings.key_file))
    with place.services.store.read() as session:
        assert named_objects(session) == set(blobs.addresses()) != set()
