"""Every error that a client can meet, in one shape: what was wrong and what to do.

Source: RFC 9457, "Problem Details for HTTP APIs"; `advice` is an extension member.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from terrazzo.errors import OutOfMemoryError, StorageError, TerrazzoError, WorkerError
from terrazzo.record import Record

__all__ = ["MEDIA_TYPE", "Problem", "ProblemDetails", "documented", "handle_problems", "problem_of"]

MEDIA_TYPE = "application/problem+json"

_ADVICE = {
    400: "Send the request as /docs describes it.",
    401: "Send one of the server's keys as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.",
    403: "Call the server from a page of its own, or have its owner name your page's origin.",
    404: "Look at /docs for what there is, and at /v1/models and /v1/jobs for names.",
    405: "Look at /docs for the methods of this address.",
    406: "Ask for one of the types that /docs lists for this address.",
    408: "Send the body without long pauses.",
    409: "Wait until the job is finished; GET /v1/jobs/{id} tells its state.",
    413: "Send a smaller image, or make it a job (POST /v1/jobs).",
    415: "Send a GeoTIFF, a PNG or a JPEG in the part `image` of a multipart/form-data body.",
    422: "Correct what is named and send the request again.",
    429: "Send fewer requests; Retry-After tells how many seconds to wait.",
    500: "Tell the server's owner, whose log says more.",
    503: "Send the request again after the seconds that Retry-After tells.",
}
_RETRIED = frozenset({429, 503})


class ProblemDetails(Record):
    """What was wrong, and what to do."""

    type: str
    """Name of the kind of problem, as a URN."""
    title: str
    """Kind of problem in words."""
    status: int
    """HTTP status."""
    detail: str
    """What was given, and what was expected."""
    advice: str
    """What to do."""


class Problem(HTTPException):
    """A request that is not answered as it was meant.

    Args:
        status: HTTP status.
        detail: What was given, and what was expected.
        advice: What to do; the status's usual one if empty.
        retry_after: Seconds after which the same request may succeed; for 429 and 503.
        headers: Further headers.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        advice: str = "",
        retry_after: int | float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        found = dict(headers or {})
        if status in _RETRIED:
            found["Retry-After"] = str(max(1, round(1 if retry_after is None else retry_after)))
        if status == 401:
            found["WWW-Authenticate"] = "Bearer"
        super().__init__(status, detail, found)
        self.advice = advice

    def details(self) -> ProblemDetails:
        """Return what is sent."""
        return _details(self.status_code, str(self.detail), self.advice)

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.details().model_dump(), self.status_code, headers=self.headers, media_type=MEDIA_TYPE)


def _details(status: int, detail: str, advice: str = "") -> ProblemDetails:
    title = HTTPStatus(status).phrase
    return ProblemDetails(
        type=f"urn:terrazzo:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=detail,
        advice=advice or _ADVICE.get(status, _ADVICE[400] if status < 500 else _ADVICE[500]),
    )


def problem_of(error: TerrazzoError, *, folder: Path | None = None) -> Problem:
    """Return the problem that one of our errors is for a client.

    Args:
        error: What was raised.
        folder: Folder of the server whose name is no client's business; it is left out of the message.
    """
    text = str(error)
    if folder is not None:
        for name in (str(folder.absolute()), str(folder.resolve()), str(folder)):
            text = text.replace(f"{name}/", "").replace(name, "")
    if isinstance(error, OutOfMemoryError):
        return Problem(503, text, advice="Send it again later, or a smaller image.", retry_after=10)
    if isinstance(error, StorageError | WorkerError):
        return Problem(503, text, retry_after=30)
    return Problem(422, text)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return how the statuses of a route stand in the OpenAPI document.

    Args:
        statuses: Statuses of problems.
    """
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        entry: dict[str, Any] = {
            "description": f"{HTTPStatus(status).phrase}. {_ADVICE[status]}",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        if status in _RETRIED:
            entry["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}}
            }
        found[status] = entry
    return found


def handle_problems(app: FastAPI) -> None:
    """Have an application answer every error in the one shape."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, Problem):
            return error.response()
        if isinstance(error, HTTPException):
            return Problem(error.status_code, str(error.detail), headers=error.headers).response()
        if isinstance(error, RequestValidationError):
            said = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
            return Problem(422, said).response()
        if isinstance(error, TerrazzoError):
            return problem_of(error).response()
        raise error

    for kind in (HTTPException, RequestValidationError, TerrazzoError):
        app.add_exception_handler(kind, problem)
