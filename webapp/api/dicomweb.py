"""Studies sent by a program that speaks DICOMweb: STOW-RS (PS3.18 10.5).

The address names the collection: `/api/v1/dicomweb/{collection}` is what the sender is configured
with. The answer counts every file that came, yet repeats none of the sender's own identifiers:
a stored object is named by the UID it has here, a refused one not at all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from storage.intake.limits import Limits
from storage.vocabulary import CaseState
from webapp.api.asker import Asker
from webapp.services.bundle import Services
from webapp.services.folders import private_folder
from webapp.services.parts import Parts, PartsError
from webapp.services.views import InstanceOutcomeView

_JSON: Final = "application/dicom+json"
_REFERENCED, _OTHER_FAILURES = "00081199", "0008119A"
_SOP_CLASS, _SOP_INSTANCE = "00081150", "00081155"
_WARNING, _FAILURE, _COMMENT = "00081196", "00081197", "00000902"
_COERCED: Final = 0xB000  # PS3.18 table I.2-2: data elements were replaced, UIDs among them
_PROCESSING_FAILURE: Final = 0x0110
_CANNOT_UNDERSTAND: Final = 0xC000
_REASONS: Final = {  # PS3.18 table I.2-2, PS3.7 C
    **dict.fromkeys(("too_large", "too_many_files", "study_too_large"), 0xA700),
    **dict.fromkeys(("too_many_pixels", "too_complex"), 0xA700),
    **dict.fromkeys(("not_an_image", "structured_report", "radiotherapy_object"), 0x0122),
    **dict.fromkeys(("waveform", "presentation_state", "encapsulated_document"), 0x0122),
    **dict.fromkeys(("dicomdir", "unsupported_image"), 0x0122),
    **dict.fromkeys(("bad_pixel_description", "pixels_disagree", "bad_rescale"), 0xA900),
    "unsupported_transfer_syntax": 0xC122,
    "duplicate_instance": 0x0111,
    "case_refused": 0x0124,  # not authorised: a person refused it here before
    "decode_failed": _PROCESSING_FAILURE,
    "identifier_left": _PROCESSING_FAILURE,
}
_RELATED: Final = {
    "requestBody": {
        "required": True,
        "content": {
            'multipart/related; type="application/dicom"': {
                "schema": {"type": "string", "format": "binary"}
            }
        },
    }
}


def dicomweb_router(services: Services, data_dir: Path) -> APIRouter:
    """Return the route; files pass through a private folder below `data_dir`."""
    router = APIRouter(prefix="/dicomweb", tags=["studies"])

    @router.post("/{collection}/studies", openapi_extra=_RELATED)
    async def store(collection: str, request: Request, asker: Asker) -> Response:
        """Take DICOM files in; one item a file, stored or failed."""
        limits = Limits()
        with private_folder(data_dir) as folder:
            parts = Parts(folder, limits.study_bytes, limits.files)
            try:
                parts.begin(request.headers.get("content-type", ""))
            except PartsError as refusal:
                return _problem(415, refusal)
            try:
                async for chunk in request.stream():
                    await run_sync(parts.write, chunk)
                parts.finish()
            except ClientDisconnect:  # nobody is left to answer
                return Response(status_code=400)
            finally:
                parts.close()
            if not parts.paths:
                raise PartsError("The request holds no files.")
            outcomes = await run_sync(
                services.studies.receive_instances, asker, parts.paths, collection
            )
        return JSONResponse(_answer(outcomes), _status(outcomes), media_type=_JSON)

    return router


def _answer(outcomes: Sequence[InstanceOutcomeView]) -> dict[str, Any]:
    """Return the store instances response (PS3.18 I.2) in the DICOM JSON model."""
    stored = [_stored(each) for each in outcomes if each.sop_instance]
    failed = [_failed(each) for each in outcomes if not each.sop_instance]
    sequences = {_REFERENCED: stored, _OTHER_FAILURES: failed}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def _status(outcomes: Sequence[InstanceOutcomeView]) -> int:
    """Return 200 when all are admitted, 409 when none is stored, 202 in between."""
    if not any(each.sop_instance for each in outcomes):
        return 409
    return 200 if all(each.outcome == CaseState.ADMITTED for each in outcomes) else 202


def _stored(outcome: InstanceOutcomeView) -> dict[str, Any]:
    item = {
        _SOP_CLASS: {"vr": "UI", "Value": [outcome.sop_class]},
        _SOP_INSTANCE: {"vr": "UI", "Value": [outcome.sop_instance]},
        _WARNING: {"vr": "US", "Value": [_COERCED]},
    }
    return item | (_because(outcome) if outcome.code else {})


def _failed(outcome: InstanceOutcomeView) -> dict[str, Any]:
    reason = {_FAILURE: {"vr": "US", "Value": [_REASONS.get(outcome.code, _CANNOT_UNDERSTAND)]}}
    return reason | _because(outcome)


def _because(outcome: InstanceOutcomeView) -> dict[str, Any]:
    """Return our own code, in the element that DICOM has for a comment on an error."""
    return {_COMMENT: {"vr": "LO", "Value": [outcome.code]}}


def _problem(status: int, refusal: PartsError) -> JSONResponse:
    body = {"error": {"code": refusal.code, "message": str(refusal)}}
    return JSONResponse(body, status)
