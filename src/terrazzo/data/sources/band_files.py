"""Scenes whose bands lie in separate files, such as `landsat_b2.tif`, `landsat_b3.tif`, ..."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.sources.pattern import Pattern, raster_files
from terrazzo.data.sources.source import Listing, Pair, Source, role_of
from terrazzo.data.sources.vector_labels import SceneVectors
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band

__all__ = ["BandFilesSource"]

_WORDS = ("band", "split", "region")

Key = tuple[str, ...]


@dataclass(frozen=True)
class _Scene:
    """Files of one scene by band, with what their paths say."""

    name: str
    split: str | None
    region: str | None
    files: dict[str, Path]


class BandFilesSource(Source):
    """Scenes with one file a band; what `{band}` stands for in a file's name is the band's name."""

    name: Literal["band_files"] = "band_files"
    """Name of this source."""
    folder: Path
    """Folder that holds everything."""
    images: str
    """Pattern of the band files below the folder with `{band}` in it, such as "raster/landsat_{band}.tif" or
    "{band}_patch_*.TIF"; what the stars stand for is the scene's name."""
    labels: str | None = None
    """Pattern of the label rasters: with as many stars as `images`, one a scene; without a star, one for all scenes. No
    labels if not given."""
    label_vectors: VectorLabel | None = None
    """Vector files that label the scenes, instead of rasters: for all of them, patterns such as "cover/*.gpkg" too, or
    named after each scene, such as "labels/{stem}.geojson"."""
    bands: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What `{band}` may stand for, in channel order; whatever the names say if not given. Every scene must have them
    all."""
    unmatched: Literal["error", "skip"] = "error"
    """What to do with a scene that lacks a band or its label."""

    @model_validator(mode="after")
    def _patterns_agree(self) -> "BandFilesSource":
        images = Pattern(self.images, _WORDS)
        if "band" not in images.names:
            raise ValueError(f'`images` is "{self.images}", but needs {{band}} where the band stands in file names')
        if self.labels is not None:
            stars = Pattern(self.labels, _WORDS).stars
            if "band" in Pattern(self.labels, _WORDS).names:
                raise ValueError(f'`labels` is "{self.labels}"; a label belongs to all bands, so it has no {{band}}')
            if stars not in {0, images.stars}:
                raise ValueError(f'"{self.labels}" needs as many stars as "{self.images}", or none')
        if self.labels is not None and self.label_vectors is not None:
            raise ValueError("give `labels`, which are rasters, or `label_vectors`, not both")
        if self.bands is not None and len(set(self.bands)) < len(self.bands):
            raise ValueError(f"`bands` names a band twice: {', '.join(self.bands)}")
        return self

    def pairs(self) -> Listing:
        """List the scenes, opening no file.

        Raises:
            DataError: No file fits the pattern; a scene lacks a band or its label.
            ConfigError: A pattern holds an unknown word.
        """
        folder = self.folder.absolute()
        files = raster_files(folder)
        rasters = self._labels(folder, files)
        scenes = self._scenes(folder, files, set(rasters.values()))
        if not scenes:
            seen = f"{len(files)} raster files lie there, such as {files[0]}" if files else "it holds no raster file"
            raise DataError(f'{folder}: no file matches data.source.images "{self.images}"; {seen}.')
        bands = self._order(scenes.values())
        labels = self._of_scenes(folder, scenes, rasters)
        problems = dict(self._problems(scenes, labels, bands))
        if problems and self.unmatched == "error":
            raise DataError(
                f"{folder}: {'; '.join(problems.values())}. Check the names, name the bands that all scenes have in "
                "data.source.bands, or set data.source.unmatched: skip."
            )
        whole = {key: scene for key, scene in scenes.items() if key not in problems}
        if not whole:
            raise DataError(f"{folder}: no scene is whole: {'; '.join(problems.values())}.")
        pairs = [_pair(scene, bands, labels.get(key)) for key, scene in whole.items()]
        pairs.sort(key=lambda pair: pair.image_id)
        return Listing(tuple(pairs), tuple(f"left out: {problem}" for problem in problems.values()))

    def _of_scenes(self, folder: Path, scenes: Mapping[Key, _Scene], rasters: Mapping[Key, Path]) -> dict[Key, Label]:
        """Return the label of each scene that has one."""
        if self.label_vectors is not None:
            vectors = SceneVectors(self.label_vectors, folder)
            shaped = {key: vectors.of(folder / f"{scene.name}.tif") for key, scene in scenes.items()}
            return {key: label for key, label in shaped.items() if label is not None}
        files = {key: rasters.get(key, rasters.get(())) for key in scenes}
        return {key: RasterLabel(rasters=(path,)) for key, path in files.items() if path is not None}

    def _labels(self, folder: Path, files: Sequence[str]) -> dict[Key, Path]:
        """Return the label of each scene; one for all has the key of no stars and no words."""
        if self.labels is None:
            return {}
        pattern = Pattern(self.labels, _WORDS)
        found: dict[Key, Path] = {}
        for path in files:
            words = pattern.match(path)
            if words is not None:
                key = self._key(words) if pattern.stars else ()
                if key in found:
                    raise DataError(f"{found[key]} and {folder / path} could both be the label of one scene.")
                found[key] = folder / path
        if not found:
            raise DataError(f'{folder}: no file matches data.source.labels "{self.labels}".')
        return found

    def _key(self, words: Mapping[str, str]) -> Key:
        """Return what makes files of one scene: the stars and the words that both patterns hold."""
        shared = Pattern(self.images, _WORDS).names - {"band"}
        if self.labels is not None:
            shared &= Pattern(self.labels, _WORDS).names
        stars = (str(number) for number in range(1, Pattern(self.images, _WORDS).stars + 1))
        return tuple(words.get(word, "") for word in (*sorted(shared), *stars))

    def _scenes(self, folder: Path, files: Sequence[str], labels: set[Path]) -> dict[Key, _Scene]:
        """Sort band files into scenes; a file that is a label is no band."""
        pattern = Pattern(self.images, _WORDS)
        scenes: dict[Key, _Scene] = {}
        for path in files:
            words = pattern.match(path)
            if words is None or folder / path in labels:
                continue
            band = words["band"]
            if self.bands is not None and band not in self.bands:
                continue
            split, region = role_of(words.get("split", "")), words.get("region")
            scene = scenes.setdefault(self._key(words), _Scene(self._name(words), split, region, {}))
            if band in scene.files:
                raise DataError(f"{scene.files[band]} and {folder / path} are both band {band} of one scene.")
            scene.files[band] = folder / path
        return scenes

    def _name(self, words: Mapping[str, str]) -> str:
        """Return a scene's name: what words and stars stand for; where there are none, the pattern's own words."""
        order = ("split", "region", *(str(number) for number in range(1, Pattern(self.images, _WORDS).stars + 1)))
        parts = [words[word] for word in order if words.get(word)]
        return "/".join(parts) or PurePosixPath(self.images.replace("{band}", "")).stem.strip("_-. ") or "scene"

    def _order(self, scenes: Iterable[_Scene]) -> list[str]:
        """Return the bands of every scene."""
        return list(self.bands or sorted({band for scene in scenes for band in scene.files}))

    def _problems(
        self, scenes: Mapping[Key, _Scene], labels: Mapping[Key, Label], bands: Sequence[str]
    ) -> Iterator[tuple[Key, str]]:
        """Yield a sentence for each scene that is not whole."""
        for key, scene in scenes.items():
            lacking = [f"band {band}" for band in bands if band not in scene.files]
            if key not in labels and (self.labels is not None or self.label_vectors is not None):
                lacking.append("its label")
            if lacking:
                yield key, f"{scene.name} lacks {', '.join(lacking)}"


def _pair(scene: _Scene, bands: Sequence[str], label: Label | None) -> Pair:
    return Pair(
        image_id=scene.name,
        image=scene.files[bands[0]],
        extra=tuple(scene.files[band] for band in bands[1:]),
        label=label,
        split=scene.split,
        region=scene.region,
        band_records=tuple(Band(name=band) for band in bands),
    )
