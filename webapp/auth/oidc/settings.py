"""Which identity providers there are: one TOML file, read at the start, refused whole if unsafe.

Secrets are not in it but in files of their own, so that it can be kept with other configuration.
"""

import hashlib
import ssl
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from storage.vocabulary import Role
from webapp.auth.doorway import is_loopback

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]

SHORTEST_SECRET: Final = 16
FEWEST_CHARACTERS: Final = 6
LARGEST_FILE: Final = 64 * 1024
WILDCARDS: Final = frozenset("*?")
EVERYBODYS: Final = ("default-roles-", "offline_access", "uma_authorization")
"""Roles that Keycloak gives to every account there is."""


class ProvidersRefusedError(Exception):
    """The file of identity providers cannot be used; the message says what to change."""

    code = "providers_refused"


class ProviderSettings(BaseModel):
    """One identity provider, as the operator describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="Its part of our addresses.")
    name: str = Field(min_length=1, max_length=60, description="On the button.")
    issuer: str = Field(max_length=512)
    client_id: str = Field(min_length=1, max_length=256)
    client_secret: SecretStr = Field(exclude=True)
    client_auth: Literal["basic", "post"] = "basic"
    algorithm: Algorithm = "RS256"
    scopes: tuple[str, ...] = ("openid", "profile")
    role_claim: Annotated[tuple[str, ...], Field(min_length=1)] = ("roles",)
    roles: dict[str, Role] = Field(min_length=1)
    name_claim: str = "preferred_username"
    other_origins: tuple[str, ...] = ()
    max_age_minutes: int | None = Field(default=None, ge=1, le=24 * 60)
    sign_out: Literal["everywhere", "here"] = "everywhere"
    ca_file: Path | None = None

    @field_validator("issuer")
    @classmethod
    def _issuer_is_safe(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.query or parts.fragment or "@" in parts.netloc or not value.isprintable():
            raise ValueError("must be the address alone, exactly as the provider writes it")
        _require_https(parts)
        return value

    @field_validator("other_origins")
    @classmethod
    def _origins_are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            parts = urlsplit(value)
            if parts.path or parts.query or parts.fragment or origin_of(value) != value:
                raise ValueError("must be like https://keys.hospital.example, without a path")
            _require_https(parts)
        return values

    @field_validator("scopes")
    @classmethod
    def _asks_for_an_identity(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in values:
            raise ValueError('must contain "openid"; without it nobody is identified')
        return values

    @field_validator("roles")
    @classmethod
    def _roles_name_each_value(cls, values: dict[str, Role]) -> dict[str, Role]:
        for value in values:
            if not value.strip() or WILDCARDS & set(value):
                raise ValueError(
                    "must name each value in full: a wildcard would let everybody of the "
                    "institution in"
                )
            if value.startswith(EVERYBODYS):
                raise ValueError(f'"{value}" is given to every account of the provider')
        return values

    @field_validator("client_secret")
    @classmethod
    def _secret_is_one(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if len(secret) < SHORTEST_SECRET or len(set(secret)) < FEWEST_CHARACTERS:
            raise ValueError(
                f"the secret in client_secret_file is short or a common word; it has at least "
                f"{SHORTEST_SECRET} characters"
            )
        return value

    @field_validator("ca_file")
    @classmethod
    def _certificates_can_be_read(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        path = _beside(info, value)
        try:
            ssl.create_default_context(cafile=path)
        except OSError:  # ssl.SSLError is one
            raise ValueError("cannot be read as certificates in PEM form") from None
        return path

    @property
    def origins(self) -> frozenset[str]:
        """Origins that may be called or that people may be sent to."""
        return frozenset({origin_of(self.issuer), *self.other_origins})

    def role_of(self, claims: dict[str, Any]) -> Role | None:
        """Return the highest role that the claims give; None where they give none.

        Only whole values that stand in the map count. A value is a text or one of a list.
        """
        found: Any = claims
        for step in self.role_claim:
            found = found.get(step) if isinstance(found, dict) else None
        values = found if isinstance(found, list) else [found]
        given = {
            self.roles[each] for each in values if isinstance(each, str) and each in self.roles
        }
        return max(given, key=list(Role).index, default=None)


def read_providers(path: Path | None) -> tuple[ProviderSettings, ...]:
    """Read the file of identity providers; without one there are none.

    Raises:
        ProvidersRefusedError: it cannot be read, or what it says is not safe.
    """
    if path is None:
        return ()
    try:
        content = tomllib.loads(_read(path, "the file", forbidden=0o022).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProvidersRefusedError(f"OVERREAD_OIDC_FILE is not TOML: {error}") from None
    sections = content.pop("providers", None)
    if content or not isinstance(sections, dict) or not sections:
        raise ProvidersRefusedError(
            "OVERREAD_OIDC_FILE holds sections [providers.NAME] and nothing else."
        )
    providers = tuple(_provider(name, fields, path) for name, fields in sections.items())
    names = [provider.name for provider in providers]
    issuers = [(provider.issuer, provider.client_id) for provider in providers]
    if len(set(names)) < len(names) or len(set(issuers)) < len(issuers):
        raise ProvidersRefusedError("Two identity providers have the same name or the same client.")
    return providers


def fingerprint_of(providers: tuple[ProviderSettings, ...]) -> str:
    """Return a hash of everything but the secrets, so that a changed role map shows."""
    plain = "\n".join(provider.model_dump_json() for provider in providers)
    return hashlib.sha256(plain.encode()).hexdigest()


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address as a browser writes them; empty if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, usual} else "")


def _provider(name: str, fields: Any, path: Path) -> ProviderSettings:  # noqa: ANN401 - TOML
    where = f"[providers.{name}] in OVERREAD_OIDC_FILE"
    if not isinstance(fields, dict):
        raise ProvidersRefusedError(f"{where} is not a section.")
    if "client_secret" in fields:
        raise ProvidersRefusedError(
            f"{where} holds the secret itself. Put it into a file of its own, mode 0600, and name "
            "that in client_secret_file."
        )
    secret_file = fields.pop("client_secret_file", None)
    if not isinstance(secret_file, str):
        raise ProvidersRefusedError(f"{where} needs client_secret_file, the path of a file.")
    if isinstance(fields.get("role_claim"), str):
        fields["role_claim"] = [fields["role_claim"]]
    secret = _read(path.parent / secret_file, f"client_secret_file of {where}", forbidden=0o027)
    given = fields | {"id": name, "client_secret": secret.decode(errors="replace").strip()}
    try:
        return ProviderSettings.model_validate(given, context={"folder": path.parent})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'][:1])}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in problems
        )
        raise ProvidersRefusedError(f"{where}: {told}") from None


def _read(path: Path, what: str, *, forbidden: int) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ProvidersRefusedError(f"{path}, {what}, cannot be read: {error.strerror}.") from None
    if mode & forbidden:
        safe = mode & ~forbidden
        verb = "change" if forbidden == 0o022 else "read or change"
        raise ProvidersRefusedError(
            f"Other accounts may {verb} {path}, {what}; set its mode to {safe:04o}."
        )
    if len(content) > LARGEST_FILE:
        raise ProvidersRefusedError(f"{path}, {what}, is larger than {LARGEST_FILE // 1024} KiB.")
    return content


def _require_https(parts: SplitResult) -> None:
    """Refuse anything but https; http is for trying a provider on this very machine."""
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise ValueError("must begin with https: whoever is in between could sign in as anybody")


def _beside(info: ValidationInfo, path: Path) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / path
