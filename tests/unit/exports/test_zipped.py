"""An export as one zip."""

import hashlib
import io
import zipfile

from storage.exports.zipped import zipped

CONTENT = {"a": b"{}\n", "b": bytes(range(256)) * 1000}
FILES = {"train.jsonl": "a", "images/x.png": "b"}


def test_a_zip_holds_every_file_and_is_always_the_same() -> None:
    whole = b"".join(zipped(FILES, CONTENT.__getitem__))

    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path: CONTENT[address] for path, address in FILES.items()
        }
    again = b"".join(zipped(dict(reversed(FILES.items())), CONTENT.__getitem__))
    assert hashlib.sha256(whole).digest() == hashlib.sha256(again).digest()


def test_a_zip_is_sent_while_it_is_made() -> None:
    fetched: list[str] = []

    def content_of(address: str) -> bytes:
        fetched.append(address)
        return CONTENT[address]

    pieces = zipped(FILES, content_of)

    assert CONTENT["b"] in next(pieces)
    assert fetched == ["b"]
