"""How a refusal travels: its code and sentence in the body, its kind as the status."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from inference.errors import InferenceError
from storage.errors import StorageError
from webapp.services.errors import ServiceError, TooManyAttemptsError, TooManyRequestsError

logger = logging.getLogger(__name__)

KnownError = StorageError | InferenceError | ServiceError
KNOWN: Final = (StorageError, InferenceError, ServiceError)

STATUS_OF: Final[Mapping[str, int]] = {
    "account_closed": 403,
    "answer_failed": 502,
    "archive_failed": 502,
    "archive_redirected": 502,
    "archive_refused": 502,
    "archive_too_large": 502,
    "audit_heads_damaged": 500,
    "blob_damaged": 500,
    "blob_missing": 500,
    "database_damaged": 500,
    "database_missing": 500,
    "case_held": 409,
    "case_not_held": 409,
    "text_left": 409,
    "case_refused": 409,
    "choices_not_kept": 422,
    "empty_question": 422,
    "export_folder": 409,
    "idempotency_conflict": 409,
    "inference_error": 502,
    "invalid_request": 422,
    "key_file": 500,
    "keys_busy": 409,
    "backup_refused": 409,
    "too_much_unnamed": 409,
    "last_admin": 409,
    "model_busy": 429,
    "model_refused": 503,
    "model_unavailable": 503,
    "name_taken": 409,
    "no_role": 403,
    "not_allowed": 403,
    "not_enough_memory": 503,
    "not_found": 404,
    "not_signed_in": 401,
    "own_read_committed": 409,
    "own_read_required": 409,
    "parts_refused": 400,
    "password_change_required": 403,
    "password_sign_in_off": 403,
    "question_in_progress": 409,
    "question_too_long": 422,
    "request_refused": 422,
    "sandbox_unavailable": 503,
    "second_person_required": 403,
    "service_error": 500,
    "sign_in_failed": 401,
    "sign_in_replayed": 401,
    "stale_revision": 409,
    "storage_error": 500,
    "storage_full": 507,
    "store_busy": 503,
    "store_version": 500,
    "too_many_attempts": 429,
    "too_many_requests": 429,
    "unknown_battery": 422,
    "unknown_template": 422,
    "unsupported_image": 422,
}
_HTTP: Final[Mapping[int, tuple[str, str]]] = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    415: ("invalid_request", "The request has a content type this address does not take."),
}
FAILED: Final = ("internal_error", "Something went wrong on our side. It has been noted.")


def problem(status: int, code: str, message: str) -> JSONResponse:
    """Return the one shape every error has."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def problem_of(error: KnownError) -> JSONResponse:
    """Return the answer for a refusal of ours; its text is written to be shown."""
    response = problem(STATUS_OF.get(error.code, 500), error.code, str(error))
    if isinstance(error, TooManyAttemptsError | TooManyRequestsError):
        response.headers["retry-after"] = str(error.wait_seconds)
    return response


def add_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app`, expected or not, answer in that shape."""

    async def refused(_request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, KNOWN):
            raise error
        return problem_of(error)

    async def unreadable(_request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        if any(each["loc"][0] == "path" for each in error.errors()):
            return problem(404, *_HTTP[404])  # an id that cannot be one is an id of nothing
        return problem(422, "invalid_request", _what_is_wrong(error))

    async def http(_request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code == 400:  # a body that JSON's own reader gives up on
            return problem(422, "invalid_request", "The body is not JSON that can be read.")
        code, message = _HTTP.get(error.status_code, FAILED)
        return problem(error.status_code, code, message)

    async def unexpected(_request: Request, error: Exception) -> JSONResponse:
        logger.error("request.failed", exc_info=error)
        return problem(500, *FAILED)

    for known in KNOWN:
        app.add_exception_handler(known, refused)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def _what_is_wrong(error: RequestValidationError) -> str:
    """Say of each field what it must be; neither a value nor a name that was sent is repeated."""
    found = {_complaint(each) for each in error.errors()}
    return "; ".join(sorted(found)[:10]) + "."


def _complaint(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"][1:]]
    kind: str = error["type"]
    if kind == "extra_forbidden":
        return f"{'.'.join(place[:-1]) or 'body'}: there is a field that is not known"
    if kind == "json_invalid":
        return "The body is not JSON"
    said = "Input should be a valid UUID" if kind.startswith("uuid") else error["msg"]
    return f"{'.'.join(place) or 'body'}: {said}"
