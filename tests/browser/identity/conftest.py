"""One provider process and one Overread for the module, both on loopback."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser.conftest import BIN, START_S, Running
from webapp.cli.init import set_up
from webapp.settings import WebSettings

HERE = Path(__file__).parent
OLDEST_NODE = 20
SECRET = "a long secret of a test"
PROVIDERS = """
[providers.hospital]
name = "City Hospital"
issuer = "{issuer}"
client_id = "overread"
client_secret_file = "secret"
role_claim = "roles"
roles = {{overread-readers = "reader", overread-admins = "admin"}}
"""


@pytest.fixture(scope="session")
def node() -> str:
    """Return Node.js with the provider installed beside us, or skip where there is none."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found above
    if int(version.stdout.strip().lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"the provider needs Node.js {OLDEST_NODE} or newer")
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)  # noqa: S603 - as above
        if done.returncode and "CI" not in os.environ:
            pytest.skip("npm cannot install the provider; is there a package registry?")
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def trusting(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a provider and an `overread serve` that trusts it, without a model."""
    folder = tmp_path_factory.mktemp("trusting")
    ours, theirs = _free_port(), _free_port()
    it = Running(f"http://127.0.0.1:{ours}", folder / "data", "resident", "made-up words", 0)
    set_up(WebSettings.from_environment({"OVERREAD_DATA_DIR": str(it.data)}), it.name, it.password)
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    issuer = f"http://127.0.0.1:{theirs}"
    (folder / "providers.toml").write_text(PROVIDERS.format(issuer=issuer))
    (folder / "providers.toml").chmod(0o644)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OVERREAD_")} | {
        "OVERREAD_DATA_DIR": str(it.data),
        "OVERREAD_OIDC_FILE": str(folder / "providers.toml"),
        "OVERREAD_WORKER_URL": "http://127.0.0.1:9",
    }
    provider = [node, str(HERE / "provider.mjs"), str(theirs), it.url, str(folder / "secret")]
    serve = [str(BIN / "overread"), "serve", "--port", str(ours)]
    with (
        _started(provider, f"{issuer}/jwks", dict(os.environ), folder / "provider.log"),
        _started(serve, f"{it.url}/api/v1/health/live", environment, folder / "serve.log"),
    ):
        yield it


@contextmanager
def _started(
    command: list[str], answers: str, environment: dict[str, str], log: Path
) -> Iterator[None]:
    with log.open("wb") as kept:
        process = subprocess.Popen(command, env=environment, stdout=kept, stderr=kept)  # noqa: S603 - our own commands
        try:
            until = time.monotonic() + START_S
            while not _is_up(answers):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
