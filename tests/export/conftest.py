"""Two small networks, exported once for all tests of this room: one that answers at once, one in steps of cells."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jaxtyping
import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import VectorScaling
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.export.exporting import Exported, export_bundle
from terrazzo.export.patches import synthetic_patches
from terrazzo.export.settings import ExportSettings
from terrazzo.geo.bands import Band, Bands
from terrazzo.models import ARCHITECTURES
from terrazzo.models.refiner.network import RefinerNetwork
from terrazzo.progress import Progress
from terrazzo.record import load_plugin

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")


class Case(NamedTuple):
    """A bundle and what was exported of it."""

    bundle: Bundle
    exported: Exported

    @property
    def file(self) -> Path:
        return self.exported.files[0]


def make_bundle(name: str, *, seed: int = 0, **settings: object) -> Bundle:
    record = ARCHITECTURES.create(name, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = record.build(bands=3, classes=3)
        if isinstance(network, RefinerNetwork) and network.halting is not None:
            # So that cells and images stop at different steps.
            torch.nn.init.normal_(network.halting.last.weight, std=1.5)
            torch.nn.init.constant_(network.halting.last.bias, 0.6)
    return Bundle(
        architecture=record,
        bands=Bands(items=tuple(Band(name=band, nodata=0) for band in ("red", "green", "blue"))),
        classes=Classes(items=["field", "wälder", "sea"]),
        normalisation=Normalisation(mean=(100.0, 90.0, 80.5), std=(20.0, 30.0, 40.0)),
        patch_size=40,
        resolution_m=0.5,
        weights=network.state_dict(),
        training={"epochs": 1},
        versions={},
        licence="MIT",
    )


@contextmanager
def unchecked() -> Iterator[None]:
    """Check no types: sizes are symbols while a network is traced, and the checker knows numbers alone."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def write(bundle: Bundle, path: Path, **settings: object) -> Case:
    with Progress("export") as progress, unchecked():
        images = synthetic_patches(bundle, count=2, side=64)
        return Case(bundle, export_bundle(bundle, path, ExportSettings(**settings), images, progress=progress))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Answers at once; calibrated; its weights lie beside the file."""
    bundle = make_bundle("probe_convolution", depth=2, side=5)
    vector = VectorScaling(weight=(1.5, 0.5, 1.0), bias=(0.1, -0.2, 0.0))
    bundle = Bundle(**{**vars(bundle), "calibration": Calibration(temperature=vector)})
    return write(bundle, tmp_path_factory.mktemp("plain é") / "mo del.onnx", external_data=True)


@pytest.fixture(scope="session")
def stepping(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Answers in steps; its cells settle one by one, and it pads its images."""
    settings = {"width": 4, "t_min": 1, "t_max": 3, "tau": 0.6, "pixel_act": True}
    return write(make_bundle("trm", **settings), tmp_path_factory.mktemp("steps") / "model.onnx")


@pytest.fixture(name="make", scope="session")
def make_fixture() -> Callable[..., Bundle]:
    """Make a bundle of a small network with seeded weights."""
    return make_bundle


@pytest.fixture(name="write", scope="session")
def write_fixture() -> Callable[..., Case]:
    """Export a bundle."""
    return write
