"""What stands between the key file and whoever holds a copy of it.

Without a seal the file's mode is all. A sealed file opens only with a secret that is not on
this disk: from the environment, or through a command that asks a key service. The command
never sees our keys: it wraps one random key of 32 bytes, which encrypts them.
"""

import base64
import binascii
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import KeyFileError

KEY_BYTES: Final = 32
COMMAND_SECONDS: Final = 30
LONGEST_WRAPPED: Final = 1 << 16  # characters; a key service's answer is a few hundred
OURS: Final = "OVERREAD_"  # the command gets none of our settings, some of which are secrets

_NONCE_BYTES: Final = 12


class Seal(Protocol):
    """Encrypts the content of the key file; the result is written into it as JSON."""

    @property
    def name(self) -> str:
        """How the key file names the way it is sealed."""

    def close(self, content: bytes) -> dict[str, str]:
        """Return `content`, sealed."""

    def open(self, sealed: Mapping[str, str]) -> bytes:
        """Return what was sealed.

        Raises:
            KeyFileError: with another secret, or changed since.
        """


@dataclass(frozen=True, slots=True)
class EnvironmentSeal:
    """Encrypts under a key that the operator hands to each process."""

    key: bytes = field(repr=False)
    name: str = "environment"

    @classmethod
    def of(cls, text: str) -> Self:
        """Read the key from base64.

        Raises:
            KeyFileError: it is not 32 bytes.
        """
        return cls(_key(text, "OVERREAD_KEY must be 32 random bytes in base64."))

    def close(self, content: bytes) -> dict[str, str]:
        """Return `content`, sealed."""
        return _encrypted(self.key, content, self.name)

    def open(self, sealed: Mapping[str, str]) -> bytes:
        """Return what was sealed."""
        return _decrypted(self.key, sealed, self.name)


@dataclass(frozen=True, slots=True)
class CommandSeal:
    """Encrypts under a random key that a command wraps and unwraps; see docs/operations.md."""

    program: tuple[str, ...]
    seconds: float = COMMAND_SECONDS
    name: str = "command"

    @classmethod
    def of(cls, text: str) -> Self:
        """Split a command line as a shell would; no shell runs it.

        Raises:
            KeyFileError: it does not begin with an absolute path.
        """
        try:
            program = tuple(shlex.split(text))
        except ValueError:
            program = ()
        if not program or not Path(program[0]).is_absolute():
            raise KeyFileError("OVERREAD_KEY_COMMAND must begin with an absolute path.")
        return cls(program)

    def close(self, content: bytes) -> dict[str, str]:
        """Return `content`, sealed under a key that only the command can recover."""
        key = secrets.token_bytes(KEY_BYTES)
        wrapped = self._run("wrap", base64.b64encode(key).decode())
        if self._unwrapped(wrapped) != key:  # before anything depends on it
            raise KeyFileError("The key command does not give back what it wrapped.")
        return {"wrapped": wrapped} | _encrypted(key, content, self.name)

    def open(self, sealed: Mapping[str, str]) -> bytes:
        """Return what was sealed."""
        return _decrypted(self._unwrapped(sealed["wrapped"]), sealed, self.name)

    def _unwrapped(self, wrapped: str) -> bytes:
        answer = self._run("unwrap", wrapped)
        return _key(answer, "The key command's answer is not a key of 32 bytes in base64.")

    def _run(self, verb: str, text: str) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(OURS)
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, no shell
                [*self.program, verb],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # it may say what nobody should log
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise KeyFileError(f"The key command cannot be run: {error.strerror}.") from None
        with process:
            try:
                out, _ = process.communicate(text.encode() + b"\n", self.seconds)
            except subprocess.TimeoutExpired:
                raise KeyFileError(
                    f"The key command did not answer within {self.seconds:.0f} seconds."
                ) from None
            finally:  # with all it started, which could hold its output open
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise KeyFileError(f"The key command failed with exit code {process.returncode}.")
        answer = out.decode("ascii", errors="replace").strip()
        if not 0 < len(answer) <= LONGEST_WRAPPED:
            raise KeyFileError("The key command gave no answer, or one far too long.")
        return answer


def _key(text: str, otherwise: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        raise KeyFileError(otherwise) from None
    if len(key) != KEY_BYTES:
        raise KeyFileError(otherwise)
    return key


def _encrypted(key: bytes, content: bytes, name: str) -> dict[str, str]:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, content, _bound(name))
    return {"sealed": base64.b64encode(sealed).decode()}


def _decrypted(key: bytes, sealed: Mapping[str, str], name: str) -> bytes:
    raw = base64.b64decode(sealed["sealed"], validate=True)
    try:
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(name))
    except (InvalidTag, ValueError):
        raise KeyFileError(
            "The key file does not open with this secret: it is another one, or the file was "
            "changed."
        ) from None


def _bound(name: str) -> bytes:
    return b"overread/2/key-file/" + name.encode()
