"""How much one upload may ask of us, in one place."""

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings on files, images and the child that decodes them; the defaults are meant.

    Attributes:
        file_bytes: One file, or one member of an archive after expansion.
        study_bytes: All files of one upload together.
        files: Files in one upload.
        side: Rows or columns of an image, pixels.
        frames: Frames of one image.
        decoded_bytes: All pixels of one file, decoded.
        header_bytes: A DICOM file without its pixels.
        depth: Sequences inside sequences.
        items: Sequence items and pixel fragments in one file.
        elements: Data elements in one file.
        archive_entries: Entries listed by an archive, folders included.
        archive_ratio: Bytes out for each byte in.
        child_memory_bytes: Address space of a decoding child (RLIMIT_AS).
        child_cpu_seconds: Processor time for one file (RLIMIT_CPU).
        child_wall_seconds: Clock time for one file; the child is killed after it.
        child_open_files: Open descriptors of a child (RLIMIT_NOFILE).
        child_jobs: Files a child decodes before a fresh one takes over.
    """

    file_bytes: int = 512 * MB
    study_bytes: int = 2048 * MB
    files: int = 2000
    side: int = 8192
    frames: int = 2000
    decoded_bytes: int = 512 * MB
    header_bytes: int = 64 * MB
    depth: int = 16
    items: int = 20_000
    elements: int = 500_000
    archive_entries: int = 10_000
    archive_ratio: int = 100
    child_memory_bytes: int = 2048 * MB
    child_cpu_seconds: int = 20
    child_wall_seconds: float = 30.0
    child_open_files: int = 32
    child_jobs: int = 2000
