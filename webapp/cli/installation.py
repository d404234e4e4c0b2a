"""Whether there is an installation, and whether one that was there has lost its database.

A new database beside the keys, objects or audit heads of an old one would look like a fresh start
and hide what was lost. So only a folder without any of them gets one.
"""

from storage.engine import is_there
from storage.errors import DatabaseMissingError
from webapp.settings import WebSettings


def was_used(settings: WebSettings) -> bool:
    """Tell whether there is anything that only an installation leaves beside its database."""
    kept = settings.key_file, settings.audit_heads_file
    return any(path.exists() for path in kept) or has_objects(settings)


def has_objects(settings: WebSettings) -> bool:
    """Tell whether anything was ever stored."""
    return next(settings.blob_dir.glob("??/??/*"), None) is not None


def require_database(settings: WebSettings) -> None:
    """Refuse to go on beside the rest of an installation whose database is gone.

    Raises:
        DatabaseMissingError: it is.
        StorageError: it cannot be looked at.
    """
    if was_used(settings) and not is_there(settings.database):
        raise DatabaseMissingError
