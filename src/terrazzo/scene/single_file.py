"""The scene of one file."""

from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.data.catalog import BandPlace
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.part import ScenePart
from terrazzo.scene.settings import PredictSettings

__all__ = ["scene_entry"]


def scene_entry(path: str, settings: PredictSettings, bundle: Bundle) -> SceneEntry:
    """Return the scene of one file."""
    with RasterFile(path) as file:
        places = tuple(BandPlace(band.name, 0, number) for number, band in enumerate(file.bands))
        part = ScenePart(files=(path,), bands=file.bands, places=places, window=file.grid.whole)
        return SceneEntry(
            name=Path(path).stem,
            path=path,
            frame=SceneGrid.of(file.grid),
            bands=file.bands,
            parts=(part,),
            area=settings.area,
        )
