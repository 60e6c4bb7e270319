"""What a server says of itself: its models, whether it is well, and its figures."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from terrazzo.record import Record
from terrazzo.serve.problems import Problem, documented
from terrazzo.serve.service import Service

__all__ = ["information_router"]


class ModelBand(Record):
    """A band that a model needs."""

    name: str
    """Its name."""
    type: str
    """Type of its values."""
    unit: str | None
    """Unit of its values."""
    nodata: float | None
    """Value that means "not measured"."""


class ModelClass(Record):
    """A class that a model tells."""

    number: int
    """Its value in maps."""
    name: str
    """Its name."""
    colour: str
    """Its colour, such as #00FF00."""


class ModelCalibration(Record):
    """What of a calibration is applied."""

    temperature: bool
    """Whether probabilities are calibrated."""
    decision_threshold: bool
    """Whether the second of two classes is chosen from a threshold on."""
    abstain: bool
    """Whether the layer `abstain` can be asked for."""
    sets: bool
    """Whether the layer `sets` can be asked for."""


class Model(Record):
    """A model and the contract of its input."""

    name: str
    """What requests call it."""
    fingerprint: str
    """SHA-256 of all that decides its answers."""
    architecture: str
    """Kind of network."""
    bands: tuple[ModelBand, ...]
    """What an image must have, in order."""
    classes: tuple[ModelClass, ...]
    """What it tells."""
    nodata: int
    """Value of missing pixels in maps."""
    resolution_m: float | None
    """Pixel size of the training imagery in metres."""
    patch_pixels: int
    """Side of the training patches."""
    window_pixels: int
    """Side of the windows that the network sees."""
    licence: str
    """Licence of the weights; empty where none was stated."""
    calibration: ModelCalibration
    """What of a calibration is applied."""
    device: str
    """Kind of device that computes."""
    precision: str
    """Arithmetic; `terrazzo predict` gives the same bits with predict.precision set to it."""
    batch_size: int
    """Windows of a forward pass at the most."""
    joined_sizes: tuple[int, ...]
    """Sizes of passes in which windows of several requests go together, with the bits that each has alone."""


class ModelList(Record):
    """All models."""

    models: tuple[Model, ...]
    """The first answers where no model is named."""


class Health(Record):
    """Whether the server is well."""

    status: str
    """`ok`."""


def information_router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["server"])
    usual: dict[int | str, dict[str, Any]] = documented(401, 429)

    @routes.get(
        "/v1/models", operation_id="list_models", summary="List models", response_model=ModelList, responses=usual
    )
    async def models() -> ModelList:
        """List the models with the contract of their input."""
        return ModelList(models=tuple(Model(**model.contract()) for model in service.models))

    @routes.get(
        "/v1/models/{name}",
        operation_id="find_model",
        summary="Look at a model",
        response_model=Model,
        responses={**usual, **documented(404, 422)},
    )
    async def model(name: Annotated[str, Path(max_length=200, description="Name of the model.")]) -> Model:
        """Tell the contract of a model's input."""
        return Model(**service.models.find(name).contract())

    @routes.get("/healthz", operation_id="health", summary="Whether the server lives", response_model=Health)
    async def health() -> Health:
        """Answer as long as the server lives."""
        return Health(status="ok")

    @routes.get(
        "/readyz",
        operation_id="readiness",
        summary="Whether requests are taken",
        response_model=Health,
        responses=documented(503),
    )
    async def readiness() -> Health:
        """Answer 200 while requests are taken, and 503 once the server is asked to stop."""
        if service.closing.is_set():
            raise Problem(503, "The server is stopping.", retry_after=10)
        return Health(status="ok")

    @routes.get(
        "/metrics",
        operation_id="metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={
            200: {"description": "Figures.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **usual,
        },
    )
    async def metrics() -> Response:
        """Give requests, latencies, passes, queues, jobs and memory."""
        return Response(service.metrics.text(), media_type=service.metrics.media_type)

    return routes
