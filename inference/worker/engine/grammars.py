"""Grammars of JSON schemas: compiled once, off the engine's thread, and kept."""

import hashlib
import subprocess
import sys
from collections import OrderedDict
from threading import Lock

from inference.errors import RequestRefusedError, WorkerBusyError
from inference.families.base import LoadedModel
from inference.worker.engine.grammar import Grammar, Path, Tokens
from inference.worker.engine.schema import as_regex

MAX_KEPT = 32
MAX_WAITING = 3  # threads that compile or wait for it; one more is told to come back
PATIENCE = 20.0  # seconds; the child's own limit counts processor time, this one a busy machine
TOO_COMPLEX = "The schema allows too many different answers to be prepared in time."


class Grammars:
    """What one model needs to keep to schemas. Safe to ask from any thread."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._tokens: Tokens | None = None
        self._kept: OrderedDict[str, Grammar | str] = OrderedDict()  # a text is a refusal
        self._lock = Lock()
        self._compiling = Lock()
        self.waiting = 0  # threads that compile or wait for it

    def begin(self, schema: str) -> Path:
        """Return the beginning of an answer that the schema describes.

        Schemas are compiled one at a time.

        Raises:
            RequestRefusedError: the schema cannot be kept to, or takes too much to compile.
            WorkerBusyError: several others are being compiled.
        """
        with self._lock:
            if self._tokens is None:
                self._tokens = Tokens(self._model.token_bytes(), self._model.eos_token_ids)
        if not self._tokens.usable:
            raise RequestRefusedError("This model's answers cannot be held to a schema.")
        return Path(self._grammar(schema), self._tokens)

    def _grammar(self, schema: str) -> Grammar:
        key = sha256_of(schema)
        found = self._find(key)
        if found is None:
            found = self._compiled(key, schema)
        if isinstance(found, str):
            raise RequestRefusedError(found)
        return found

    def _find(self, key: str) -> Grammar | str | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _compiled(self, key: str, schema: str) -> Grammar | str:
        with self._lock:
            if self.waiting >= MAX_WAITING:
                raise WorkerBusyError
            self.waiting += 1
        try:
            with self._compiling:
                found = self._find(key)  # the one before may have been the same
                if found is None:
                    found = _compile(schema)
                    self._keep(key, found)
                return found
        finally:
            with self._lock:
                self.waiting -= 1

    def _keep(self, key: str, found: Grammar | str) -> None:
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)


def sha256_of(schema: str) -> str:
    """Return the hash by which a schema is found again and told in a draft's record."""
    return hashlib.sha256(schema.encode(errors="surrogatepass")).hexdigest()


def _compile(schema: str) -> Grammar | str:
    try:
        regex = as_regex(schema)
    except RequestRefusedError as error:
        return str(error)
    try:
        child = subprocess.run(
            [sys.executable, "-m", "inference.worker.engine.automaton"],
            input=regex.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return TOO_COMPLEX
    return Grammar.from_bytes(child.stdout) if child.returncode == 0 else TOO_COMPLEX
