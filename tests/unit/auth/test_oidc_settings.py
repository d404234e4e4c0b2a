"""The file of identity providers: what it may say, and what is refused with what to do."""

import re
import textwrap
from pathlib import Path

import pytest

from storage.vocabulary import Role
from tests.unit.auth.provider_file import PROVIDER, SECRET, write_provider
from webapp.auth.oidc.settings import (
    ProviderSettings,
    ProvidersRefusedError,
    fingerprint_of,
    origin_of,
    read_providers,
)

SECTION = "[providers.hospital]\n"


def with_line(line: str) -> tuple[str, str]:
    """Return a change that adds a line to the section."""
    return SECTION, f"{SECTION}{line}\n"


def test_without_a_file_there_are_none() -> None:
    assert read_providers(None) == ()


def test_a_provider_has_careful_defaults(tmp_path: Path) -> None:
    (provider,) = read_providers(write_provider(tmp_path))

    assert (provider.id, provider.algorithm, provider.client_auth) == ("hospital", "RS256", "basic")
    assert (provider.role_claim, provider.roles) == (("roles",), {"readers": Role.READER})
    assert provider.origins == {"https://login.hospital.example"}
    assert provider.client_secret.get_secret_value() == SECRET
    assert SECRET not in repr(provider) + provider.model_dump_json()


def test_a_changed_map_shows_in_the_fingerprint_and_a_changed_secret_does_not(
    tmp_path: Path,
) -> None:
    path = write_provider(tmp_path)
    before = fingerprint_of(read_providers(path))
    (tmp_path / "secret").write_text("another long random secret")
    assert fingerprint_of(read_providers(path)) == before
    path.write_text(PROVIDER.replace('"reader"', '"admin"'))
    assert fingerprint_of(read_providers(path)) != before


UNSAFE = {
    "http": (
        ("https://login", "http://login"),
        "issuer: must begin with https: whoever is in between could sign in as anybody",
    ),
    "a wildcard": (("readers =", '"*" ='), "roles: must name each value in full"),
    "a pattern": (("readers =", '"radiology-*" ='), "roles: must name each value in full"),
    "an empty value": (("readers =", '"" ='), "roles: must name each value in full"),
    "a role of everybody": (("readers =", '"default-roles-staff" ='), "given to every account"),
    "no roles": (('{readers = "reader"}', "{}"), "roles"),
    "an invented role": (('"reader"', '"chief"'), "roles"),
    "the secret in the file": (("client_secret_file", "client_secret"), "holds the secret itself"),
    "no secret": (('client_secret_file = "secret"', ""), "needs client_secret_file"),
    "no algorithm at all": (with_line('algorithm = "none"'), "algorithm"),
    "a shared key": (with_line('algorithm = "HS256"'), "algorithm"),
    "a misspelt name": (("client_id", "clientid"), "clientid"),
    "a query in the issuer": (("hospital.example", "hospital.example?x=1"), "the address alone"),
    "a person in the issuer": (("login.", "a:b@login."), "the address alone"),
    "no address as issuer": (("https://login.hospital.example", "hospital"), "begin with https"),
    "an id that leads elsewhere": (("providers.hospital", 'providers."../x"'), "id: "),
    "an id in capitals": (("providers.hospital", "providers.Hospital"), "id: "),
    "no identity asked for": (with_line('scopes = ["profile"]'), "nobody is identified"),
    "an origin with a path": (
        with_line('other_origins = ["https://a.example/x"]'),
        "without a path",
    ),
    "an origin in clear": (with_line('other_origins = ["http://a.example"]'), "begin with https"),
    "certificates that are none": (
        with_line('ca_file = "secret"'),
        "cannot be read as certificates",
    ),
    "certificates that are not there": (with_line('ca_file = "gone"'), "cannot be read as"),
    "no TOML": (("[providers", "providers"), "is not TOML"),
    "no section": ((PROVIDER, "providers = 3"), "sections [providers.NAME] and nothing else"),
    "nothing": ((PROVIDER, ""), "sections [providers.NAME] and nothing else"),
    "something else": ((SECTION, f"debug = true\n{SECTION}"), "and nothing else"),
    "no section under a name": ((PROVIDER, "[providers]\nhospital = 3"), "is not a section"),
    "the same provider twice": (
        (PROVIDER, PROVIDER + PROVIDER.replace("hospital]", "other]")),
        "same name or the same client",
    ),
    "a file without an end": ((PROVIDER, "#" * 70_000), "is larger than 64 KiB"),
}


@pytest.mark.parametrize(("change", "told"), [pytest.param(*v, id=k) for k, v in UNSAFE.items()])
def test_what_is_not_safe_is_refused(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert change[0] in PROVIDER
    path = write_provider(tmp_path, PROVIDER.replace(*change))

    with pytest.raises(ProvidersRefusedError) as refusal:
        read_providers(path)

    assert told in str(refusal.value)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "mode", "told"),
    [
        pytest.param("secret", 0o644, "set its mode to 0640", id="a secret everybody reads"),
        pytest.param("secret", 0o660, "set its mode to 0640", id="a secret a group may change"),
        pytest.param("providers.toml", 0o666, "set its mode to 0644", id="roles all may change"),
    ],
)
def test_files_others_may_read_or_change_are_refused(
    tmp_path: Path, name: str, mode: int, told: str
) -> None:
    path = write_provider(tmp_path)
    (tmp_path / name).chmod(mode)

    with pytest.raises(ProvidersRefusedError, match=told):
        read_providers(path)


@pytest.mark.parametrize(
    "secret", ["", "changeme", "a" * 40], ids=["none", "a common word", "one letter"]
)
def test_a_guessable_client_secret_is_refused(tmp_path: Path, secret: str) -> None:
    path = write_provider(tmp_path)
    (tmp_path / "secret").write_text(secret)

    with pytest.raises(ProvidersRefusedError, match="short or a common word"):
        read_providers(path)


@pytest.mark.parametrize("name", ["secret", "providers.toml"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = write_provider(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(ProvidersRefusedError, match=f"{name}.*cannot be read: No such file"):
        read_providers(path)


def test_http_is_for_a_provider_on_this_machine(tmp_path: Path) -> None:
    text = PROVIDER.replace("https://login.hospital.example", "http://127.0.0.1:9/realm")

    (provider,) = read_providers(write_provider(tmp_path, text))

    assert provider.origins == {"http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example/x?y", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("https://a.example:8443/", "https://a.example:8443"),
        ("http://[::1]:80/", "http://[::1]"),
        ("https://a.example@evil.example/", "https://evil.example"),
        ("https://a.example:99999/", ""),
        ("javascript:alert(1)", ""),
        ("//a.example", ""),
        ("", ""),
    ],
)
def test_an_origin_is_what_a_browser_takes_for_one(url: str, origin: str) -> None:
    assert origin_of(url) == origin


DOCUMENT = Path(__file__).parents[3] / "docs" / "sign-in.md"


def test_the_document_names_every_setting_and_its_examples_work(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    examples = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)

    named = set(ProviderSettings.model_fields) - {"id", "client_secret"} | {"client_secret_file"}
    assert rows >= named
    assert len(examples) == 2
    for example in examples:
        plain = textwrap.dedent("   " + example.lstrip()).replace(".secret", "secret")
        plain = re.sub(r'client_secret_file = "\w+"', 'client_secret_file = "secret"', plain)
        assert read_providers(write_provider(tmp_path, plain))
