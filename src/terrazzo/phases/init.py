"""The verb `init`: look at a folder, say what it is, and write a configuration that learns from it."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from terrazzo.config import load_config
from terrazzo.config.references import escape
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.recognise.content import read_labels
from terrazzo.data.recognise.labels import ClassGuess, guess_classes
from terrazzo.data.recognise.layouts import Recognised, recognise
from terrazzo.data.recognise.proposals import propose
from terrazzo.data.recognise.shapes import classes_of_annotations, guess_shapes
from terrazzo.data.recognise.sidecars import find_names
from terrazzo.data.recognise.survey import Survey, sample_pairs, survey
from terrazzo.data.recognise.view import View
from terrazzo.data.recognise.writing import Draft, render, sentences
from terrazzo.errors import DataError, StorageError
from terrazzo.phases.summary import Summary
from terrazzo.progress import Listener, Progress, silent

__all__ = ["CONFIG_FILE", "InitSummary", "init"]

CONFIG_FILE = "terrazzo.yaml"
"""Name of the configuration; commands find it by that name."""


@dataclass(frozen=True, kw_only=True)
class InitSummary(Summary):
    """What `init` found and wrote.

    Attributes:
        config: The configuration.
        layout: What the folder was recognised as.
        source: Name of the source that reads it.
        images: Labelled images.
        sampled: Images whose headers and labels were read.
        bands: Band names.
        shares: Share of each class among the labelled pixels that were read.
        found: Sentences about the data.
        reasons: Sentences about the classes: where they come from and what to check.
    """

    config: Path
    layout: str
    source: str
    images: int
    sampled: int
    bands: tuple[str, ...]
    shares: dict[str, float]
    found: tuple[str, ...]
    reasons: tuple[str, ...]


def init(folder: Path | str, *, out: Path | None = None, listener: Listener = silent) -> InitSummary:
    """Recognise the data in a folder and write a commented configuration for it.

    At most 24 images and labels are read, evenly spaced; of large ones nine windows.

    Args:
        folder: Images and labels in one of the layouts that Terrazzo reads.
        out: Folder for `terrazzo.yaml`, or the file to write if it ends in .yaml or .yml; the working directory if
            None.
        listener: Receives progress.

    Raises:
        DataError: No layout is recognised, or a file of the sample cannot be read.
        StorageError: The configuration exists already, or cannot be written.
    """
    begun = time.monotonic()
    file = _target(out)
    with Progress("look at the data", listener=listener):
        draft, source = _draft(Path(folder))
    _write(file, render(draft, file=str(file), escape=escape))
    return InitSummary(
        folder=file.parent,
        seconds=time.monotonic() - begun,
        config=file,
        layout=draft.layout.title,
        source=source,
        images=len(draft.survey.pairs),
        sampled=len(draft.survey.entries),
        bands=draft.survey.bands.names,
        shares=dict(draft.survey.shares),
        found=tuple(sentences(draft)),
        reasons=draft.reasons,
    )


def _draft(folder: Path) -> tuple[Draft, str]:
    """Return what is to be written, and the source's name."""
    view = View.of(folder)
    found = recognise(view)
    guess = _classes(view, found)
    known = found.source.known_classes()
    if guess is None and known is None:
        raise DataError(f"{view.folder}: nothing says which classes its labels hold; write data.classes by hand.")
    classes = Classes.model_validate(guess.settings) if guess is not None else known
    if classes is None:
        raise TypeError("classes are guessed or known")
    looked = survey(found.listing, classes, georeferenced=found.source.georeferenced)
    return Draft(
        name=_name(view.folder),
        folder=view.folder,
        layout=found.layout,
        classes=None if guess is None else guess.settings,
        reasons=() if guess is None else guess.reasons,
        survey=looked,
        proposal=propose(looked, above=found.layout.above),
        notes=(*found.listing.notes, *_unused(view, found), *_transparent(looked)),
    ), found.source.name


def _transparent(looked: Survey) -> list[str]:
    """Return a sentence about a band of scenes that counts as transparency and may be near infrared."""
    if looked.transparency is None or looked.entries[0].crs is None:
        return []
    note = (
        f"band {looked.transparency} is marked as transparency, and says which pixels are missing; where it is a "
        "measurement such as near infrared, name all bands in data.bands, and you are told how to take the mark away"
    )
    return [note]


def _unused(view: View, found: Recognised) -> list[str]:
    """Return a sentence about rasters that the layout leaves aside."""
    used = {path for pair in found.listing.pairs for path in pair.all_files}
    left = [path for path in view.rasters if view.folder / path not in used]
    return [f"{len(left)} raster file{'s' if len(left) > 1 else ''} not used, such as {left[0]}"] if left else []


def _target(out: Path | None) -> Path:
    """Return the file to write, which must not exist."""
    out = out or Path()
    file = out if out.suffix.lower() in {".yaml", ".yml"} else out / CONFIG_FILE
    if file.exists() or file.is_symlink():
        raise StorageError(
            f"{file} exists already and is not overwritten; remove it, or name another place with --out."
        )
    return file


def _classes(view: View, found: Recognised) -> ClassGuess | None:
    """Guess the classes by what the labels are; None where the source knows them."""
    if found.source.known_classes() is not None:
        return None
    labels = [pair.label for pair in sample_pairs(found.listing) if pair.label is not None]
    first = labels[0]
    if isinstance(first, RasterLabel):
        files = list(dict.fromkeys(path for label in labels for path in label.files))
        content = read_labels(files)
        every = {path for pair in found.listing.pairs if pair.label is not None for path in pair.label.files}
        words = f"{view.folder.name} {' '.join(str(path.relative_to(view.folder)) for path in files[:20])}"
        return guess_classes(content, find_names(view), path_words=words, whole=len(files) == len(every))
    if first.name == "cvat":
        return classes_of_annotations(first.file)
    if first.name == "vector":
        return guess_shapes(first.file, path_words=f"{view.folder.name}/{first.file.name}").classes
    return None


def _name(folder: Path) -> str:
    """Return a run's name after a folder: what any file system and shell takes without quotes."""
    return re.sub(r"[^\w\-]+", "-", folder.name).strip("-_") or "data"


def _write(file: Path, text: str) -> None:
    """Write a new file, and take it back where it is no configuration."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise StorageError(f"{file} exists already and is not overwritten.") from None
    except UnicodeEncodeError as error:
        file.unlink(missing_ok=True)
        raise DataError(f"a path holds signs that are no text and cannot stand in a configuration: {error}.") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror}.") from error
    whole = False
    try:
        load_config(str(file))
        whole = True
    finally:
        if not whole:
            file.unlink()
