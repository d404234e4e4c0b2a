"""Memory of the web process: `python -m tests.bench.bench_web`.

The floor is a process that has only imported the libraries the web side stands on.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

OVERREAD = Path(sys.executable).with_name("overread")
LIBRARIES = "import gradio, fastapi, sqlmodel, alembic, pydicom, PIL, authlib, time; time.sleep(60)"
LIMIT_MB = 700
START_S = 60


def resident_mb(process: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Start the web side without a worker, open its first page, and print what it takes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "OVERREAD_DATA_DIR": f"{folder}/data",
            "OVERREAD_WORKER_URL": "http://127.0.0.1:9",
        }
        subprocess.run([OVERREAD, "init"], env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        serving = [str(OVERREAD), "serve", "--port", str(port)]
        web = subprocess.Popen(serving, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        floor = subprocess.Popen([sys.executable, "-c", LIBRARIES])  # noqa: S603 - our own command
        try:
            _wait(f"http://127.0.0.1:{port}/login")
            ours, libraries = resident_mb(web.pid), resident_mb(floor.pid)
        finally:
            floor.kill()
            web.terminate()
            floor.wait()
            web.wait(timeout=30)
    sys.stdout.write(
        f"web process {ours:.0f} MB resident, its libraries alone {libraries:.0f} MB "
        f"(ratio {ours / libraries:.2f}; limit {LIMIT_MB} MB)\n"
    )


def _wait(url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - loopback
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(url)


if __name__ == "__main__":
    main()
