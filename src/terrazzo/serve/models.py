"""Bundles ready to answer: loaded, tried and described once, when the server starts."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pydantic import ValidationError

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError, ConfigError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid
from terrazzo.geo.raster import Raster
from terrazzo.machine import MachineSettings
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.record import Record, nearest
from terrazzo.scene.header import Decisions
from terrazzo.scene.image_pass import ImagePass, PassImage
from terrazzo.scene.layers import mapping_notes
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.sampled_windows import noise_windows
from terrazzo.scene.settings import LayerName, PredictSettings
from terrazzo.serve.batching import exact_sizes
from terrazzo.serve.problems import Problem
from terrazzo.serve.settings import ServeSettings

__all__ = ["MapSetup", "Models", "ServedModel", "SettledModel", "load_models", "load_settled"]

_LOG = logging.getLogger(__name__)

# What says where results go, and what is made beside a map: a server decides that itself.
_OWN = {"enable": False, "inputs": (), "out": None, "mosaic": None}


class SettledModel(Record):
    """What another process needs to answer with a model's bits."""

    name: str
    """What requests call it."""
    path: Path
    """Where it was loaded from."""
    fingerprint: str
    """Of the bundle that it was."""
    decisions: Decisions
    """What was decided on noise."""
    sizes: tuple[int, ...]
    """Windows that may share a pass."""


@dataclass(frozen=True)
class MapSetup:
    """How every image becomes a map of the same layers.

    Attributes:
        settings: The model's, with the layers.
        products: What is decided for each pixel.
        notes: What each map's file says of its model.
    """

    settings: PredictSettings
    products: Products
    notes: Mapping[str, str]


@dataclass(frozen=True)
class ServedModel:
    """A bundle ready to answer.

    Attributes:
        name: What requests call it.
        path: Where it was loaded from.
        bundle: The network and what it was trained for.
        settings: How images become maps; precision and batch are settled.
        machine: What is computed on.
        passing: Whole images through the network.
        sizes: Windows that may share a pass; empty where none may.
        lanes: Passes side by side.
    """

    name: str
    path: Path
    bundle: Bundle
    settings: PredictSettings
    machine: MachineSettings
    passing: ImagePass
    sizes: frozenset[int]
    lanes: int
    _setups: dict[tuple[LayerName, ...], MapSetup] = field(default_factory=dict, init=False, repr=False, compare=False)

    def setup(self, layers: tuple[LayerName, ...]) -> MapSetup:
        """Return how images become a map of these layers beside the class; the same record each time.

        Raises:
            ConfigError: A layer needs a calibration that the model lacks.
        """
        if layers not in self._setups:
            settings, bundle = self.settings.model_copy(update={"layers": layers}), self.bundle
            products = products_of(
                settings, classes=len(bundle.classes), ignore=bundle.classes.ignore, calibration=bundle.calibration
            )
            self._setups[layers] = MapSetup(settings, products, mapping_notes(bundle, settings, self.decisions))
        return self._setups[layers]

    @property
    def decisions(self) -> Decisions:
        """Device, precision and batch."""
        found = self.passing.decisions
        if found is None:
            raise RuntimeError(f"{self.name} was never tried")
        return found

    def settled(self) -> SettledModel:
        """Return what another process needs to answer with the same bits."""
        return SettledModel(
            name=self.name,
            path=self.path,
            fingerprint=self.bundle.fingerprint,
            decisions=self.decisions,
            sizes=tuple(sorted(self.sizes)),
        )

    def contract(self) -> dict[str, Any]:
        """Return what a client should know before it sends an image, as plain data."""
        bundle, decisions = self.bundle, self.decisions
        calibration = bundle.calibration if self.settings.calibrated else None
        return {
            "name": self.name,
            "fingerprint": bundle.fingerprint,
            "architecture": bundle.architecture.name,
            "bands": [
                {"name": band.name, "type": band.dtype, "unit": band.unit, "nodata": _finite(band.nodata)}
                for band in bundle.bands
            ],
            "classes": [
                {"number": number, "name": item.name, "colour": _hex(item.colour)}
                for number, item in enumerate(bundle.classes.items)
            ],
            "nodata": bundle.classes.ignore,
            "resolution_m": bundle.resolution_m,
            "patch_pixels": bundle.patch_size,
            "window_pixels": self.settings.window or bundle.patch_size,
            "licence": bundle.licence,
            "calibration": {
                "temperature": calibration is not None
                and (calibration.temperature is not None or calibration.window_temperature is not None),
                "decision_threshold": calibration is not None and calibration.decision is not None,
                "abstain": calibration is not None and calibration.abstention is not None,
                "sets": calibration is not None and calibration.sets is not None,
            },
            "device": decisions.device,
            "precision": decisions.precision,
            "batch_size": decisions.batch_size,
            "joined_sizes": sorted(self.sizes),
        }


class Models:
    """The bundles of a server, by name.

    Args:
        served: At least one; the first answers where no name is given.
    """

    def __init__(self, served: Sequence[ServedModel]) -> None:
        self._served = {model.name: model for model in served}
        self._first = served[0]

    def __iter__(self) -> Iterator[ServedModel]:
        """Yield them in the order in which they were given."""
        return iter(self._served.values())

    def find(self, name: str | None) -> ServedModel:
        """Return the bundle of a name; the first where none is given.

        Raises:
            Problem: 404, there is no such bundle.
        """
        if name is None:
            return self._first
        if name not in self._served:
            known = ", ".join(self._served)
            raise Problem(
                404,
                f"There is no model {name!r}; there {'is' if len(self._served) == 1 else 'are'} {known}."
                f"{nearest(name, list(self._served))}",
                advice="GET /v1/models lists them.",
            )
        return self._served[name]


def load_models(paths: Sequence[Path], settings: ServeSettings) -> Models:
    """Load bundles, and try each network on noise to settle precision, batch and what may share a pass.

    Args:
        paths: Bundles, or run folders.
        settings: How the server answers.

    Raises:
        BundleError: One cannot be loaded.
        ConfigError: None is given, two have one name, or a setting is wrong.
    """
    if not paths:
        raise ConfigError("No bundle is given to serve; name a bundle or a run folder.")
    names = [_name(path) for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f'Two models would be called "{name}": {", ".join(map(str, paths))}; rename a file or folder, and '
                "give each model once."
            )
    return Models([_load(name, path, settings) for name, path in zip(names, paths, strict=True)])


def load_settled(settled: Sequence[SettledModel], settings: ServeSettings) -> Models:
    """Load the models of another process, with what was decided there.

    Args:
        settled: Those models.
        settings: How the server answers.

    Raises:
        BundleError: One cannot be loaded, or is not what it was.
    """
    return Models([_load(model.name, model.path, settings, model) for model in settled])


def _name(path: Path) -> str:
    """Return what a model is called: after its run folder, else after its file."""
    place = path.resolve()
    return place.parent.name if place.stem == "bundle" and not place.is_dir() else place.stem


def _load(name: str, path: Path, settings: ServeSettings, settled: SettledModel | None = None) -> ServedModel:
    begun = time.monotonic()
    config = run_config_of(path)
    chosen = _changed(config.predict if config else PredictSettings(), "predict", settings.predict)
    machine = _changed(config.machine if config else MachineSettings(), "machine", settings.machine)
    if chosen.executor != "local" or chosen.workers not in {"auto", 1}:
        raise ConfigError(
            f"{path}: a server computes by itself, so that predict.executor is local and predict.workers 1; give the "
            "server predict.executor=local predict.workers=1."
        )
    bundle = ModelFiles(path, settings.backbone).open(chosen.backbone)
    if settled is not None and bundle.fingerprint != settled.fingerprint:
        raise BundleError(f"{path} has changed since the server began; start the server again.")
    chosen = chosen.model_copy(update=_OWN)
    # Layers are of a request.
    bare = chosen.model_copy(update={"layers": (), "polygons": None})
    passing = ImagePass(bundle, bare, machine, decisions=None if settled is None else settled.decisions)
    blank = _blank(bundle, chosen)
    plan = passing.plan(blank)
    forward = passing.forward(plan, blank)
    decisions = passing.decisions
    if decisions is None:
        raise RuntimeError("the network was not tried")
    # From now on no image decides anything: an answer depends on its own bytes alone.
    precise = chosen.model_copy(update={"precision": decisions.precision, "workers": 1})
    sizes: frozenset[int] = frozenset()
    if settled is not None:
        sizes = frozenset(settled.sizes)
    elif decisions.batch_size > 1 and not decisions.compiled and forward.rule is None:
        sizes = exact_sizes(forward, noise_windows(plan, count=decisions.batch_size))
    _LOG.log(
        logging.INFO if settled is None else logging.DEBUG,
        "%s: %s from %s, %s on %s, windows of %d pixels in batches of %d%s, ready after %.1f s.",
        name,
        bundle.architecture.name,
        path,
        decisions.precision,
        decisions.device,
        plan.window_shape[0],
        decisions.batch_size,
        f" ({len(sizes)} sizes may be joined)" if sizes else "",
        time.monotonic() - begun,
    )
    return ServedModel(name, path.absolute(), bundle, precise, machine, passing, sizes, forward.lanes)


def _changed(before: Any, section: str, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one record or the other
    """Return a record with some settings replaced.

    Raises:
        ConfigError: A key is unknown or a value is wrong.
    """
    try:
        return type(before).model_validate({**before.model_dump(), **given})
    except ValidationError as error:
        said = "\n".join(
            f"{'.'.join([section, *(str(part) for part in one['loc'])])}: {one['msg']}." for one in error.errors()
        )
        raise ConfigError(said) from error


class _Nothing:
    """Rows of which nothing was measured."""

    def __init__(self, grid: Grid, bands: Bands) -> None:
        self._grid = grid
        self._bands = bands

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        shape = bottom - top, self._grid.width
        values = np.zeros((len(self._bands), *shape), dtype=np.result_type(*(band.dtype for band in self._bands)))
        yield Raster(values, np.zeros(shape, dtype=bool), self._grid, self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        return ()


def _blank(bundle: Bundle, settings: PredictSettings) -> PassImage:
    """Return an image of one window without a measured pixel: for it the network is tried on noise."""
    side = settings.window or bundle.patch_size
    grid = Grid(None, Affine.identity(), side, side)
    return PassImage("noise", grid, bundle.bands, _Nothing(grid, bundle.bands))


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in colour)


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
