"""The application: every route of the server around the models that it serves."""

import asyncio
import contextlib
import functools
import shutil
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from terrazzo import __version__
from terrazzo.serve.access import Keys, Rates
from terrazzo.serve.answer_processes import AnswerProcesses
from terrazzo.serve.batching import WindowQueue
from terrazzo.serve.gate import Gate, Limits
from terrazzo.serve.information_routes import information_router
from terrazzo.serve.job_record import JobState
from terrazzo.serve.job_routes import job_router
from terrazzo.serve.jobs import Jobs, Kept
from terrazzo.serve.library import SceneLibrary
from terrazzo.serve.metrics import Metrics
from terrazzo.serve.models import Models, load_models
from terrazzo.serve.predict_route import predict_router
from terrazzo.serve.problems import ProblemDetails, handle_problems
from terrazzo.serve.service import Service
from terrazzo.serve.settings import ServeSettings
from terrazzo.serve.viewing import router as viewing_router

__all__ = ["application"]

_MOST_THREADS = 16
"""Answers that are made at the same time; more only hold memory, since they wait for the same network."""
_DESCRIPTION = (
    "Maps of images, as `terrazzo predict` makes them. Every error is a problem document (RFC 9457) that says what was "
    "wrong and what to do."
)


def application(models: Sequence[Path] | Models, settings: ServeSettings) -> FastAPI:
    """Return the application that serves these models.

    Args:
        models: Bundles, or run folders, which stand for their best bundle; or models that are loaded already.
        settings: How the server answers, and its limits.

    Raises:
        BundleError: A model cannot be loaded.
        ConfigError: A setting is wrong, or an API key is missing.
    """
    keys = Keys.of_environment(settings.api_key_env)
    metrics = Metrics()
    service = _service(models if isinstance(models, Models) else load_models(models, settings), settings, metrics)

    @contextlib.asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        # What a killed server left of unfinished requests.
        shutil.rmtree(service.incoming, ignore_errors=True)
        service.jobs.start()
        try:
            service.processes.start()
            yield
        finally:
            service.closing.set()
            await asyncio.to_thread(service.jobs.stop, seconds=settings.stopping_seconds)
            service.queue.close()
            await asyncio.to_thread(service.processes.close)
            service.threads.shutdown(wait=False, cancel_futures=True)

    # The pages that FastAPI has for the document load scripts from elsewhere.
    app = FastAPI(
        title="Terrazzo", version=__version__, description=_DESCRIPTION, lifespan=life, docs_url=None, redoc_url=None
    )
    app.state.service = service
    handle_problems(app)
    for router in (predict_router(service), job_router(service), information_router(service)):
        app.include_router(router)
    app.include_router(viewing_router(service.library, jobs=True))
    limits = Limits(settings.requests_at_once, settings.upload_seconds, settings.origins, settings.names)
    app.add_middleware(Gate, keys=keys, rates=Rates(settings.requests_per_minute), limits=limits, metrics=metrics)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        )
    _document(app, secured=bool(settings.api_key_env))
    return app


def _service(models: Models, settings: ServeSettings, metrics: Metrics) -> Service:
    library = SceneLibrary([] if settings.root is None else [settings.root])
    jobs = Jobs(
        settings.folder / "jobs",
        Kept(days=settings.kept_days, gib=settings.kept_gib, waiting=settings.waiting_jobs),
        ended=lambda folder, name: library.add(folder, name=name),
        removed=library.remove,
    )
    # All models share one device, and so its lanes.
    queue = WindowQueue(
        lanes=max(model.lanes for model in models),
        wait_seconds=settings.batch_wait_ms / 1000,
        most_windows=settings.waiting_windows,
        observe=metrics.network_pass,
    )
    processes = AnswerProcesses(models, settings, queue, observe=metrics.network_pass)
    metrics.gauge("answer_processes", "Processes that answer small images.", lambda: float(processes.running))
    metrics.gauge("waiting_windows", "Windows of all requests that are being answered.", lambda: float(queue.windows))
    for state in JobState:
        metrics.gauge("jobs", "Jobs by state.", functools.partial(jobs.count, state), state=str(state))
    return Service(
        settings=settings,
        models=models,
        processes=processes,
        queue=queue,
        jobs=jobs,
        library=library,
        metrics=metrics,
        threads=ThreadPoolExecutor(min(_MOST_THREADS, settings.requests_at_once), thread_name_prefix="terrazzo-answer"),
        closing=asyncio.Event(),
    )


def _document(app: FastAPI, *, secured: bool) -> None:
    """Add to the OpenAPI document what FastAPI does not know."""
    made = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = made()
        parts = found.setdefault("components", {})
        schema = ProblemDetails.model_json_schema()
        parts.setdefault("schemas", {})["ProblemDetails"] = schema
        if secured:
            parts["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            for path, item in found["paths"].items():
                for operation in item.values():
                    operation["security"] = [] if path in {"/healthz", "/readyz"} else [{"bearer": []}, {"key": []}]
        return found

    # FastAPI's own way to extend the document.
    app.openapi = document  # type: ignore[method-assign]
