"""Images annotated in CVAT: the files of one or several tasks, or of a project, with the images beside them."""

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

from pydantic import Field

from terrazzo.data.classes import Classes
from terrazzo.data.labels.cvat import CvatDrawing, CvatLabel
from terrazzo.data.labels.cvat_file import CvatImage, read_cvat
from terrazzo.data.labels.drawing import ground_class
from terrazzo.data.sources.pattern import RASTER_SUFFIXES
from terrazzo.data.sources.source import Listing, Pair, Source, role_of
from terrazzo.data.splitting.settings import Role
from terrazzo.errors import DataError, LabelError

__all__ = ["CvatSource"]

_SHOWN = 5


class CvatSource(Source):
    """Annotation files of CVAT for images 1.1, and the images that they name."""

    name: Literal["cvat"] = "cvat"
    """Name of this source."""
    folder: Path
    """Folder of annotation files and images."""
    annotations: tuple[Annotated[str, Field(min_length=1)], ...] = ("**/*.[xX][mM][lL]",)
    """Annotation files, as paths or patterns below the folder; every XML file in it if not given."""
    images: Path | None = None
    """Folder of the images; if not given, `images/` beside the annotation file, the file's own folder, `images/` in the
    source's folder, and that folder itself are searched, in this order."""
    drawing: CvatDrawing = CvatDrawing()
    """How shapes become pixels."""
    unannotated: Literal["skip", "background"] = "skip"
    """Images without any shape: left out, since nobody may have looked at them; or background everywhere."""
    missing: Literal["error", "skip"] = "error"
    """Images that the annotation files name and that do not exist: an error, or left out."""
    roles: dict[str, Role] | None = None
    """Roles that further tags and subsets stand for, beside train, val, valid, validation, calibrate and test."""

    def require_classes(self, classes: Classes) -> None:
        """Refuse classes among which the background is not.

        Raises:
            ValueError: `drawing.background` names no class.
        """
        try:
            ground_class(self.drawing.background, classes)
        except LabelError as error:
            raise ValueError(str(error)) from error

    def pairs(self) -> Listing:
        """List the images that are annotated, opening none of them.

        Raises:
            DataError: There is no annotation file, one is damaged or no CVAT, an image is missing, annotated twice or
                leads out of the folder, or its tags say several roles.
        """
        files = self._files()
        found: list[_Found] = []
        missing: list[str] = []
        for path in files:
            for image in read_cvat(path).images:
                place = self._locate(path, image)
                if place is None:
                    missing.append(f"{image.name} (in {path})")
                else:
                    found.append(_Found(path, image, *place))
        if missing and self.missing == "error":
            raise DataError(
                f"missing below {self.images or self.folder}: {_counted(missing, 'image')} that the annotations name "
                f"({_some(missing)}). Put them there, name their folder with data.source.images, or set "
                "data.source.missing: skip."
            )
        _require_once(found)
        bare = [entry for entry in found if not entry.image.shapes]
        kept = [entry for entry in found if entry.image.shapes or self.unannotated == "background"]
        if not kept:
            raise DataError(
                f"{self.folder}: no image is left of {len(found) + len(missing)}; {_reasons(bare, missing)}."
            )
        names = _names(kept)
        tasks = {(entry.annotations, entry.image.task) for entry in kept}
        pairs = [self._pair(entry, name, several=len(tasks) > 1) for entry, name in zip(kept, names, strict=True)]
        return Listing(tuple(sorted(pairs, key=lambda pair: pair.image_id)), tuple(self._notes(kept, bare, missing)))

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            raise DataError(
                f"{self.folder} is not a folder; data.source.folder names where annotations and images lie."
            )
        found: dict[Path, None] = {}
        for text in self.annotations:
            if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
                raise DataError(f'data.source.annotations: "{text}" leads out of {self.folder}.')
            # A name may hold the signs of patterns. Unlike Path.glob, glob.glob follows linked folders.
            literal = (self.folder / text).is_file()
            listed = [text] if literal else sorted(glob.glob(text, root_dir=self.folder, recursive=True))  # noqa: PTH207
            paths = [self.folder.absolute() / path for path in listed if not path.lower().endswith(".aux.xml")]
            named = [path for path in paths if path.is_file()]
            if not named:
                raise DataError(f"{self.folder} holds no annotation file {text}; export as CVAT for images 1.1.")
            found.update(dict.fromkeys(named))
        return list(found)

    def _locate(self, annotations: Path, image: CvatImage) -> tuple[Path, str] | None:
        """Return the file of an image and its path below the folder of images, or None where it does not exist."""
        parts = PurePosixPath(image.name)
        if parts.is_absolute() or PureWindowsPath(image.name).drive or ".." in parts.parts:
            raise DataError(f'{annotations}: the image "{image.name}" leads out of the folder of images.')
        beside, folder = annotations.parent, self.folder.absolute()
        bases = (
            [beside / "images", beside, folder / "images", folder] if self.images is None else [self.images.absolute()]
        )
        # A project's images may lie in a folder for each subset; a video's frames are named without a suffix.
        inner = [PurePosixPath(image.subset) / parts, parts] if _is_folder_name(image.subset) else [parts]
        endings = [""] if parts.suffix.lower() in RASTER_SUFFIXES else ["", ".png", ".PNG", ".jpg"]
        for base in bases:
            for path in inner:
                for ending in endings:
                    if (file := base / f"{path}{ending}").is_file():
                        return file, self._below(base, f"{path}{ending}")
        return None

    def _below(self, base: Path, path: str) -> str:
        """Return what tells an image from all others: its path, and the folder of its task where there are several."""
        base = base.parent if base.name == "images" else base
        folder = self.folder.absolute()
        return (base.relative_to(folder) / path).as_posix() if base.is_relative_to(folder) else path

    def _pair(self, entry: "_Found", image_id: str, *, several: bool) -> Pair:
        image = entry.image
        return Pair(
            image_id=image_id,
            image=entry.file,
            label=CvatLabel(
                annotations=entry.annotations,
                image=image.name,
                place=(image.begin, image.size),
                drawing=self.drawing,
            ),
            split=self._role(entry),
            region=(image.task or entry.annotations.parent.name) if several else None,
        )

    def _role(self, entry: "_Found") -> str | None:
        """Return the role that an image's tags say, or else its subset."""
        further = self.roles or {}
        roles = {role for tag in entry.image.tags if (role := further.get(tag) or role_of(tag))}
        if len(roles) > 1:
            raise DataError(
                f'{entry.annotations}: the tags of "{entry.image.name}" say {" and ".join(sorted(roles))}; an image '
                "has one role."
            )
        subset = entry.image.subset
        return roles.pop() if roles else further.get(subset) or role_of(subset)

    def _notes(self, kept: "Sequence[_Found]", bare: "Sequence[_Found]", missing: Sequence[str]) -> Iterator[str]:
        if missing:
            yield f"left out: {_counted(missing, 'image')} without a file ({_some(missing)})"
        if bare and self.unannotated == "skip":
            names = [entry.image.name for entry in bare]
            yield (
                f"left out: {_counted(bare, 'image')} without any shape ({_some(names)}); "
                "data.source.unannotated: background takes them for background"
            )
        if others := sum(entry.image.other_shapes for entry in kept):
            yield f"not drawn, since they mean no pixels: {others} cuboids and skeletons"


@dataclass(frozen=True)
class _Found:
    """An image that exists.

    Attributes:
        annotations: File that describes it.
        image: What that file says.
        file: The image.
        below: What tells it from the others.
    """

    annotations: Path
    image: CvatImage
    file: Path
    below: str


def _is_folder_name(subset: str) -> bool:
    return subset not in {"", ".", ".."} and "/" not in subset and "\\" not in subset


def _require_once(found: Sequence[_Found]) -> None:
    """Refuse an image that is annotated twice: it has one label."""
    first: dict[Path, _Found] = {}
    for entry in found:
        other = first.setdefault(entry.file.resolve(), entry)
        if other is not entry:
            raise DataError(
                f'{entry.file} is annotated twice: as "{other.image.name}" in {other.annotations} and as '
                f'"{entry.image.name}" in {entry.annotations}. Name the files that count with data.source.annotations.'
            )


def _names(found: Sequence[_Found]) -> list[str]:
    """Name images by their paths without suffix, but with it where only it tells two apart."""
    bare = [_without_suffix(entry.below) for entry in found]
    counts: Mapping[str, int] = Counter(bare)
    return [name if counts[name] == 1 else entry.below for name, entry in zip(bare, found, strict=True)]


def _without_suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in RASTER_SUFFIXES else path


def _reasons(bare: Sequence[_Found], missing: Sequence[str]) -> str:
    found = [f"{len(missing)} do not exist"] if missing else []
    found += [f"{len(bare)} have no shape (data.source.unannotated: background keeps them)"] if bare else []
    return " and ".join(found)


def _counted(things: Sequence[object], what: str) -> str:
    return f"{len(things)} {what}{'s' if len(things) > 1 else ''}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
