"""`/v1/jobs`: scenes of any size, mapped in the background."""

import asyncio
import json
import mimetypes
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from terrazzo.errors import TerrazzoError
from terrazzo.record import Record
from terrazzo.scene.contract import fit_bands
from terrazzo.scene.inputs.single import file_entry
from terrazzo.scene.products import products_of
from terrazzo.scene.settings import LayerName, PolygonSettings
from terrazzo.scene.workforce.job import loaded_plugins
from terrazzo.serve.images import check_image
from terrazzo.serve.job_record import ENDED, JobRecord, JobState, JobTask, map_of, scene_of
from terrazzo.serve.jobs import Headway
from terrazzo.serve.models import ServedModel
from terrazzo.serve.problems import Problem, documented, problem_of
from terrazzo.serve.rooted import path_below
from terrazzo.serve.service import Service
from terrazzo.serve.uploads import BODY, receive_image, safe_name

__all__ = ["JobList", "JobView", "job_router"]

JobName = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of the job.")]

_POLL_SECONDS = 0.2
_HEARTBEAT_SECONDS = 15.0
_ADVICE = "Cut it into several."


class JobProgress(Record):
    """How far a running job is."""

    done: int
    """Units finished."""
    total: int | None
    """Units in all; null before that is known."""
    unit: str
    """What is counted."""
    message: str
    """What was said last."""
    seconds: float
    """Since this start's process began with the scene."""


class JobView(JobRecord):
    """A job, and how far it is."""

    progress: JobProgress
    """How far it is."""


class JobList(Record):
    """All jobs that are kept."""

    jobs: tuple[JobView, ...]
    """The newest first."""


class ResultFile(Record):
    """A file of a finished job."""

    name: str
    """Its name."""
    bytes: int
    """Its size."""
    media_type: str
    """What it is."""


class ResultList(Record):
    """The files of a finished job."""

    files: tuple[ResultFile, ...]
    """By name."""


def job_router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    _add_asking(routes, service)
    _add_looking(routes, service)
    _add_results(routes, service)
    return routes


def _add_asking(routes: APIRouter, service: Service) -> None:
    jobs = service.jobs

    @routes.post(
        "",
        operation_id="ask_for_job",
        summary="Have a scene mapped",
        status_code=202,
        response_model=JobView,
        responses=documented(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": {**BODY, "required": False}},
    )
    async def ask(
        request: Request,
        model: Annotated[
            str | None, Query(max_length=200, description="Name of a model; the first by default.")
        ] = None,
        path: Annotated[
            str | None,
            Query(min_length=1, max_length=4096, description="Scene below the server's root, instead of a body."),
        ] = None,
        layers: Annotated[
            list[LayerName] | None, Query(max_length=8, description="What else is written beside the map.")
        ] = None,
        polygons: Annotated[bool, Query(description="Whether the map's areas are written as a GeoPackage.")] = False,
    ) -> JobView:
        """Map a scene in the background; the body holds it, or `path` names it below the server's root."""
        served = service.models.find(model)
        jobs.require_room()
        named = None if path is None else await asyncio.to_thread(path_below, service.settings.root, path)
        folder = jobs.new_folder()
        taken = False
        try:
            if named is None:
                largest = int(service.settings.largest_job_mib * 2**20)
                upload = await receive_image(request, folder / "upload", largest=largest, pace=service.pace)
                name, file = upload.name, upload.path
            else:
                name, file = str(path), named
            record = await asyncio.to_thread(
                _begun, service, served, folder, file, name, tuple(dict.fromkeys(layers or ())), polygons
            )
            taken = True
        finally:
            if not taken:
                shutil.rmtree(folder, ignore_errors=True)
        return _view(record, Headway())

    @routes.delete(
        "/{name}",
        operation_id="cancel_job",
        summary="Cancel a job, or remove an ended one",
        status_code=204,
        response_class=Response,
        responses={202: {"description": "The job is being cancelled.", "model": JobView}, **_usual(404)},
    )
    async def cancel(name: JobName) -> Response:
        """Cancel a job that waits or runs (202), or remove one that has ended, with its results (204)."""
        if await asyncio.to_thread(jobs.cancel, name):
            return Response(status_code=204)
        record, headway, _ = jobs.find(name)
        return Response(_view(record, headway).model_dump_json(), 202, media_type="application/json")


def _begun(
    service: Service,
    served: ServedModel,
    folder: FilePath,
    file: FilePath,
    name: str,
    layers: tuple[LayerName, ...],
    polygons: bool,
) -> JobRecord:
    """Check a scene as far as its header tells, and queue it."""
    shown = safe_name(name)
    facts = check_image(file, most_pixels=service.settings.largest_job_pixels, name=shown, advice=_ADVICE)
    scene = scene_of(folder, facts.suffix)
    wanted = served.settings.layers + tuple(layer for layer in layers if layer not in served.settings.layers)
    settings = served.settings.model_copy(
        update={"layers": wanted, "polygons": served.settings.polygons or (PolygonSettings() if polygons else None)}
    )
    if file.parent == folder:
        file.rename(scene)
        seen = scene
    else:
        # The scene is read where it lies; the link lets the viewer show it beside its map.
        scene.symlink_to(file)
        seen = file
    bundle = served.bundle
    try:
        products_of(settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration)
        with file_entry(str(seen), whole=settings.max_errors == 0).open() as opened:
            fit_bands(bundle, opened, positions=settings.bands)
    except TerrazzoError as error:
        found = problem_of(error, folder=folder)
        text = str(found.detail).replace(str(seen), shown).replace(scene.name, shown)
        raise Problem(found.status_code, text, advice=found.advice, headers=found.headers) from error
    task = JobTask(
        model=served.path,
        backbone=bundle.backbone_path,
        fingerprint=bundle.fingerprint,
        plugins=loaded_plugins(),
        scene=seen,
        out=map_of(folder),
        settings=settings,
        machine=served.machine,
    )
    return service.jobs.add(folder, task, model=served.name, scene=name if seen is file else shown)


def _add_looking(routes: APIRouter, service: Service) -> None:
    jobs = service.jobs

    @routes.get("", operation_id="list_jobs", summary="List jobs", response_model=JobList, responses=_usual())
    async def listed() -> JobList:
        """List all jobs that are kept, the newest first."""
        return JobList(jobs=tuple(_view(record, headway) for record, headway in jobs.all()))

    @routes.get(
        "/{name}", operation_id="find_job", summary="Look at a job", response_model=JobView, responses=_usual(404)
    )
    async def found(name: JobName) -> JobView:
        """Tell where a job is and how far it came."""
        record, headway, _ = jobs.find(name)
        return _view(record, headway)

    @routes.get(
        "/{name}/events",
        operation_id="follow_job",
        summary="Follow a job",
        response_class=StreamingResponse,
        responses={
            200: {"description": "Events `job`, each with the job as JSON.", "content": {"text/event-stream": {}}},
            **_usual(404),
        },
    )
    async def follow(name: JobName) -> StreamingResponse:
        """Send the job each time it changes, until it has ended (server-sent events)."""
        jobs.find(name)
        return StreamingResponse(
            _events(service, name), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )


def _add_results(routes: APIRouter, service: Service) -> None:
    jobs = service.jobs

    @routes.get(
        "/{name}/results",
        operation_id="list_results",
        summary="List a job's files",
        response_model=ResultList,
        responses=_usual(404, 409),
    )
    async def results(name: JobName) -> ResultList:
        """List the files of a finished job."""
        found = await asyncio.to_thread(jobs.results, name)
        return ResultList(
            files=tuple(
                ResultFile(name=path.name, bytes=path.stat().st_size, media_type=_media_type(path.name))
                for path in found
            )
        )

    @routes.get(
        "/{name}/results/{file}",
        operation_id="fetch_result",
        summary="Fetch a file of a job",
        response_class=FileResponse,
        responses={
            200: {"description": "The file.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
            206: {"description": "The part that Range asks for."},
            416: {"description": "Range asks for what the file has not."},
            **_usual(404, 409),
        },
    )
    async def fetched(
        name: JobName, file: Annotated[str, Path(max_length=255, description="Name from the list.")]
    ) -> FileResponse:
        """Send a file of a finished job; Range is understood, so that maps may be read by parts."""
        for path in await asyncio.to_thread(jobs.results, name):
            if path.name == file:
                return FileResponse(path, media_type=_media_type(file), filename=file)
        raise Problem(404, f"The job has no file {safe_name(file)}.", advice="GET /v1/jobs/{id}/results lists them.")


def _usual(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return documented(401, *statuses, 422, 429)


def _view(record: JobRecord, headway: Headway) -> JobView:
    progress = JobProgress(
        done=headway.done,
        total=headway.total,
        unit=headway.unit,
        message=headway.message,
        seconds=headway.seconds,
    )
    return JobView(**record.model_dump(), progress=progress)


async def _events(service: Service, name: str) -> AsyncIterator[bytes]:
    """Yield a job as it changes, until it has ended or the server stops."""
    said: tuple[JobState, int] | None = None
    beat = time.monotonic()
    while not service.closing.is_set():
        try:
            record, headway, _ = service.jobs.find(name)
        except Problem:
            return
        now = (record.state, headway.version)
        if now != said:
            said, beat = now, time.monotonic()
            content = json.dumps(_view(record, headway).model_dump(mode="json"), ensure_ascii=False)
            yield f"event: job\nid: {headway.version}\ndata: {content}\n\n".encode()
        elif time.monotonic() - beat > _HEARTBEAT_SECONDS:
            beat = time.monotonic()
            yield b": still here\n\n"
        if record.state in ENDED:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _media_type(name: str) -> str:
    if name.endswith((".tif", ".tiff")):
        return "image/tiff"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
