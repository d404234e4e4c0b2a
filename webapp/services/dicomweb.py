"""Ask a DICOMweb archive: search (QIDO-RS) and retrieve (WADO-RS), PS3.18 chapter 10.

Small on purpose. An answer is never parsed as DICOM here: files go to disk as they come and are
opened behind the study door only. Credentials are sent to the archive's own origin and nowhere
else, so a redirect elsewhere ends the exchange. Nothing of a search is logged: it names people.
"""

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from webapp.services.errors import ServiceError
from webapp.services.parts import Parts, PartsError

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
SOP_CLASS, MODALITY = "00080016", "00080060"
_JSON: Final = "application/dicom+json"
_FILES: Final = 'multipart/related; type="application/dicom"'
_AS_STORED: Final = f"{_FILES}; transfer-syntax=*"
_MOST_JSON_BYTES: Final = 64 * 1024 * 1024
_PAGE: Final = 1_000  # answers asked for at once
_REDIRECTS: Final = 5
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)  # seconds without a byte
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Item = dict[str, Any]


class ArchiveError(ServiceError):
    """The archive cannot be asked, or does not answer as DICOMweb says."""

    code = "archive_failed"


class ArchiveRefusedError(ArchiveError):
    """The archive wants another sign-in."""

    code = "archive_refused"


class ArchiveRedirectError(ArchiveError):
    """The archive sends its callers elsewhere."""

    code = "archive_redirected"


class ArchiveTooLargeError(ArchiveError):
    """The archive answers with more, or takes longer, than allowed."""

    code = "archive_too_large"


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to sign in: the value of the `Authorization` header, or nothing."""

    authorization: SecretStr = field(default=SecretStr(""))

    @classmethod
    def bearer(cls, token: str) -> Self:
        """Use a token."""
        return cls(SecretStr(f"Bearer {token}"))

    @classmethod
    def basic(cls, name_and_password: str) -> Self:
        """Use `name:password`."""
        encoded = b64encode(name_and_password.encode()).decode()
        return cls(SecretStr(f"Basic {encoded}"))


@dataclass(frozen=True, slots=True)
class Archive:
    """One DICOMweb service; close it with the client it was given."""

    client: httpx.Client
    base: str

    def studies(self, criteria: Mapping[str, str], most: int) -> list[str]:
        """Return the StudyInstanceUIDs that fit, at most `most` and one more.

        Raises:
            ArchiveError: or one of its kinds.
        """
        found = dict.fromkeys(
            uid for item in self._all("studies", criteria, most + 1) if (uid := text(item, STUDY))
        )
        return list(found)[: most + 1]

    def instances(self, study: str, most: int) -> list[Item]:
        """Return what the archive says of each instance of a study.

        Raises:
            ArchiveError: or one of its kinds.
        """
        wanted = {"includefield": [SOP_CLASS, MODALITY, SERIES]}
        path = f"studies/{quote(study, safe='')}/instances"
        items = list(self._all(path, wanted, most + 1))
        if len(items) > most:
            raise ArchiveTooLargeError(f"A study holds more than {most:,} images.")
        return items

    def retrieve(
        self, study: str, series: str, parts: Parts, until: float, told: Callable[[], None]
    ) -> None:
        """Write the files of a series, in the transfer syntax they are stored in.

        Args:
            study: Its StudyInstanceUID.
            series: Its SeriesInstanceUID.
            parts: Takes the files.
            until: Reading of `time.monotonic` by which it must be done.
            told: Called as bytes come in.

        Raises:
            ArchiveError: or one of its kinds.
            storage.errors.StorageFullError: the disk has no room.
        """
        path = f"studies/{quote(study, safe='')}/series/{quote(series, safe='')}"
        for accept in (_AS_STORED, _FILES):  # some servers do not know the wildcard
            with self._answer(path, {}, accept) as answer:
                if answer.status_code in (400, 406, 415) and accept is _AS_STORED:
                    continue
                _check(answer)
                try:
                    parts.begin(answer.headers.get("content-type", ""))
                    for chunk in answer.iter_bytes():
                        parts.write(chunk)
                        told()
                        if time.monotonic() > until:
                            raise ArchiveTooLargeError("The archive takes too long for a study.")
                    parts.finish()
                except PartsError as refusal:
                    raise ArchiveError(f"The archive's answer cannot be used: {refusal}") from None
                finally:
                    parts.close()
                return

    def _all(self, path: str, criteria: Mapping[str, str | list[str]], most: int) -> Iterator[Item]:
        """Yield the answers to a search, page by page."""
        offset = 0
        while offset < most:
            limit = min(_PAGE, most - offset)
            page = self._search(path, {**criteria, "limit": str(limit), "offset": str(offset)})
            yield from page[:limit]
            if len(page) != limit:  # fewer: the end; more: the server knows no pages
                return
            offset += limit

    def _search(self, path: str, query: Mapping[str, str | list[str]]) -> list[Item]:
        with self._answer(path, query, _JSON) as answer:
            if answer.status_code == 204:
                return []
            _check(answer)
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > _MOST_JSON_BYTES:
                    raise ArchiveTooLargeError("The archive's answer to the search is too long.")
        try:
            items = json.loads(body or b"[]")
        except (ValueError, RecursionError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ArchiveError("The archive does not answer a search as DICOMweb says.")
        return items

    @contextmanager
    def _answer(
        self, path: str, query: Mapping[str, str | list[str]], accept: str
    ) -> Iterator[httpx.Response]:
        """Yield an answer whose body is still to be read; follow redirects of the same origin."""
        url = httpx.URL(f"{self.base}/{path}", params=query)
        origin = url.scheme, url.host, url.port
        for _ in range(_REDIRECTS):
            try:
                with self.client.stream("GET", url, headers={"accept": accept}) as answer:
                    if not answer.has_redirect_location:
                        yield answer
                        return
                    url = url.join(answer.headers["location"])
            except (httpx.HTTPError, httpx.InvalidURL):
                raise ArchiveError(
                    "The archive cannot be reached, or the connection broke. Check its address, "
                    "its certificate and the network, then run the same command again."
                ) from None
            if (url.scheme, url.host, url.port) != origin:
                raise ArchiveRedirectError(
                    "The archive sends its callers to another address; give that one instead."
                )
        raise ArchiveRedirectError("The archive sends its callers in circles.")


@contextmanager
def opened(
    base: str, credentials: Credentials, *, ca: str | None = None, plain: bool = False
) -> Iterator[Archive]:
    """Yield an archive to ask.

    Args:
        base: Where its DICOMweb service is.
        credentials: How to sign in.
        ca: File of certificates to trust beside the system's own.
        plain: Allow an address without TLS that is not on this machine.

    Raises:
        ArchiveError: the address cannot be used.
    """
    try:
        url = httpx.URL(base.rstrip("/"))
    except httpx.InvalidURL:
        raise ArchiveError("The address is none.") from None
    local = url.host in LOOPBACK
    if url.scheme not in ("https", "http") or not url.host or url.query or url.fragment:
        raise ArchiveError("The address of a DICOMweb service begins with https:// or http://.")
    if url.userinfo:
        raise ArchiveError("Give name and password in a file or the environment, not the address.")
    if url.scheme == "http" and not (local or plain):
        raise ArchiveError(
            "Images and the sign-in would cross the network unencrypted. Use an https address, or "
            "--plain-http where that is meant."
        )
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError):
            raise ArchiveError("The file of certificates cannot be read.") from None
    value = credentials.authorization.get_secret_value()
    client = httpx.Client(
        headers={"authorization": value} if value else {},
        verify=context,
        timeout=_TIMEOUT,
        follow_redirects=False,
        trust_env=False,
    )
    with client:
        yield Archive(client, str(url))


def text(item: Item, tag: str) -> str:
    """Return the first value of an attribute in the DICOM JSON model (PS3.18 F.2), or nothing."""
    attribute = item.get(tag)
    values: Sequence[object] = attribute.get("Value", []) if isinstance(attribute, dict) else []
    first = values[0] if isinstance(values, list) and values else ""
    return first.strip(" \0") if isinstance(first, str) else ""


def _check(answer: httpx.Response) -> None:
    """Refuse anything but a good answer."""
    if answer.status_code in (401, 403):
        raise ArchiveRefusedError("The archive does not accept this sign-in.")
    if answer.status_code != 200:
        raise ArchiveError(f"The archive answers with status {answer.status_code}.")
