"""Shapes in pixel coordinates, and which pixels of a window each of them covers.

A pixel belongs to a shape where its centre does; (0, 0) is the upper left corner of the first pixel, whose centre is
(0.5, 0.5). All arithmetic is done in the coordinates of the whole image, never in those of a window, so that windows
of any cut hold identical bits; a rasteriser that is told a window's origin rounds each window in its own way. Of two
shapes that share an edge, exactly one holds a centre on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from terrazzo.errors import DataError
from terrazzo.geo.grid import Window

__all__ = ["LARGEST_COORDINATE", "Dots", "Ellipse", "Line", "Mask", "Polygon", "Shape", "box"]

LARGEST_COORDINATE = 2.0**30
"""Pixels from the origin beyond which a coordinate is taken for damage."""

Points = Float64[np.ndarray, "_ 2"]


class Shape(ABC):
    """What covers some pixels of an image."""

    @property
    @abstractmethod
    def extent(self) -> Window:
        """Pixels that it may cover; it may reach outside the image."""

    @abstractmethod
    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Return which pixels of a window are covered."""


@dataclass(frozen=True, eq=False)
class Polygon(Shape):
    """An area within rings; what lies inside an even number of them is a hole.

    Attributes:
        rings: Corners (x, y) of each ring in pixels, closed by themselves. A ring of fewer than three corners covers
            nothing.

    Raises:
        DataError: A coordinate is not finite, or absurdly large.
    """

    rings: tuple[Points, ...]

    def __post_init__(self) -> None:
        _require_sane(np.concatenate([np.empty((0, 2)), *self.rings]))

    @cached_property
    def extent(self) -> Window:
        """Pixels whose centres lie within the bounds of all corners."""
        return _pixels_between(*self._ends)

    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Count, for each pixel, the edges that its row crosses left of its centre."""
        upper, lower = self._ends
        first = np.maximum(_first_centre(upper[:, 1]), part.y)
        end = np.minimum(_first_centre(lower[:, 1]), part.y + part.height)
        counts = np.maximum(end - first, 0)
        edge = np.repeat(np.arange(len(upper)), counts)
        row = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
        run, rise = lower[edge, 0] - upper[edge, 0], lower[edge, 1] - upper[edge, 1]
        crossing = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * run / rise
        return _between_crossings(part, row, _first_centre(crossing))

    @cached_property
    def _ends(self) -> tuple[Points, Points]:
        """Upper and lower end of each edge: in one order, so that neighbours compute a common edge alike."""
        begins = np.concatenate([np.empty((0, 2)), *self.rings])
        ends = np.concatenate([np.empty((0, 2)), *(np.roll(ring, -1, axis=0) for ring in self.rings)])
        down = (begins[:, 1] <= ends[:, 1])[:, None]
        return np.where(down, begins, ends), np.where(down, ends, begins)


@dataclass(frozen=True, eq=False)
class Ellipse(Shape):
    """An ellipse, turned about its centre.

    Attributes:
        x: Centre, in pixels.
        y: Centre, in pixels.
        radius_x: Half its width before it is turned, in pixels.
        radius_y: Half its height before it is turned.
        rotation: Degrees clockwise as seen on the screen.

    Raises:
        DataError: A number is not finite, or absurdly large, or a radius is negative.
    """

    x: float
    y: float
    radius_x: float
    radius_y: float
    rotation: float = 0.0

    def __post_init__(self) -> None:
        _require_sane(np.array([[self.x, self.y], [self.radius_x, self.radius_y], [self.rotation, 0.0]]))
        if min(self.radius_x, self.radius_y) < 0:
            raise DataError(
                f"an ellipse has the radii {self.radius_x:g} and {self.radius_y:g}; neither may be negative."
            )

    @cached_property
    def extent(self) -> Window:
        """Pixels within the circle around it."""
        centre, reach = np.array([[self.x, self.y]]), max(self.radius_x, self.radius_y)
        return _pixels_between(centre - reach, centre + reach)

    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Solve the ellipse's equation for the two ends of each row."""
        if min(self.radius_x, self.radius_y) == 0:
            return np.zeros((part.height, part.width), dtype=bool)
        angle = np.deg2rad(self.rotation)
        cosine, sine = np.cos(angle), np.sin(angle)
        flat_x, flat_y = self.radius_x**-2, self.radius_y**-2
        row = np.arange(part.y, part.y + part.height)
        along = row + 0.5 - self.y
        square = cosine**2 * flat_x + sine**2 * flat_y
        linear = along * cosine * sine * (flat_x - flat_y)
        rest = along**2 * (sine**2 * flat_x + cosine**2 * flat_y) - 1
        inner = linear**2 - square * rest
        row, linear, half = row[inner >= 0], linear[inner >= 0], np.sqrt(inner[inner >= 0])
        left, right = self.x + (-linear - half) / square, self.x + (-linear + half) / square
        return _between_crossings(part, np.tile(row, 2), _first_centre(np.concatenate([left, right])))


@dataclass(frozen=True, eq=False)
class Line(Shape):
    """A line of some width, with round ends and corners.

    Attributes:
        points: Corners (x, y) in pixels, at least one.
        width: Pixels across.

    Raises:
        DataError: There is no point, the width is not positive, or a number is not finite or absurdly large.
    """

    points: Points
    width: float

    def __post_init__(self) -> None:
        _require_sane(self.points)
        if len(self.points) == 0 or not 0 < self.width <= LARGEST_COORDINATE:
            raise DataError(f"a line of {len(self.points)} points and a width of {self.width:g} pixels is none.")

    @cached_property
    def extent(self) -> Window:
        """Pixels within half the width of the corners' bounds."""
        return _pixels_between(self.points - self.width / 2, self.points + self.width / 2)

    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Join a rectangle along each piece and a disc at each corner."""
        return _joined(self._pieces, part)

    @cached_property
    def _pieces(self) -> tuple[Shape, ...]:
        along = self.points[1:] - self.points[:-1]
        length = np.hypot(along[:, 0], along[:, 1])
        some = length > 0
        begins, ends = self.points[:-1][some], self.points[1:][some]
        across = np.stack([-along[some, 1], along[some, 0]], axis=1) * (self.width / 2 / length[some, None])
        corners = np.stack([begins + across, ends + across, ends - across, begins - across], axis=1)
        return (*_discs(self.points, self.width), *(Polygon((ring,)) for ring in corners))


@dataclass(frozen=True, eq=False)
class Dots(Shape):
    """Points, each a disc; the pixel that holds a point is covered however small the disc is.

    Attributes:
        points: Centres (x, y) in pixels.
        width: Diameter in pixels.

    Raises:
        DataError: A number is not finite, or absurdly large, or the width is negative.
    """

    points: Points
    width: float

    def __post_init__(self) -> None:
        _require_sane(self.points)
        if not 0 <= self.width <= LARGEST_COORDINATE:
            raise DataError(f"points of a width of {self.width:g} pixels cannot be drawn.")

    @cached_property
    def extent(self) -> Window:
        """Pixels within the discs' bounds."""
        reach = max(self.width / 2, 1.0)
        return _pixels_between(self.points - reach, self.points + reach)

    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Join the discs and the pixels that hold the points."""
        covered = _joined(_discs(self.points, self.width), part)
        columns, rows = (np.floor(self.points).astype(np.int64) - [part.x, part.y]).T
        inside = (rows >= 0) & (rows < part.height) & (columns >= 0) & (columns < part.width)
        covered[rows[inside], columns[inside]] = True
        return covered


@dataclass(frozen=True, eq=False)
class Mask(Shape):
    """Pixels given one by one: runs that lie outside and inside by turns, row after row of a rectangle.

    Attributes:
        place: The rectangle.
        runs: Lengths; the first run lies outside (and may be 0).

    Raises:
        DataError: A run is negative, or the runs do not fill the rectangle.
    """

    place: Window
    runs: Int64[np.ndarray, " run"]

    def __post_init__(self) -> None:
        pixels, total = max(self.place.height, 0) * max(self.place.width, 0), int(self.runs.sum())
        if (self.runs < 0).any() or total != pixels:
            raise DataError(
                f"the runs of a mask hold {total} pixels, but its rectangle is {self.place.height} x "
                f"{self.place.width} (rows x columns), which is {pixels}."
            )

    @property
    def extent(self) -> Window:
        """The rectangle."""
        return self.place

    def covers(self, part: Window) -> Bool[np.ndarray, "y x"]:
        """Lay out the runs of the rows that both have in common."""
        covered = np.zeros((part.height, part.width), dtype=bool)
        common = part.intersection(self.place)
        if not common.height or not common.width:
            return covered
        first = (common.y - self.place.y) * self.place.width
        edges = np.clip(self._edges - first, 0, common.height * self.place.width)
        flat = np.repeat(np.arange(len(self.runs)) % 2 == 1, np.diff(edges))
        rows = flat.reshape(common.height, self.place.width)
        covered[common.inside(part)] = rows[:, common.inside(self.place)[1]]
        return covered

    @cached_property
    def _edges(self) -> Int64[np.ndarray, " edge"]:
        return np.concatenate([[0], self.runs.cumsum()])


def box(left: float, top: float, right: float, bottom: float, *, rotation: float = 0.0) -> Polygon:
    """Return a rectangle, turned about its centre.

    Args:
        left: Left edge before it is turned, in pixels.
        top: Upper edge.
        right: Right edge.
        bottom: Lower edge.
        rotation: Degrees clockwise as seen on the screen.
    """
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
    if rotation % 360:
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        cosine, sine = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
        corners = (corners - centre) @ np.array([[cosine, sine], [-sine, cosine]]) + centre
    return Polygon((corners,))


def _require_sane(points: Shaped[np.ndarray, "point xy"]) -> None:
    wrong = ~(np.abs(points) <= LARGEST_COORDINATE)
    if wrong.any():
        raise DataError(f"a shape has the coordinate {points[wrong][0]:g}, which is no place in an image.")


def _first_centre(edge: Float64[np.ndarray, "*n"]) -> Int64[np.ndarray, "*n"]:
    """Return the first pixel whose centre is not before a coordinate."""
    return np.ceil(edge - 0.5).astype(np.int64)


def _pixels_between(*corners: Points) -> Window:
    """Return the pixels whose centres lie within the bounds of points; none where there are no points."""
    every = np.concatenate(corners)
    if not len(every):
        return Window(0, 0, 0, 0)
    # One pixel more on each side: the rounding of what is computed from the corners must not be cut off.
    x, y = _first_centre(every.min(axis=0)) - 1
    right, bottom = _first_centre(every.max(axis=0)) + 1
    return Window(int(y), int(x), int(bottom - y), int(right - x))


def _between_crossings(
    part: Window, rows: Int64[np.ndarray, " crossing"], columns: Int64[np.ndarray, " crossing"]
) -> Bool[np.ndarray, "y x"]:
    """Return the pixels that have an odd number of crossings in their row, at or left of them."""
    steps = np.zeros((part.height, part.width + 1), dtype=np.uint8)
    # Only whether a count is odd matters, so that it may overflow.
    np.add.at(steps, (rows - part.y, np.clip(columns - part.x, 0, part.width)), 1)
    odd: Bool[np.ndarray, "y x"] = steps[:, :-1].cumsum(axis=1, dtype=np.uint8) % 2 == 1
    return odd


def _discs(points: Points, width: float) -> tuple[Shape, ...]:
    return tuple(Ellipse(float(x), float(y), width / 2, width / 2) for x, y in points)


def _joined(shapes: Sequence[Shape], part: Window) -> Bool[np.ndarray, "y x"]:
    """Return the pixels that at least one of several shapes covers."""
    covered = np.zeros((part.height, part.width), dtype=bool)
    for shape in shapes:
        common = shape.extent.intersection(part)
        if common.height and common.width:
            covered[common.inside(part)] |= shape.covers(common)
    return covered
