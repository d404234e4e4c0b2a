"""What the decoding child loads: it must start fast and have little to be attacked through."""

import subprocess
import sys
from pathlib import Path

PROGRAM = (
    "import sys; import storage.intake.child; "
    "print(*sorted({name.split('.')[0] for name in sys.modules}))"
)


def test_a_child_loads_neither_database_nor_web_nor_crypto_nor_model() -> None:
    repository = Path(__file__).parents[3]
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, cwd=repository
    )
    loaded = set(ran.stdout.decode().split())
    assert {"pydicom", "numpy", "PIL", "storage"} <= loaded
    unwanted = {"sqlmodel", "sqlalchemy", "pydantic", "gradio", "fastapi", "cryptography", "torch",
                "httpx", "webapp", "inference"}  # fmt: skip
    assert not loaded & unwanted
