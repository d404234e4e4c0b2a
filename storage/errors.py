"""Everything storage refuses to keep or hand out, as exception classes.

The web layer shows `str(error)` to clinicians and logs `error.code`: neither may carry
image content, report text or a value from a DICOM header.
"""


class StorageError(Exception):
    """Base of every refusal raised by this package; `code` is stable across releases."""

    code = "storage_error"


class NotFoundError(StorageError):
    """No such object, or none that the person asking may know of."""

    code = "not_found"

    def __init__(self, thing: str) -> None:
        """Name the kind of thing, never its id."""
        super().__init__(f"There is no such {thing}, or it is not yours to open.")


class StaleRevisionError(StorageError):
    """The caller decided on an older revision than the newest one."""

    code = "stale_revision"

    def __init__(self, *, newest: int) -> None:
        """Say which revision is the newest now."""
        super().__init__(
            f"Someone saved revision {newest} of this review meanwhile, perhaps you in another "
            "window. Reload to see it; your text is kept."
        )
        self.newest = newest


class IdempotencyConflictError(StorageError):
    """The same idempotency key came back with another content."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        """Say what the client must do."""
        super().__init__("This request key was already used for something else; use a new key.")


class AlreadyCommittedError(StorageError):
    """An own read exists and is never replaced."""

    code = "own_read_committed"

    def __init__(self) -> None:
        """Say that the first read stands."""
        super().__init__("Your own read of this case is already committed and cannot be changed.")


class StorageFullError(StorageError):
    """The disk or the database has no room left."""

    code = "storage_full"

    def __init__(self) -> None:
        """Say that nothing was half saved."""
        super().__init__(
            "There is no space left to save this. Nothing was changed; ask your administrator "
            "to free space, then try again."
        )


class StoreBusyError(StorageError):
    """The database cannot take the change now: locked, read-only, or not reachable."""

    code = "store_busy"

    def __init__(self) -> None:
        """Say that nothing was half saved."""
        super().__init__(
            "The database cannot take this right now. Nothing was changed; try again in a "
            "moment, and tell your administrator if it stays so."
        )


class TooMuchUnnamedError(StorageError):
    """More objects have no row than a killed process could have left."""

    code = "too_much_unnamed"

    def __init__(self, unnamed: int, everything: int) -> None:
        """Say what may have happened."""
        super().__init__(
            f"{unnamed:,} of {everything:,} stored objects have no row, so nothing was removed: "
            "the database may be an older one than the objects belong to."
        )


class StoreVersionError(StorageError):
    """The database was written by a newer release than this one."""

    code = "store_version"

    def __init__(self) -> None:
        """Say what the operator must do."""
        super().__init__(
            "These data were written by a newer version of Overread. Install that version again; "
            "nothing was changed."
        )


class DatabaseMissingError(StorageError):
    """The keys or the objects of an installation are there, and its database is not."""

    code = "database_missing"

    def __init__(self) -> None:
        """Say what the operator can do; a new database beside old objects would not help."""
        super().__init__(
            "The database of this installation is missing or empty, though keys, objects or audit "
            "heads are there. Restore a backup with `overread restore DIR --replace`; or, to begin "
            "anew, move the data folder away first. Nothing was changed."
        )


class DatabaseDamagedError(StorageError):
    """The database's file is none any more, or parts of it are not what was written."""

    code = "database_damaged"

    def __init__(self) -> None:
        """Say what the operator can do."""
        super().__init__(
            "The database is damaged and cannot be read. Stop Overread and restore a backup with "
            "`overread restore DIR --replace`, which moves the damaged file aside."
        )


class KeyFileError(StorageError):
    """The key file is missing, unreadable, open to others, or already there."""

    code = "key_file"

    def __init__(self, reason: str) -> None:
        """Take a whole sentence; it never holds the key or a path."""
        super().__init__(reason)


class KeysBusyError(StorageError):
    """The keys are being replaced, or a backup runs that needs them to stay."""

    code = "keys_busy"

    def __init__(self) -> None:
        """Ask to wait."""
        super().__init__(
            "A rotation of keys or a backup is running. Nothing was changed; try again when it "
            "has ended."
        )


class BackupError(StorageError):
    """A backup cannot be made, or is not what was backed up."""

    code = "backup_refused"

    def __init__(self, reason: str) -> None:
        """Take a whole sentence for the operator; it never holds a key or a stored text."""
        super().__init__(reason)


class BlobDamagedError(StorageError):
    """A stored object fails its own check: flipped, cut, swapped, or the wrong key."""

    code = "blob_damaged"

    def __init__(self) -> None:
        """Say it without naming the object."""
        super().__init__("A stored image failed its integrity check and is not shown.")


class BlobMissingError(BlobDamagedError):
    """A stored object's file is gone."""

    code = "blob_missing"

    def __init__(self) -> None:
        """Say it without naming the object."""
        StorageError.__init__(self, "A stored image is missing and cannot be shown.")


class UnsupportedImageError(StorageError):
    """The image is valid, but not something Overread can turn into pixels."""

    code = "unsupported_image"

    def __init__(self, *, found: str, accepted: str) -> None:
        """Say what came in and what would have been accepted, in DICOM's own terms."""
        super().__init__(f"Overread reads {accepted}; this is {found}.")
        self.found = found
        self.accepted = accepted


class ExportFolderError(StorageError):
    """The folder for an export holds something that is not an earlier export of its kind."""

    code = "export_folder"

    def __init__(self) -> None:
        """Ask for another folder."""
        super().__init__(
            "The folder for the export holds other files, or an export of another format. "
            "Choose an empty or a new folder."
        )


class HeadsDamagedError(StorageError):
    """The file that keeps the heads of the audit chain is not as it was written."""

    code = "audit_heads_damaged"

    def __init__(self, *, line: int) -> None:
        """Say which line is the first that does not fit."""
        super().__init__(
            f"Line {line} of the file with the heads of the audit trail was changed, or a line "
            "before it is missing. Compare it with your copy."
        )
        self.line = line
