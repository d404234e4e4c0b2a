"""Everything the web process reads from its environment, in one frozen object.

Built once in the command line's `main` and passed down. A misspelt name must stop the start:
pydantic-settings alone would ignore it and run with the default.
"""

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal, Self, get_args

from pydantic import Field, HttpUrl, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage.seals import CommandSeal, EnvironmentSeal, Seal

PREFIX = "OVERREAD_"
A_DATABASE: Final = "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


class SettingsRefusedError(Exception):
    """A setting is unknown or has a value that cannot be used; the message names it."""

    code = "settings_refused"


class WebSettings(BaseSettings):
    """Settings of the web process and the command line; `OVERREAD_` stands before each name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_dir: Path = Field(
        default=Path("overread-data"), description="Keys, database, blobs; made by `init`."
    )
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; without it, SQLite inside the data folder."
    )
    key: SecretStr | None = Field(
        default=None, description="32 random bytes in base64 that seal the key file."
    )
    key_command: str | None = Field(
        default=None, description="Command that seals the key file; see docs/operations.md."
    )
    worker_url: HttpUrl | None = Field(
        default=None, description="An OpenAI-compatible server instead of the embedded worker."
    )
    worker_key: SecretStr | None = Field(
        default=None, description="Bearer key for `OVERREAD_WORKER_URL`."
    )
    model: str = Field(
        default="overread-demo", description="Model id or folder the embedded worker serves."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=7860, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    public_url: HttpUrl | None = Field(
        default=None, description="Address people type when a proxy stands before Overread."
    )
    oidc_file: Path | None = Field(
        default=None, description="Identity providers people sign in with; see docs/sign-in.md."
    )
    local_accounts: Literal["on", "off"] = Field(
        default="on", description="Whether people may sign in with a name and a password."
    )
    second_person_attests: Literal["on", "off"] = Field(
        default="off", description="Whether an uploader may not decide about their own held study."
    )
    session_idle_minutes: int = Field(
        default=15, ge=1, le=240, description="Signed out after this long without a request."
    )
    session_hours: int = Field(
        default=12, ge=1, le=24, description="Signed out this long after signing in, in any case."
    )
    max_upload_mb: int = Field(
        default=512, ge=1, le=4096, description="Largest accepted upload request, MiB."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least serious event written to standard error."
    )
    shared: Path | None = Field(
        default=None, description="Folder of test data; read by the test suite only."
    )

    @field_validator("data_dir", "shared", "oidc_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            url = None if value is None else make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError(A_DATABASE) from None
        kind = None if url is None else url.get_backend_name()
        if url is not None and (
            kind not in {"sqlite", "postgresql"} or (kind == "sqlite" and not url.database)
        ):
            raise ValueError(A_DATABASE)
        return value

    @field_validator("public_url")
    @classmethod
    def _public_means_https(cls, value: HttpUrl | None) -> HttpUrl | None:
        if value is not None and value.scheme != "https":
            raise ValueError("must begin with https: passwords and images travel over it")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see below
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no secrets folder
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from `from_environment`, never from the process behind its back."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read `OVERREAD_*` from `environ`; an empty value means the default.

        Raises:
            SettingsRefusedError: a name with the prefix matches no setting, or a value is
                unusable; the message names every one, and never repeats a value.
        """
        given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        known = {f"{PREFIX}{field.upper()}": field for field in cls.model_fields}
        if unknown := sorted(set(given) - set(known)):
            raise SettingsRefusedError(
                "Unknown settings: " + "; ".join(_with_guess(name, known) for name in unknown) + "."
            )
        try:
            return cls.model_validate({known[n]: v for n, v in given.items() if v != ""})
        except ValidationError as error:
            raise SettingsRefusedError("; ".join(_problems(error))) from None

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database, password included: never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'overread.db'}"

    @property
    def key_file(self) -> Path:
        """Where the installation's keys are."""
        return self.data_dir / "keys.json"

    @property
    def key_seal(self) -> Seal | None:
        """What the key file is sealed with, if with anything.

        Raises:
            SettingsRefusedError: two ways at once.
            KeyFileError: the key or the command is unusable.
        """
        if self.key is not None and self.key_command is not None:
            raise SettingsRefusedError("Set OVERREAD_KEY or OVERREAD_KEY_COMMAND, not both.")
        if self.key is not None:
            return EnvironmentSeal.of(self.key.get_secret_value())
        return None if self.key_command is None else CommandSeal.of(self.key_command)

    @property
    def blob_dir(self) -> Path:
        """Where images and DICOM files are kept, encrypted."""
        return self.data_dir / "blobs"

    @property
    def audit_heads_file(self) -> Path:
        """Where the newest hashes of the audit trail are kept, outside the database."""
        return self.data_dir / "audit-heads.jsonl"

    @property
    def fingerprint(self) -> str:
        """Hash of every setting but the secrets, so that a changed configuration shows."""
        plain = self.model_dump_json(exclude={"database_url", "key", "worker_key", "shared"})
        return hashlib.sha256(plain.encode()).hexdigest()

    @property
    def max_upload_bytes(self) -> int:
        """`max_upload_mb` in bytes."""
        return self.max_upload_mb * 1024 * 1024


def _with_guess(name: str, known: Mapping[str, str]) -> str:
    endings = [each.removeprefix(PREFIX) for each in known]
    guess = get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f"{name} (did you mean {PREFIX}{guess[0]}?)" if guess else name


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{PREFIX}{str(problem['loc'][0]).upper()} {_must(str(problem['loc'][0]), problem)}"
        for problem in error.errors(include_url=False, include_input=False)
    ]


def _must(name: str, problem: ErrorDetails) -> str:
    """Say what a value must be; what it was is not repeated."""
    field = WebSettings.model_fields[name]
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"].startswith("url"):
        return "must be an address that begins with http:// or https://"
    if field.annotation is int:
        told = WebSettings.model_json_schema()["properties"][name]
        return f"must be a whole number from {told['minimum']} to {told['maximum']}"
    if words := get_args(field.annotation):
        return f"must be one of {', '.join(str(word) for word in words)}"
    return "has a value that cannot be used"
