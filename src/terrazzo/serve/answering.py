"""An image in, an answer out: the scene engine's own reading, windows, blending and decisions, without its files."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from terrazzo.errors import StoppedError, TerrazzoError
from terrazzo.geo.kept_open import keep_open
from terrazzo.scene.contract import resolution_warning
from terrazzo.scene.drift import check_drift
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.image_pass import PassImage, ScoredRows
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.georeference import scene_georeference
from terrazzo.scene.inputs.listing import scene_entry
from terrazzo.scene.layer import NOWHERE, Layer
from terrazzo.scene.layers import class_layer, product_layer
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.products import ProductRows, Products
from terrazzo.scene.promise import promise_warnings
from terrazzo.scene.rows import FileRows
from terrazzo.scene.settings import PolygonSettings, PredictSettings
from terrazzo.scene.work import Forward
from terrazzo.serve.answers import MEDIA_TYPES, Output, PolygonAnswer, RasterAnswer, RowsTaker, SummaryAnswer
from terrazzo.serve.batching import Ticket
from terrazzo.serve.images import check_image
from terrazzo.serve.models import MapSetup, ServedModel
from terrazzo.serve.problems import Problem, problem_of
from terrazzo.storage import hash_file

__all__ = ["LAYERS", "Answer", "Layers", "Passes", "Question", "answer"]

Layers = Literal["class", "confidence", "entropy", "margin", "probabilities", "abstain", "sets"]
LAYERS: tuple[Layers, ...] = ("class", "confidence", "entropy", "margin", "probabilities", "abstain", "sets")
"""What a direct answer may show; the layers of steps and disagreement are of jobs."""
_JOB = "Send fewer pixels, or make it a job (POST /v1/jobs)."


@dataclass(frozen=True)
class Question:
    """What is asked of an image.

    Attributes:
        model: Who answers.
        path: The image's file.
        name: What the client calls it; for messages.
        output: What the answer is written as.
        layer: What a picture or GeoTIFF shows.
        most_pixels: Pixels that an image may have.
        most_windows: Windows that are computed for one image.
    """

    model: ServedModel
    path: Path
    name: str
    output: Output
    layer: Layers
    most_pixels: int
    most_windows: int


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        content: Its bytes.
        media_type: What they are.
        windows: Windows that were computed.
        warnings: What a reader of the map should know.
    """

    content: bytes
    media_type: str
    windows: int
    warnings: tuple[str, ...]


@runtime_checkable
class Passes(Protocol):
    """The way to the network: whose windows are taken in, and when they pass."""

    def admitted(self, ticket: Ticket) -> contextlib.AbstractContextManager[Ticket]:
        """Take a request in for as long as it is answered.

        Raises:
            Problem: 503, too many windows wait.
        """
        ...

    def through(self, forward: WindowForward, sizes: frozenset[int], ticket: Ticket) -> Forward:
        """Return the network as one request sees it.

        Args:
            forward: The network.
            sizes: Passes in which its groups may be joined with those of others.
            ticket: The request.
        """
        ...


def answer(question: Question, passes: Passes, ticket: Ticket, *, folder: Path) -> Answer:
    """Answer a question; blocks until it is done.

    Args:
        question: What is asked.
        passes: The way to the network.
        ticket: The request; once it is stopped this gives up.
        folder: The request's own, for scratch files.

    Raises:
        Problem: 413 too many pixels or windows; 415 and 422 no image, or one that does not fit the model; 503 too much
            waits.
    """
    try:
        # The header is read first and then the pixels: of one file that is opened once.
        with keep_open():
            return _answer(question, passes, ticket, folder)
    except StoppedError as error:
        raise Problem(503, "The server stopped working on this answer.") from error
    except TerrazzoError as error:
        raise _told(error, question, folder) from error


def _told(error: TerrazzoError, question: Question, folder: Path) -> Problem:
    """Return an error with the client's name of the image instead of ours."""
    found = problem_of(error, folder=folder)
    text = str(found.detail).replace(question.path.name, question.name)
    return Problem(found.status_code, text, advice=found.advice, headers=found.headers)


def _answer(question: Question, passes: Passes, ticket: Ticket, folder: Path) -> Answer:
    model = question.model
    check_image(question.path, most_pixels=question.most_pixels, name=question.name, advice=_JOB)
    setup = _setup(question)
    settings, products = setup.settings, setup.products
    entry = scene_entry(str(question.path), settings, model.bundle)
    with entry.open() as opened:
        plan = plan_scene(model.bundle, opened, settings)
        _require_few(plan, question, settings)
        warnings = [*entry.notes, *filter(None, (resolution_warning(model.bundle, opened),))]
        warnings += promise_warnings(model.bundle, settings)
        drift = check_drift(opened, model.bundle, plan.bands, settings)
        if drift is not None:
            warnings += filter(None, (drift.warning,))
        told = tuple(text.replace(str(question.path), question.name) for text in warnings)
        ticket.windows = plan.windows
        image = PassImage(entry.path, opened.grid, plan.bands, FileRows(opened, plan.bands), opened.block_shape)

        def through(forward: WindowForward) -> Forward:
            return passes.through(forward, model.sizes, ticket)

        with passes.admitted(ticket), _taker(question, entry, setup, told, folder) as taker:
            for rows in model.passing.rows(image, through=through):
                taker.take(_decided(products, rows))
            content = taker.finish()
    return Answer(content, MEDIA_TYPES[question.output], plan.windows, told)


def _setup(question: Question) -> MapSetup:
    """Return how this image becomes a map: as any other, but for the layers that are asked for."""
    if question.output == "json":
        return question.model.setup(("confidence",))
    return question.model.setup(() if question.layer == "class" else (question.layer,))


def _require_few(plan: ScenePlan, question: Question, settings: PredictSettings) -> None:
    if plan.windows > question.most_windows:
        raise Problem(
            413,
            f"{question.name} takes {plan.windows:,} windows of the network, and at most "
            f"{question.most_windows:,} are computed for a direct answer.",
            advice="Make it a job (POST /v1/jobs).",
        )
    model = question.model
    # Groups end with strips in a map, and here with the image: where that could change a bit, it is a job.
    if len(plan.strips) > 1 and not model.sizes.issuperset(range(2, model.decisions.batch_size + 1)):
        raise Problem(
            413,
            f"{question.name} has {plan.grid.height} rows, and at most {settings.strip_pixels} are taken for a "
            "direct answer of this model.",
            advice="Make it a job (POST /v1/jobs).",
        )


def _decided(products: Products, rows: ScoredRows) -> ProductRows:
    """Return what rows hold, with what was not measured marked."""
    found: ProductRows = {}
    decided = products.decide(rows.scores, y=rows.y)
    for product in products:
        values = decided[product.name].cpu().numpy()
        values[:, ~rows.valid] = product.missing
        found[product.name] = values
    return found


@contextlib.contextmanager
def _taker(
    question: Question,
    entry: SceneEntry,
    setup: MapSetup,
    warnings: tuple[str, ...],
    folder: Path,
) -> Iterator[RowsTaker]:
    """Yield what makes the answer of rows; what it began is given up where something fails."""
    taker = _made(question, entry, setup, warnings, folder)
    whole = False
    try:
        yield taker
        whole = True
    finally:
        if not whole:
            taker.abandon()


def _made(
    question: Question,
    entry: SceneEntry,
    setup: MapSetup,
    warnings: tuple[str, ...],
    folder: Path,
) -> RowsTaker:
    model, classes, grid = question.model, question.model.bundle.classes, entry.grid
    about: dict[str, Any] = {"model": model.name, "fingerprint": model.bundle.fingerprint, "warnings": list(warnings)}
    if question.output == "json":
        return SummaryAnswer(classes, grid, about)
    if question.output == "geojson":
        wanted = model.settings.polygons or PolygonSettings()
        return PolygonAnswer(folder / "answer.parquet", classes, grid, wanted, about)
    picture = question.output == "png"
    # A picture says nothing of its place, so that a map of any image may be one.
    georeference = NOWHERE if picture else scene_georeference(entry)
    layer = _layer(question, setup)
    if picture and layer.channels != 1 and not layer.colours:
        raise Problem(
            422, f"A PNG cannot hold {layer.channels} bands of {question.layer}.", advice="Ask for output=geotiff."
        )
    return RasterAnswer(
        folder / ("answer.png" if picture else "answer.tif"),
        question.layer,
        layer,
        classes=classes,
        values=setup.settings.values,
        grid=grid,
        georeference=georeference,
        settings=setup.settings,
    )


def _layer(question: Question, setup: MapSetup) -> Layer:
    """Return what the raster's values mean, with how it came about."""
    classes = question.model.bundle.classes
    # Of an upload its bytes are known and its time means nothing: the same image gives the same file.
    notes = {**setup.notes, "TERRAZZO_SCENE": question.name, "TERRAZZO_INPUT": hash_file(question.path)}
    if question.layer == "class":
        return class_layer(classes, setup.settings.values, notes)
    product = next(one for one in setup.products if one.name == question.layer)
    return product_layer(product, classes, notes)
