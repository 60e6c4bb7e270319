"""Scenes and bundles that the tests of this room share."""

from collections.abc import Callable, Iterator, Sequence
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
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import Raster
from terrazzo.machine import MachineSettings
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.recorded import Recording
from terrazzo.scene.strips import strips_of
from terrazzo.scene.windows import Axis, step_between

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


class ArraySource:
    """A scene that lies in memory, and notes which rows were asked for."""

    def __init__(self, plan: ScenePlan, values: np.ndarray, valid: np.ndarray | None = None, *, part: int = 7) -> None:
        self.values = values
        self.valid = np.ones(values.shape[1:], dtype=bool) if valid is None else valid
        self.asked: list[int] = []
        self.unreadable: list[Unreadable] = []
        self._plan = plan
        self._part = part

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        for y in range(top, bottom, self._part):
            end = min(y + self._part, bottom)
            self.asked.extend(range(y, end))
            grid = self._plan.grid.window(Window(y, 0, end - y, self._plan.grid.width))
            yield Raster(self.values[:, y:end], self.valid[y:end], grid, self._plan.bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        taken, self.unreadable = tuple(self.unreadable), []
        return taken


@pytest.fixture
def make_plan() -> Callable[..., ScenePlan]:
    """Plan a scene that no file holds."""

    def make(
        shape: tuple[int, int],
        *,
        window: int = 16,
        overlap: float = 0.125,
        strip_pixels: int = 32,
        margin: int = 0,
        bands: int = 3,
        dtype: str = "float32",
        grid: Grid | None = None,
    ) -> ScenePlan:
        stride = step_between(window, overlap=overlap, stride=None)
        rows, columns = (Axis.of(length, window=window, stride=stride) for length in shape)
        return ScenePlan(
            scene=Path("array"),
            grid=grid or Grid(None, Affine.identity(), *shape),
            bands=Bands(items=tuple(Band(name=f"band {number}", dtype=dtype) for number in range(bands))),
            rows=rows,
            columns=columns,
            strips=strips_of(rows, pixels=strip_pixels),
            margin=margin,
            classes=bands,
            block_shape=(16, 16),
        )

    return make


@pytest.fixture
def make_source() -> Callable[..., ArraySource]:
    """Make a scene in memory."""
    return ArraySource


@pytest.fixture
def recorder() -> Callable[..., Callable[..., Recording]]:
    """Make what records passes as a GPU does: reading and writing in one place, where each replay leaves its answer."""

    def make(gain: float = 1.0, calls: list[torch.Size] | None = None) -> Callable[..., Recording]:
        def record(answer: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> Recording:
            if calls is not None:
                calls.append(image.shape)
            own = image.clone()
            logits = torch.empty_like(answer(own))

            def replay() -> None:
                logits.copy_(answer(own) * gain)

            return Recording(own, logits, replay)

        return record

    return make
