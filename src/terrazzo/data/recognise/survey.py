"""What a bounded sample of a data set says about all of it: sizes, bands, resolution, class shares."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.reading import decode_label
from terrazzo.data.recognise.content import sample_windows
from terrazzo.data.recognise.overlap import largest_overlap
from terrazzo.data.sources.headers import Header, read_header
from terrazzo.data.sources.source import Listing, Pair
from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands

__all__ = ["SAMPLE", "Survey", "sample_pairs", "survey"]

SAMPLE = 24
"""Images whose headers and labels are read."""


@dataclass(frozen=True)
class Survey:
    """What is known of a data set.

    Attributes:
        pairs: Every labelled image.
        entries: Images of the sample.
        bands: Bands of the first of them.
        shares: Share of each class among the labelled pixels that were read.
        ignored: Share of the pixels that were read that no class counts.
        every_pixel: Whether the labels of the sample were read from end to end.
        overlap: Largest share of a frame that lies in another's, among the sample and its neighbours in the listing.
        transparency: Number, from 1, of the band of the first of them that is marked as transparency; None for none.
    """

    pairs: tuple[Pair, ...]
    entries: tuple[ImageEntry, ...]
    bands: Bands
    shares: Mapping[str, float]
    ignored: float
    every_pixel: bool
    overlap: float = 0.0
    transparency: int | None = None

    @property
    def roles(self) -> dict[str | None, int]:
        """Images of each role that the layout says; None where it says none."""
        return dict(Counter(pair.split for pair in self.pairs))

    @property
    def regions(self) -> dict[str, int]:
        """Images of each region, by name."""
        found = Counter(pair.region for pair in self.pairs if pair.region is not None)
        return {name: found[name] for name in sorted(found)}

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the images of the sample, each once, sorted."""
        return sorted({(entry.height, entry.width) for entry in self.entries})

    @property
    def side(self) -> int:
        """Median of the shorter sides, in pixels."""
        return int(np.median([min(entry.height, entry.width) for entry in self.entries]))

    @property
    def pixels(self) -> float:
        """Pixels of all images, as the sample suggests."""
        return float(np.mean([entry.height * entry.width for entry in self.entries])) * len(self.pairs)

    @property
    def resolution_m(self) -> tuple[float, float] | None:
        """Smallest and largest pixel in metres; None where the files do not say where they lie."""
        found = [metres for entry in self.entries if (metres := entry.grid.resolution_m) is not None]
        return (min(found), max(found)) if found else None

    @property
    def imbalance(self) -> float:
        """How many times the most frequent class exceeds the rarest that was seen; 1 where one was seen."""
        seen = [share for share in self.shares.values() if share > 0]
        return max(seen) / min(seen) if seen else 1.0


def sample_pairs(listing: Listing) -> list[Pair]:
    """Return at most `SAMPLE` labelled images, evenly spaced over the listing."""
    labelled = [pair for pair in listing.pairs if pair.label is not None]
    step = max(len(labelled) / SAMPLE, 1)
    return [labelled[int(number * step)] for number in range(min(SAMPLE, len(labelled)))]


def survey(listing: Listing, classes: Classes, *, georeferenced: bool) -> Survey:
    """Read the headers and labels of a sample.

    Args:
        listing: Images of a source.
        classes: How labels name classes; what they do not list counts as ignored here.
        georeferenced: Whether images must have a coordinate reference system.

    Raises:
        DataError: A file cannot be read.
    """
    labelled = tuple(pair for pair in listing.pairs if pair.label is not None)
    chosen = sample_pairs(listing)
    if not chosen:
        raise DataError("no image has a label, so that nothing can be said about classes.")
    headers = [read_header(pair, georeferenced=georeferenced) for pair in chosen]
    lenient = classes if classes.unlisted == "background" else classes.model_copy(update={"unlisted": "ignore"})
    counted = np.zeros(len(classes) + 1, dtype=np.int64)
    every_pixel = True
    for header in headers:
        pixels, complete = _count(header, lenient)
        counted += pixels
        every_pixel &= complete
    total, known = int(counted.sum()), int(counted[:-1].sum())
    return Survey(
        pairs=labelled,
        entries=tuple(header.entry for header in headers),
        bands=headers[0].bands,
        shares={name: int(count) / max(known, 1) for name, count in zip(classes.names, counted, strict=False)},
        ignored=int(counted[-1]) / max(total, 1),
        every_pixel=every_pixel,
        overlap=largest_overlap([header.entry.grid for header in (*headers, *_neighbours(labelled, chosen))]),
        transparency=headers[0].transparency,
    )


def _neighbours(labelled: Sequence[Pair], chosen: Sequence[Pair]) -> list[Header]:
    """Read the header of the image that follows each one of the sample: names of neighbours are often alike."""
    names = {pair.image_id for pair in chosen}
    following = [
        two for one, two in itertools.pairwise(labelled) if one.image_id in names and two.image_id not in names
    ]
    return [read_header(pair, georeferenced=False) for pair in following]


def _count(header: Header, classes: Classes) -> tuple[Sequence[int], bool]:
    """Count the pixels of each class, and last those of none, in the windows of one image's label."""
    entry = header.entry
    counted = np.zeros(len(classes) + 1, dtype=np.int64)
    windows, complete = sample_windows(entry.height, entry.width)
    if entry.label is None:
        return counted.tolist(), complete
    area = entry.area.open(entry.grid) if entry.area else None
    with entry.label.open(entry.grid) as reader:
        for window in windows:
            target = decode_label(reader, area, window, classes).target
            listed = np.where(target < len(classes), target, len(classes)).astype(np.int64)
            counted += np.bincount(listed.ravel(), minlength=len(classes) + 1)
    return counted.tolist(), complete
