"""Georeferenced scenes: each with a label of its own, or all with labels that lie anywhere and cover them."""

import glob
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.sources.pairing import Labeller, PairedSource
from terrazzo.data.sources.source import Listing, Pair
from terrazzo.data.sources.vector_labels import SceneVectors
from terrazzo.errors import DataError

__all__ = ["GeotiffSource"]


class GeotiffSource(PairedSource):
    """Scenes that say where they lie, with label rasters in any coordinate reference system, resolution and extent."""

    name: Literal["geotiff"] = "geotiff"
    """Name of this source."""
    label_rasters: tuple[Path, ...] = ()
    """Rasters that label all scenes, instead of a label for each: paths, or patterns such as "cover/*.tif". Where
    several hold a pixel, the first that says something counts. Without `images`, all other rasters below the folder
    are scenes."""
    label_vectors: VectorLabel | None = None
    """Vector files that label scenes, instead of rasters: for all of them, patterns such as "cover/*.gpkg" too, or
    named after each, such as "labels/{stem}.geojson". Without `images`, all rasters below the folder are scenes."""
    unlabelled: bool = False
    """Keep scenes without label too; nothing is learned from them."""

    @model_validator(mode="after")
    def _one_way(self) -> "GeotiffSource":
        ways = {"labels": self.labels, "label_rasters": self.label_rasters, "label_vectors": self.label_vectors}
        given = [name for name, way in ways.items() if way]
        if len(given) > 1:
            raise ValueError(
                f"give `labels`, one for each scene, `label_rasters`, for all of them, or `label_vectors`, not "
                f"{' and '.join(given)}"
            )
        return self

    @property
    def georeferenced(self) -> bool:
        """Yes: a scene without a coordinate reference system is an error."""
        return True

    @property
    def labelled_beside(self) -> bool:
        """Whether each scene must have a label file of its own."""
        return not (self.label_rasters or self.label_vectors or self.unlabelled)

    def labeller(self) -> Labeller:
        """Return what finds the labels of scenes that have no label raster of their own.

        Raises:
            ConfigError: A word in braces is not known.
            DataError: A label file does not exist.
        """
        if self.label_vectors is not None:
            vectors = SceneVectors(self.label_vectors, self.folder, self.images)
            return lambda image: self._from_vectors(image, vectors)
        rasters = self._shared_rasters()
        label = RasterLabel(rasters=rasters, may_miss=self.unlabelled) if rasters else None
        return lambda _: label

    def _from_vectors(self, image: Path, vectors: SceneVectors) -> Label | None:
        label = vectors.of(image)
        if label is None and not self.unlabelled:
            names = ", ".join(map(str, vectors.label.vectors))
            raise DataError(
                f"{image}: there is no {names} for it; set data.source.unlabelled to keep scenes without label."
            )
        return label

    def pairs(self) -> Listing:
        """List scenes with their labels, opening none of them.

        Raises:
            DataError: Nothing is there, or scenes and labels do not match.
            ConfigError: A pattern holds an unknown word.
        """
        listing = super().pairs()
        shared = {path.resolve() for path in self._shared_rasters()}
        scenes = [pair for pair in listing.pairs if pair.image.resolve() not in shared]
        if not scenes:
            raise DataError(f"{self.folder} holds no scene beside the label rasters.")
        return Listing(tuple(scenes), (*listing.notes, *_bare(scenes)))

    def _shared_rasters(self) -> tuple[Path, ...]:
        """Return the label rasters, patterns resolved."""
        found: dict[Path, None] = {}
        for path in self.label_rasters:
            named = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
            if not named:
                raise DataError(f"data.source.label_rasters: there is no file {path}.")
            found |= dict.fromkeys(item.absolute() for item in named)
        return tuple(found)


def _bare(scenes: list[Pair]) -> tuple[str, ...]:
    """Return a note about scenes without label."""
    bare = [pair.image_id for pair in scenes if pair.label is None]
    if not bare:
        return ()
    shown = ", ".join(bare[:5]) + (" ..." if len(bare) > 5 else "")
    return (f"{len(bare)} of {len(scenes)} scenes have no label, and nothing is learned from them ({shown})",)
