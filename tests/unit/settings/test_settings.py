"""Settings fail loudly, at start, with the name of what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from webapp.settings import SettingsRefusedError, WebSettings


def test_an_empty_environment_runs_on_this_machine_only(tmp_path: Path) -> None:
    settings = WebSettings.from_environment({})

    assert settings.host == "127.0.0.1"
    assert settings.data_dir == Path.cwd() / "overread-data"
    assert settings.database == f"sqlite:///{Path.cwd() / 'overread-data' / 'overread.db'}"
    assert WebSettings.from_environment({"OVERREAD_DATA_DIR": str(tmp_path)}).data_dir == tmp_path


def test_a_misspelt_name_stops_the_start_and_says_what_was_meant() -> None:
    with pytest.raises(SettingsRefusedError) as refusal:
        WebSettings.from_environment({"OVERREAD_MAX_UPLAOD_MB": "3", "OVERREAD_QUUX": "1"})

    assert str(refusal.value) == (
        "Unknown settings: OVERREAD_MAX_UPLAOD_MB (did you mean OVERREAD_MAX_UPLOAD_MB?); "
        "OVERREAD_QUUX."
    )


def test_other_programs_variables_are_none_of_our_business() -> None:
    assert WebSettings.from_environment({"PATH": "/bin", "OVERRED_PORT": "1"}).port == 7860


def test_an_empty_value_means_the_default() -> None:
    assert WebSettings.from_environment({"OVERREAD_WORKER_URL": ""}).worker_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("OVERREAD_PORT", "seventy", id="a port that is no number"),
        pytest.param("OVERREAD_MAX_UPLOAD_MB", "-77", id="a limit below nothing"),
        pytest.param("OVERREAD_WORKER_URL", "ftp://worker", id="a worker that is not http"),
        pytest.param("OVERREAD_PUBLIC_URL", "http://reads.example", id="a public address in clear"),
    ],
)
def test_an_unusable_value_is_named_but_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsRefusedError, match=name) as refusal:
        WebSettings.from_environment({name: value})

    assert value not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OVERREAD_PORT", "seventy", "must be a whole number from 0 to 65535"),
        ("OVERREAD_PORT", "99999", "must be a whole number from 0 to 65535"),
        ("OVERREAD_SESSION_HOURS", "1.5", "must be a whole number from 1 to 24"),
        ("OVERREAD_LOCAL_ACCOUNTS", "maybe", "must be one of on, off"),
        ("OVERREAD_WORKER_URL", "ftp://worker", "must be an address that begins with http"),
        ("OVERREAD_WORKER_URL", "worker", "must be an address that begins with http"),
        ("OVERREAD_PUBLIC_URL", "http://reads.example", "must begin with https: passwords and "),
        ("OVERREAD_DATABASE_URL", "bogus://x", "must be sqlite:///FILE or postgresql://"),
        ("OVERREAD_DATABASE_URL", "overread.db", "must be sqlite:///FILE or postgresql://"),
        ("OVERREAD_DATABASE_URL", "sqlite://", "must be sqlite:///FILE or postgresql://"),
        ("OVERREAD_DATABASE_URL", "postgresql://o@h:x/o", "must be sqlite:///FILE or postgr"),
    ],
)
def test_an_unusable_value_is_refused_in_our_words(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsRefusedError) as refusal:
        WebSettings.from_environment({name: value})

    assert str(refusal.value).startswith(f"{name} {said}")


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/o.db", "postgresql://o@h/o", "postgresql+psycopg://o:p@h:5432/o"]
)
def test_a_database_that_can_be_used_is_taken(url: str) -> None:
    assert WebSettings.from_environment({"OVERREAD_DATABASE_URL": url}).database == url


def test_the_process_environment_is_not_read_behind_the_callers_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OVERREAD_PORT", "1234")

    assert WebSettings.from_environment({}).port == 7860


def test_secrets_do_not_print() -> None:
    settings = WebSettings.from_environment(
        {"OVERREAD_WORKER_KEY": "tulip", "OVERREAD_DATABASE_URL": "postgresql://u:tulip@h/d"}
    )

    assert "tulip" not in repr(settings)
    assert settings.database == "postgresql://u:tulip@h/d"


def test_settings_do_not_change() -> None:
    settings = WebSettings.from_environment({})

    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc] # the point of the test
