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


class BlobDamagedError(StorageError):
    """A stored object fails its own check: flipped, cut, swapped, or the wrong key."""

    code = "blob_damaged"

    def __init__(self) -> None:
        """Say it without naming the object."""
        super().__init__("A stored image failed its integrity check and is not shown.")


class UnsupportedImageError(StorageError):
    """The image is valid, but not something Overread can turn into pixels."""

    code = "unsupported_image"

    def __init__(self, *, found: str, accepted: str) -> None:
        """Say what came in and what would have been accepted, in DICOM's own terms."""
        super().__init__(f"Overread reads {accepted}; this is {found}.")
        self.found = found
        self.accepted = accepted
