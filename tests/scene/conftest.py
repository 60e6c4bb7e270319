"""Scenes and bundles that the tests of this room share."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Class, Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin

# A plug-in is imported once, by its path; the test runner must not import it under another name.
collect_ignore = ["probe_networks.py"]

load_plugin(Path(__file__).parent / "probe_networks.py")

COLOURS = ("#3C1098", "#00FF00", "#0000FF", "#FF0000", "#FFFF00", "#00FFFF", "#FF00FF")


@pytest.fixture(scope="session")
def machine() -> MachineSettings:
    """One thread of full precision, so that figures can be compared to the last bit."""
    return MachineSettings(accelerator="cpu", precision="float32", threads=1)


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    """Make a bundle around a probe network with seeded weights."""

    def make(
        architecture: str = "probe_identity",
        *,
        bands: Sequence[str] = ("red", "green", "blue"),
        classes: int = 0,
        dtype: str = "uint8",
        settings: dict[str, object] | None = None,
        **changes: object,
    ) -> Bundle:
        classes = classes or len(bands)
        record = ARCHITECTURES.create(architecture, **(settings or {}))
        listed = Bands(items=tuple(Band(name=name, dtype=dtype) for name in bands))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = record.build(bands=len(listed), classes=classes).state_dict()
        items = tuple(
            Class(name=f"class {number} ä", colour=COLOURS[number], values=(10 * number + 1,))
            for number in range(classes)
        )
        parts = {
            "architecture": record,
            "bands": listed,
            "classes": Classes(items=items),
            "normalisation": Normalisation(mean=(100.0,) * len(listed), std=(50.0,) * len(listed)),
            "patch_size": 16,
            "resolution_m": 0.5,
            "weights": weights,
            "training": {},
            "versions": {},
            "licence": "",
        }
        return Bundle(**{**parts, **changes})

    return make


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Path]:
    """Write a scene; without values it is seeded noise."""

    def make(
        name: str = "scène 1.tif",
        shape: tuple[int, int] = (37, 53),
        *,
        values: np.ndarray | None = None,
        bands: int = 3,
        names: tuple[str, ...] | None = None,
        georeferenced: bool = True,
        **profile: object,
    ) -> Path:
        path = tmp_path / "in puts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if values is None:
            values = np.random.default_rng(1).integers(1, 256, (bands, *shape)).astype(np.uint8)
        where = {"crs": "EPSG:32612", "transform": Affine(0.5, 0, 300_000, 0, -0.5, 4_100_000)} if georeferenced else {}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(values),
            height=values.shape[1],
            width=values.shape[2],
            dtype=values.dtype,
            **{**where, **profile},
        ) as file:
            file.write(values)
            for number, word in enumerate(names or (), 1):
                file.set_band_description(number, word)
        return path

    return make
