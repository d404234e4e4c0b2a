"""A file of one identity provider as the settings name it, with its secret beside it."""

from pathlib import Path
from typing import Final

SECRET: Final = "a-long-random-secret"
PROVIDER: Final = """
[providers.hospital]
name = "City Hospital"
issuer = "https://login.hospital.example"
client_id = "overread"
client_secret_file = "secret"
roles = {readers = "reader"}
"""


def write_provider(folder: Path, text: str = PROVIDER) -> Path:
    """Write both files with safe modes and return the first one's path."""
    (folder / "secret").write_text(SECRET + "\n")
    (folder / "secret").chmod(0o600)
    path = folder / "providers.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path
