"""Cityscapes as it is distributed: frames in `leftImg8bit/`, annotations in `gtFine/` or `gtCoarse/`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from terrazzo.data.classes import Classes
from terrazzo.data.labels.cityscapes import CITYSCAPES, CityscapesLabel, Form
from terrazzo.data.sources.source import Listing, Pair, Source, role_of
from terrazzo.errors import DataError

__all__ = ["CityscapesSource"]

_IMAGES = "leftImg8bit"
_ENDINGS: Mapping[Form, str] = {
    "labelIds": "labelIds.png",
    "labelTrainIds": "labelTrainIds.png",
    "polygons": "polygons.json",
}


class CityscapesSource(Source):
    """Cityscapes: `leftImg8bit/<split>/<city>/*_leftImg8bit.png` with `gtFine/<split>/<city>/*_gtFine_*`.

    A frame's role is its split folder, its region the city.
    """

    name: Literal["cityscapes"] = "cityscapes"
    """Name of this source."""
    folder: Path
    """Folder that holds leftImg8bit/ and gtFine/ or gtCoarse/."""
    annotations: Literal["fine", "coarse"] = "fine"
    """Which annotations; the coarse ones have the split train_extra too, which trains."""
    labels: Literal["auto", "labelIds", "labelTrainIds", "polygons"] = "auto"
    """Which files of an annotation are read; auto: for each frame, the first of these that is there."""
    outline: bool = False
    """Cover the outlines of polygons too, as the official tool that drew the label images does."""
    unmatched: Literal["error", "skip"] = "error"
    """What to do with a frame without annotation or an annotation without frame."""

    def known_classes(self) -> Classes:
        """Return the 19 judged classes."""
        return CITYSCAPES

    def pairs(self) -> Listing:
        """List frames with their annotations, opening none of them.

        Raises:
            DataError: Nothing is there, or frames and annotations do not match.
        """
        folder, kind = self.folder.absolute(), f"gt{self.annotations.capitalize()}"
        frames = _keyed(folder, _IMAGES, f"_{_IMAGES}.png")
        forms: tuple[Form, ...] = tuple(_ENDINGS) if self.labels == "auto" else (self.labels,)
        annotated: dict[PurePosixPath, CityscapesLabel] = {}
        for form in forms:
            for key, path in _keyed(folder, kind, f"_{kind}_{_ENDINGS[form]}").items():
                drawn = self.outline and form == "polygons"
                annotated.setdefault(key, CityscapesLabel(annotation=path, form=form, outline=drawn))
        problems = self._unmatched(frames, annotated, kind)
        pairs = [
            Pair(
                image_id=str(key),
                image=frames[key],
                label=annotated[key],
                split="train" if key.parts[0] == "train_extra" else role_of(key.parts[0]),
                region=key.parts[1] if len(key.parts) > 2 else None,
            )
            for key in sorted(frames)
            if key in annotated
        ]
        if not pairs:
            raise DataError(f"{self.folder}: no frame has an annotation: {'; '.join(problems)}.")
        if problems and self.unmatched == "error":
            raise DataError(f"{self.folder}: {'; '.join(problems)}. Add the files, or set data.source.unmatched: skip.")
        return Listing(tuple(pairs), tuple(f"left out: {problem}" for problem in problems))

    def _unmatched(
        self, frames: Mapping[PurePosixPath, Path], annotated: Mapping[PurePosixPath, CityscapesLabel], kind: str
    ) -> list[str]:
        wanted = "labelIds, labelTrainIds or polygons" if self.labels == "auto" else self.labels
        bare = sorted(key for key in frames if key not in annotated)
        lonely = sorted(key for key in annotated if key not in frames)
        problems = []
        if bare:
            by_split = ", ".join(
                f"{count} in {split}" for split, count in Counter(key.parts[0] for key in bare).items()
            )
            problems.append(f"frames without {kind} {wanted}: {by_split}, such as {bare[0]}")
        if lonely:
            problems.append(f"{len(lonely)} annotations without frame, such as {lonely[0]}")
        if not frames:
            problems.append(f"{_IMAGES}/<split>/<city>/ holds no *_{_IMAGES}.png")
        return problems


def _keyed(folder: Path, top: str, ending: str) -> dict[PurePosixPath, Path]:
    """Return files by split, city and frame, in the order of their names."""
    base = folder / top
    if not base.is_dir():
        raise DataError(f"{folder} holds no folder {top}; data.source.folder names where it lies.")
    found: dict[PurePosixPath, Path] = {}
    for path in sorted((*base.glob("*/*"), *base.glob("*/*/*"))):
        relative = PurePosixPath(path.relative_to(base).as_posix())
        hidden = any(part.startswith(".") for part in relative.parts)
        if not hidden and path.name.lower().endswith(ending.lower()):
            found[relative.with_name(relative.name[: -len(ending)])] = path
    return found
