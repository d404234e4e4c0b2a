"""Why a file is turned away: a stable code and a sentence that says what to do.

A refusal carries nothing else. File names, header values and the words of foreign exceptions
never reach a log, a page or an API body through it.
"""

from typing import Final

from storage.errors import StorageError

SENTENCES: Final = {
    "archive_bomb": "The archive unpacks to far more than its size; pack the images again.",
    "archive_damaged": "The archive is damaged or incomplete; pack the images again.",
    "archive_duplicate": "The archive holds two files of the same name; pack it again.",
    "archive_encrypted": "The archive is encrypted; send it without a password.",
    "archive_nested": "The archive holds another archive; unpack that one first.",
    "archive_symlink": "The archive or folder holds a link; only real files are read.",
    "archive_too_many_entries": "The archive lists too many files; send one study at a time.",
    "archive_traversal": (
        "An entry of the archive has a path that leads out of it (with .., a drive or a backslash, "
        "or from the root), so none of it was opened; pack the images again."
    ),
    "archive_unsupported": "The archive uses a compression other than zip's own; pack it again.",
    "bad_pixel_description": "The header describes an image that cannot exist; export it again.",
    "bad_rescale": "The rescale from stored values is not usable; export the image again.",
    "damaged_image": "The picture is damaged; export it again.",
    "decode_failed": "The image could not be decoded safely; export it again, uncompressed.",
    "dicomdir": "A DICOMDIR is a table of contents; send the image files it lists.",
    "duplicate_instance": "Another image of this upload has the same identity; send only one.",
    "empty_file": "The file is empty; copy it again from where it came from.",
    "encapsulated_document": "This DICOM object wraps a document; only images are read here.",
    "identifier_left": "An identifier would have stayed in the image's header; nothing was kept.",
    "malformed": "The file breaks DICOM's own structure, so it was not opened; export it again.",
    "not_a_file": "This is not a regular file.",
    "not_an_image": "This DICOM object holds no image of a kind that is read here.",
    "not_dicom": "This is neither a DICOM or NIfTI file nor a PNG or JPEG picture.",
    "pixels_disagree": "The compressed image and its header give different sizes; export again.",
    "presentation_state": "A presentation state holds no image; send the images it refers to.",
    "radiotherapy_object": "Radiotherapy plans, doses and structures are not read here.",
    "structured_report": "This DICOM object is a report; only images are read here.",
    "study_too_large": "This upload is larger than allowed; send one study at a time.",
    "suspicious_preamble": "The file begins like a program or document; it was not opened.",
    "too_complex": "The header is nested or filled beyond reason, so it was not opened.",
    "too_large": "The file is larger than allowed.",
    "too_many_files": "This upload holds too many files; send one study at a time.",
    "too_many_pixels": "The image has more rows, columns or frames than can be opened here.",
    "truncated": "The file ends before the image does; copy or export it again.",
    "unsupported_image": "The image is valid, but of a kind that cannot be shown here.",
    "unsupported_transfer_syntax": (
        "The image is stored in a form that is not read here; export it uncompressed, or as "
        "RLE, JPEG, JPEG-LS or JPEG 2000."
    ),
    "waveform": "This DICOM object holds a waveform; only images are read here.",
}


class RefusedFileError(StorageError):
    """A file was turned away; `code` is one of `SENTENCES`."""

    def __init__(self, code: str) -> None:
        """Look up the sentence of a code."""
        super().__init__(SENTENCES[code])
        self.code = code
