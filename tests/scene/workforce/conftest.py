"""A small scene of many strips, and what is needed to compute it in whatever way."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from terrazzo.bundle import Bundle
from terrazzo.data.catalog import BandPlace
from terrazzo.geo.raster import RasterFile
from terrazzo.machine import MachineSettings
from terrazzo.scene.assemble import finished_rows
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.part import ScenePart
from terrazzo.scene.journal import Journal
from terrazzo.scene.plan import ScenePlan, plan_scene
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.rows import SceneRows
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.workforce.job import SceneJob, loaded_plugins


@dataclass(frozen=True)
class Tiny:
    """A job and what its tests look at."""

    job: SceneJob
    plan: ScenePlan
    products: Products

    def journal(self) -> Journal:
        """Return a journal that has just begun."""
        self.job.folder.mkdir(exist_ok=True)
        journal = Journal(self.job.folder)
        journal.begin(self.job.header)
        return journal

    def allowing(self, errors: int) -> "Tiny":
        """Return the same with so many blocks that may stay unreadable."""
        settings = self.job.settings.model_copy(update={"max_errors": errors})
        return Tiny(self.job.model_copy(update={"settings": settings}), self.plan, self.products)

    def source(self) -> SceneRows:
        return SceneRows(self.job.scene.open, self.plan.bands)

    def pixels(self, records: Mapping[int, StripRecord]) -> bytes:
        """Return the bytes of the whole map, every product."""
        rows = list(finished_rows(self.plan.strips, records.__getitem__, self.job.folder, self.products))
        return b"".join(
            np.concatenate([row.products[product.name] for row in rows], axis=1).tobytes() for product in self.products
        )


def entry_of(path: Path) -> SceneEntry:
    """Name a scene of one file."""
    with RasterFile(path) as opened:
        places = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(opened.bands))
        part = ScenePart(files=(str(path),), bands=opened.bands, places=places, window=opened.grid.whole)
        return SceneEntry(
            name=path.stem, path=str(path), frame=SceneGrid.of(opened.grid), bands=opened.bands, parts=(part,)
        )


@pytest.fixture
def make_tiny(
    make_bundle: Callable[..., Bundle], make_scene: Callable[..., Path], tmp_path: Path
) -> Callable[..., Tiny]:
    """Make a job of six strips of two rows of windows each, but for what is said otherwise."""

    def make(shape: tuple[int, int] = (150, 60), **changes: object) -> Tiny:
        bundle = make_bundle("probe_convolution", classes=4, settings={"depth": 2})
        file = tmp_path / "bündle.safetensors"
        bundle.save(file)
        settings = PredictSettings(
            **{"strip_pixels": 28, "layers": ("confidence",), "retries": 0, "report": False, **changes}
        )
        decisions = Decisions(
            device="cpu",
            precision="float32",
            compiled=False,
            threads=1,
            batch_size=3,
            group_size=3,
            strip_pixels=settings.strip_pixels,
        )
        request = Request(weights=bundle.fingerprint, code="1", settings="s", scene="g", device="cpu")
        entry = entry_of(make_scene(shape=shape))
        job = SceneJob(
            bundle=file,
            plugins=loaded_plugins(),
            scene=entry,
            settings=settings,
            machine=MachineSettings(accelerator="cpu", precision="float32", threads=1),
            header=Header(request=request, decisions=decisions),
            folder=tmp_path / "journal ü",
        )
        with entry.open() as opened:
            plan = plan_scene(bundle, opened, settings)
        return Tiny(job, plan, products_of(settings, classes=4, ignore=bundle.classes.ignore))

    return make


@pytest.fixture
def tiny(make_tiny: Callable[..., Tiny]) -> Tiny:
    return make_tiny()


@pytest.fixture
def make_plugin(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a plug-in that changes how a worker behaves."""

    def make(name: str, code: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    return make
