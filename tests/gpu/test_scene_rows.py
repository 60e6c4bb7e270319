"""From a GPU's scores to a strip's file: the processor's bits, blended, decided and brought back while nobody waits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from terrazzo.data.normalisation import Normalisation
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid
from terrazzo.geo.raster import Raster
from terrazzo.scene.assemble import finished_rows
from terrazzo.scene.device_work import HostCopy
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import products_of
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import strips_of
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.windows import Axis
from terrazzo.scene.work import WindowScores, work

ON_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
# On the processor too, so that the test itself is known to work where there is no GPU.
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]

SCALES = Normalisation(mean=(90.0, 100.0, 110.0), std=(33.0, 50.0, 70.0))
SHAPE = (150, 170)
BANDS = Bands(items=tuple(Band(name=name, dtype="uint16") for name in ("red", "green", "blue")))


class Noise:
    """A scene of noise, a part of which is missing."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.values = generator.integers(0, 65_000, (3, *SHAPE)).astype(np.uint16)
        self.valid = np.ones(SHAPE, dtype=bool)
        self.valid[40:90, 20:60] = False

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        grid = Grid(None, Affine.identity(), bottom - top, SHAPE[1])
        yield Raster(self.values[:, top:bottom], self.valid[top:bottom], grid, BANDS)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        return ()


class Softening:
    """A network of one operation that every device rounds alike."""

    lanes = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, group: WindowGroup) -> WindowScores:
        image, _ = group.image_on(self.device)
        return WindowScores(image.abs() * 0.001, steps=0.0, seconds=0.0)


def mapped(device: torch.device, folder: Path, plan: ScenePlan) -> tuple[bytes, object]:
    wanted = products_of(PredictSettings(layers=("confidence", "probabilities")), classes=3, ignore=255)
    records: dict[int, StripRecord] = {}
    folder.mkdir()
    work(
        plan,
        Noise(),
        plan.strips,
        Softening(device),
        wanted,
        normalisation=SCALES,
        group_size=4,
        header_key="",
        folder=folder,
        done=lambda record: records.__setitem__(record.strip, record),
    )
    rows = list(finished_rows(plan.strips, records.__getitem__, folder, wanted))
    told = [records[number].figures.agreements for number in sorted(records)]
    return b"".join(row.products[product.name].tobytes() for row in rows for product in wanted), told


@pytest.mark.parametrize("device", DEVICES)
def test_strips_hold_the_processors_bits(device: str, tmp_path: Path) -> None:
    rows, columns = Axis(SHAPE[0], 32, 28), Axis(SHAPE[1], 32, 28)
    grid = Grid(None, Affine.identity(), *SHAPE)
    plan = ScenePlan(
        scene=Path("noise"), grid=grid, bands=BANDS, rows=rows, columns=columns, strips=strips_of(rows, pixels=60),
        margin=0, classes=3, block_shape=(16, 16),
    )  # fmt: skip
    here = mapped(torch.device("cpu"), tmp_path / "here", plan)
    there = mapped(torch.device(device), tmp_path / "there", plan)
    assert here == there


@pytest.mark.parametrize("device", DEVICES)
def test_what_comes_back_is_as_it_was_when_it_was_asked_for(device: str) -> None:
    values = torch.arange(2**20, device=device)
    copy = HostCopy(values)
    values.zero_()
    assert np.array_equal(copy.numpy(), np.arange(2**20))
