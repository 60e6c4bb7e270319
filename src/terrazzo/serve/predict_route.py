"""`POST /v1/predict`: an image in, its map out."""

import asyncio
import contextlib
import functools
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from terrazzo.serve.answering import Answer, Layers, Question, answer
from terrazzo.serve.answers import MEDIA_TYPES, Output
from terrazzo.serve.batching import Ticket
from terrazzo.serve.images import kind_of
from terrazzo.serve.problems import Problem, documented
from terrazzo.serve.service import Service
from terrazzo.serve.uploads import BODY, Upload, receive_image, scratch

__all__ = ["chosen_output", "predict_router"]

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The map, as it was asked for.",
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/tiff": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"type": "object"}},
            "application/geo+json": {"schema": {"type": "object"}},
        },
    }
}

Model = Annotated[
    str | None, Query(max_length=200, description="Name of a model from /v1/models; the first if not given.")
]


def predict_router(service: Service) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["predict"])

    @routes.post(
        "/v1/predict",
        operation_id="predict",
        summary="Map an image",
        response_class=Response,
        responses={**_ANSWERS, **documented(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 503)},
        openapi_extra={"requestBody": BODY},
    )
    async def predict(
        request: Request,
        model: Model = None,
        output: Annotated[
            Output | None, Query(description="What the answer is written as; what Accept asks for if not given.")
        ] = None,
        layer: Annotated[Layers, Query(description="What a PNG or GeoTIFF shows.")] = "class",
    ) -> Response:
        """Map an image with the bits of `terrazzo predict`."""
        served = service.models.find(model)
        wanted = output or chosen_output(request.headers.get("accept", "*/*"))
        settings = service.settings
        with scratch(service.incoming) as folder:
            upload = await receive_image(
                request,
                folder / "upload",
                largest=int(settings.largest_request_mib * 2**20),
                pace=service.pace,
            )
            window = served.settings.window or served.bundle.patch_size
            most = 4 * settings.largest_pixels // window**2 + 64
            question = Question(served, _suffixed(upload), upload.name, wanted, layer, settings.largest_pixels, most)
            found = await _awaited(service, question, request, folder)
        return Response(
            found.content, media_type=found.media_type, headers={"X-Model": served.bundle.fingerprint, "Vary": "Accept"}
        )

    return routes


def _suffixed(upload: Upload) -> Path:
    """Give the file the suffix of what its first bytes say it is, and return where it lies then.

    Raises:
        Problem: 415, it is none of what is taken.
    """
    _, suffix = kind_of(upload.first_bytes)
    return upload.path.rename(upload.path.with_name(f"scene{suffix}"))


async def _answered(service: Service, question: Question, ticket: Ticket, folder: Path) -> Answer:
    """Return the answer of one of the processes; of this one, where the image is for it."""
    found = await asyncio.wrap_future(service.processes.ask(question, ticket, folder=folder))
    if found is not None:
        return found
    own = functools.partial(answer, question, service.queue, ticket, folder=folder)
    return await asyncio.get_running_loop().run_in_executor(service.threads, own)


async def _awaited(service: Service, question: Question, request: Request, folder: Path) -> Answer:
    """Wait for an answer as long as somebody wants it.

    Raises:
        Problem: 503, it takes too long.
        ClientDisconnect: Nobody wants it any more.
    """
    ticket, seconds = Ticket(windows=0), service.settings.request_seconds
    made = asyncio.ensure_future(_answered(service, question, ticket, folder))
    gone = asyncio.ensure_future(_gone(request))
    both: set[asyncio.Future[Any]] = {made, gone}
    try:
        done, _ = await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if made in done:
            return made.result()
        # Who works on it gives up at the next window; only then may its folder be removed.
        ticket.stopped.set()
        service.processes.give_up(ticket)
        with contextlib.suppress(Exception):
            await made
        if gone in done:
            raise ClientDisconnect
        raise Problem(
            503, f"The answer took longer than {seconds:g} s.", advice="Send it again later, or make it a job."
        )
    finally:
        gone.cancel()
        # Where the server ends in the middle of it; otherwise it is done.
        made.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def chosen_output(accept: str) -> Output:
    """Return what an Accept header asks for; a summary where anything will do.

    Source: RFC 9110, section 12.5.1.

    Args:
        accept: The header's text.

    Raises:
        Problem: 406, it asks for nothing that there is.

    >>> chosen_output("image/png"), chosen_output("image/*;q=0.5, application/geo+json"), chosen_output("*/*")
    ('png', 'geojson', 'json')
    """
    order: tuple[Output, ...] = ("json", "png", "geotiff", "geojson")
    best: tuple[float, int, Output] | None = None
    for part in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        quality = _quality(parameters)
        for place, output in enumerate(order):
            if quality > 0 and _covers(kind, MEDIA_TYPES[output]):
                found = (quality, -place, output)
                best = found if best is None or found[:2] > best[:2] else best
    if best is None:
        raise Problem(406, f"None of {', '.join(MEDIA_TYPES.values())} is accepted.")
    return best[2]


def _covers(kind: str, media_type: str) -> bool:
    return kind in {"*/*", media_type, f"{media_type.partition('/')[0]}/*"}


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
