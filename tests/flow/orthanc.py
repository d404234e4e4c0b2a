"""A real archive for tests: Debian's Orthanc with its DICOMweb plugin, on loopback, unprivileged.

Without TLS, since Debian's build crashes on the first handshake; `tests/unit/services` has that.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SIGN_IN: Final = ("archive", "a password for a test")
START_SECONDS: Final = 30


def is_installed() -> bool:
    return shutil.which("Orthanc") is not None and PLUGIN.exists()


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running archive."""

    url: str

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=SIGN_IN, trust_env=False)

    def hold(self, *files: bytes) -> None:
        """Put files in."""
        with self.client() as client:
            for data in files:
                client.post("/instances", content=data).raise_for_status()

    def send(self, base: str, headers: dict[str, str]) -> httpx.Response:
        """Let the archive send everything it holds to a DICOMweb service (STOW-RS)."""
        with self.client() as client:
            server = {"Url": base, "HttpHeaders": headers}
            client.put("/dicom-web/servers/there", json=server).raise_for_status()
            order = {"Resources": client.get("/studies").json(), "Synchronous": True}
            return client.post("/dicom-web/servers/there/stow", json=order)

    def empty(self) -> None:
        """Throw everything out."""
        with self.client() as client:
            for study in client.get("/studies").json():
                client.delete(f"/studies/{study}").raise_for_status()


@contextmanager
def running_orthanc() -> Iterator[Orthanc]:
    """Start an archive in a temporary folder; stop and remove it at exit.

    Raises:
        RuntimeError: it does not answer within 30 seconds.
    """
    with tempfile.TemporaryDirectory(prefix="overread-orthanc-") as name:
        folder = Path(name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {
            "StorageDirectory": name, "IndexDirectory": name, "HttpPort": port,
            "RemoteAccessAllowed": False, "DicomServerEnabled": False,
            "AuthenticationEnabled": True, "RegisteredUsers": dict([SIGN_IN]),
            "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        as_nobody: list[str] = []
        if os.geteuid() == 0:
            as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            shutil.chown(folder, "nobody", "nogroup")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the system's own program
                [*as_nobody, "Orthanc", str(folder / "settings.json")], stdout=log, stderr=log
            )
        try:
            orthanc = Orthanc(f"http://127.0.0.1:{port}")
            _wait(orthanc, process)
            yield orthanc
        finally:
            process.kill()  # its own way of ending takes two seconds
            process.wait()


def _wait(orthanc: Orthanc, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the archive answers."""
    until = time.monotonic() + START_SECONDS
    with orthanc.client() as client:
        while time.monotonic() < until and process.poll() is None:
            try:
                client.get("/system").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError("Orthanc does not answer")
