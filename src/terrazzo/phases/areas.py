"""The verb `areas estimate`: areas of classes with confidence intervals, from reference labels."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from terrazzo.assessment.area_references import References, count_references, read_split
from terrazzo.assessment.area_strata import Strata, count_strata
from terrazzo.assessment.class_map import Legend, parse_legend, read_legend
from terrazzo.assessment.sample_design import SampleDesign, design_path, read_design
from terrazzo.assessment.sample_file import read_points
from terrazzo.calibration.area_bootstrap import bootstrap_areas
from terrazzo.calibration.areas import AreaEstimates, estimate_areas
from terrazzo.errors import ConfigError, DataError, StorageError
from terrazzo.phases.area_notes import area_notes
from terrazzo.phases.area_summary import AreasSummary, summarise
from terrazzo.phases.area_tables import write_tables
from terrazzo.progress import Listener, silent
from terrazzo.report import write_report
from terrazzo.report.areas import write_areas_page
from terrazzo.storage import read_json, write_json

__all__ = ["estimate"]

SPLIT_CAVEAT = (
    "The split {split} is no probability sample of the mapped ground: its images were chosen, not drawn, so these "
    "areas and intervals hold only as far as the map errs as the model does on those images. For figures that can be "
    "defended, draw points with `terrazzo areas sample`."
)
SPLIT_RESAMPLED = (
    "Pixels of one image are not independent: the intervals come from resampling the {images} images of {split}."
)
SPLIT_INTERVALS = (
    "Pixels of one image are not independent: the intervals count each of the {images} images of the split {split} as "
    "one observation."
)


def estimate(
    source: Path,
    *,
    maps: Sequence[Path] = (),
    design: Path | None = None,
    split: str = "test",
    level: float = 0.95,
    classes: str | None = None,
    without: Sequence[str] = (),
    also: Sequence[str] = (),
    out: Path | None = None,
    listener: Listener = silent,
) -> AreasSummary:
    """Estimate areas and accuracies of classes with confidence intervals.

    Args:
        source: A sample file whose column `reference` is filled, or a run folder whose split was evaluated.
        maps: Maps that the areas are of. A sample needs them only where its design is lost; of a run folder they are
            the maps in it if none are given.
        design: The sample's design; the file beside the sample if None.
        split: Of a run folder.
        level: Confidence level of the intervals, between 0 and 1.
        classes: The maps' classes where their tags do not say them, as `1=forest,2=water` or `forest,water`.
        without: Classes and other values of the maps that are no part of the population.
        also: Reference classes that no map has.
        out: Folder for tables and page; `NAME-areas` beside the sample, or `areas` in the run folder, if None.
        listener: Receives progress.

    Returns:
        Figures; also `summary.json`, `areas.csv`, `error_matrix.csv` and `report.html` in the folder.

    Raises:
        ConfigError: The arguments contradict each other.
        DataError: A file is missing or damaged, or points do not fit the design.
        LabelError: A reference class is unknown.
        StorageError: A file cannot be written.
    """
    begun = time.monotonic()
    legend_given = parse_legend(classes) if classes else None
    if source.is_dir():
        if design is not None or also:
            raise ConfigError(f"{source} is a run folder; --design and --also are for sample files.")
        strata = _strata_of_maps(maps or _maps_of_run(source), legend_given, without, listener)
        references = read_split(source / "evaluate" / split, strata.legend)
        folder, named = out or source / "areas", source / "evaluate" / split
        caveat, drawn = SPLIT_CAVEAT.format(split=split), None
    else:
        strata, drawn = _strata_of_sample(source, maps, design, legend_given, without, listener)
        references = count_references(read_points(source), strata.legend, also=also, name=str(source))
        folder, named, caveat = out or source.with_name(f"{source.stem}-areas"), source, None
    extra = len(references.names) - len(strata.legend.names)
    pixels = np.pad(strata.pixels, (0, extra))
    areas = np.pad(strata.areas, (0, extra))
    notes = [*strata.warnings]
    if references.images is not None:
        references = _of_mapped_classes(references, areas)
        text = SPLIT_INTERVALS if references.per_image is None else SPLIT_RESAMPLED
        notes.append(text.format(images=references.images, split=split))
    elif drawn is not None:
        references = _with_lost_points(references, drawn, source)
    found = _estimated(references, areas, pixels, level)
    notes += area_notes(found, references, strata.unit)
    summary = summarise(found, references, strata, tuple(notes), caveat, folder, named, time.monotonic() - begun)
    write_tables(folder, summary.as_dict())
    write_json(folder / "summary.json", summary.as_dict())
    write_areas_page(summary.report, summary.as_dict())
    if source.is_dir() and (source / "log.csv").is_file():
        write_report(source)
    return summary


def _estimated(
    references: References,
    areas: Float64[np.ndarray, " class"],
    pixels: Int64[np.ndarray, " class"],
    level: float,
) -> AreaEstimates:
    """Return estimates: from points, from resampled images, or from pixels that count as so many images."""
    if references.per_image is not None:
        return bootstrap_areas(references.per_image, areas, level=level)
    units = None if references.images is None else float(references.images)
    return estimate_areas(references.counts, areas, pixels=pixels, level=level, units=units)


def _of_mapped_classes(references: References, areas: Float64[np.ndarray, " class"]) -> References:
    """Drop pixels predicted as a class that the maps do not have; a single image cannot be resampled."""
    kept = (areas > 0)[:, None]
    per_image = references.per_image
    if per_image is not None:
        per_image = np.where(kept, per_image, 0) if len(per_image) > 1 else None
    return replace(references, counts=np.where(kept, references.counts, 0), per_image=per_image)


def _strata_of_maps(maps: Sequence[Path], legend: Legend | None, without: Sequence[str], listener: Listener) -> Strata:
    return count_strata(maps, read_legend(maps, legend), left_out=without, listener=listener)


def _maps_of_run(folder: Path) -> list[Path]:
    """Return the maps that a run has made."""
    path = folder / "predict" / "summary.json"
    try:
        content = read_json(path)
        named = [Path(entry["out"]) for entry in content["maps"]]
    except (StorageError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} names no maps in predict/summary.json; say with --map of which maps the areas are wanted."
        ) from error
    found = [one if one.is_file() else folder / "predict" / one.name for one in named]
    if not found or not all(one.is_file() for one in found):
        raise DataError(f"The maps that {path} names are not there; say with --map of which maps the areas are wanted.")
    return found


def _strata_of_sample(
    source: Path,
    maps: Sequence[Path],
    design: Path | None,
    legend: Legend | None,
    without: Sequence[str],
    listener: Listener,
) -> tuple[Strata, SampleDesign | None]:
    """Return the strata that a sample was drawn from, by its design or else by the maps."""
    if maps:
        if design is not None:
            raise ConfigError("--design and --map contradict each other: both say what the sample was drawn from.")
        return _strata_of_maps(maps, legend, without, listener), None
    if legend is not None or without:
        raise ConfigError("--classes and --without belong to --map; the design knows what the sample was drawn from.")
    path = design or design_path(source)
    if not source.is_file():
        raise DataError(f"{source} does not exist; name the sample file whose column `reference` was filled.")
    if not path.is_file():
        raise DataError(
            f"{path} does not exist, so nothing says how much ground each class has; name the design with --design, or "
            "the maps with --map."
        )
    known = read_design(path)
    colours = [one.colour for one in known.strata]
    return (
        Strata(
            legend=Legend(
                tuple(one.name for one in known.strata),
                tuple(one.value for one in known.strata),
                tuple(colour for colour in colours if colour is not None) if None not in colours else (),
            ),
            pixels=np.array([one.pixels for one in known.strata], dtype=np.int64),
            areas=np.array([one.area for one in known.strata], dtype=np.float64),
            unit=known.unit,
            maps=tuple(map(Path, known.maps)),
            left_out=known.left_out,
        ),
        known,
    )


def _with_lost_points(references: References, design: SampleDesign, source: Path) -> References:
    """Count points that the design drew but the file lacks as unfilled, and refuse ones that it did not draw."""
    held = references.counts.sum(axis=1) + references.unfilled
    unfilled = references.unfilled.copy()
    for place, one in enumerate(design.strata):
        if held[place] > one.points:
            raise DataError(
                f'{source} holds {held[place]} points mapped as "{one.name}", but its design drew {one.points}; name '
                "the design that belongs to it with --design, or the maps with --map."
            )
        unfilled[place] += one.points - held[place]
    return replace(references, unfilled=unfilled)
