"""Class maps: whose they are, what their values mean, and which pixels count."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.assessment.class_map import OUTSIDE, ClassMap, Legend, parse_legend, read_legend
from terrazzo.errors import ConfigError, DataError, LabelError

WriteMap = Callable[..., Path]
LEGEND = Legend(("forest", "water", "town"), (0, 1, 2))


def whole(path: Path, legend: Legend = LEGEND, left_out: tuple[str, ...] = ()) -> np.ndarray:
    with ClassMap(path, legend, left_out) as found:
        return np.concatenate([rows for _, rows in found.rows()])


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("forest", ("forest",), (0,)),
        (" forest , water ", ("forest", "water"), (0, 1)),
        ("7=forest, 3 = water,", ("forest", "water"), (7, 3)),
        ("-1=none,1=Wälder", ("none", "Wälder"), (-1, 1)),
    ],
)
def test_a_list_of_classes(text: str, names: tuple[str, ...], values: tuple[int, ...]) -> None:
    assert parse_legend(text) == Legend(names, values)


@pytest.mark.parametrize("text", ["", ",", "1=forest,water", "a=forest", "1=", "forest,forest", "1=forest,1=water"])
def test_what_is_no_list_of_classes(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no list of classes|to two classes"):
        parse_legend(text)


def test_tags_say_what_values_mean(write_map: WriteMap) -> None:
    path = write_map("ä map.tif", [[5, 9], [255, 5]], names=("forest", "water"), numbers=(5, 9))
    legend = read_legend([path], None)
    assert legend == Legend(("forest", "water"), (5, 9))
    assert whole(path, legend).tolist() == [[0, 1], [OUTSIDE, 0]]


def test_a_palette_gives_colours(write_map: WriteMap) -> None:
    colours = {0: (1, 2, 3, 255), 1: (4, 5, 6, 255), 2: (7, 8, 9, 255)}
    assert read_legend([write_map("a.tif", [[0]], colours=colours)], None).colours == ((1, 2, 3), (4, 5, 6), (7, 8, 9))


def test_a_given_list_counts_more_than_tags(write_map: WriteMap) -> None:
    path = write_map("a.tif", [[0, 1]])
    assert read_legend([path], parse_legend("dry,wet")).names == ("dry", "wet")


def test_a_map_without_tags_needs_a_list(write_map: WriteMap) -> None:
    with pytest.raises(DataError, match="--classes"):
        read_legend([write_map("a.tif", [[0, 1]], names=None)], None)


def test_damaged_tags(write_map: WriteMap) -> None:
    for tags in ({"CLASS_NAMES": "forest"}, {"CLASS_NAMES": '["a", "b"]', "CLASS_VALUES": "[1]"}, {"CLASS_NAMES": "3"}):
        path = write_map("a.tif", [[0, 1]], names=None, tags=tags)
        with pytest.raises(DataError, match="CLASS_NAMES"):
            read_legend([path], None)


def test_a_map_of_colours(write_map: WriteMap) -> None:
    path = write_map("a.tif", np.zeros((4, 2, 2), np.uint8), tags={"CLASS_COLOURS": "[]"})
    with pytest.raises(DataError, match=r"predict\.values=index"):
        read_legend([path], None)


def test_maps_of_one_population_have_the_same_classes(write_map: WriteMap) -> None:
    first = write_map("a.tif", [[0]])
    other = write_map("b.tif", [[0]], names=("forest", "water", "city"))
    with pytest.raises(DataError, match=r"b\.tif has the classes .*2=city"):
        read_legend([first, other], None)


def test_no_map() -> None:
    with pytest.raises(ConfigError, match="No map"):
        read_legend([], None)


def test_an_unlisted_value_is_named_with_its_place(write_map: WriteMap) -> None:
    path = write_map("a.tif", [[0, 1], [2, 7]])
    with pytest.raises(LabelError, match=r"value 7 \(first at row 1, column 1\).*--without 7"):
        whole(path)


def test_what_is_left_out(write_map: WriteMap) -> None:
    path = write_map("a.tif", [[0, 1], [2, 7]])
    assert whole(path, LEGEND, ("7", "water")).tolist() == [[0, OUTSIDE], [2, OUTSIDE]]
    with pytest.raises(ConfigError, match='Did you mean "water"'):
        whole(path, LEGEND, ("wter",))


def test_float_maps(write_map: WriteMap) -> None:
    path = write_map("a.tif", np.array([[0.0, 2.0, np.nan]], np.float32), nodata=None)
    assert whole(path).tolist() == [[0, 2, OUTSIDE]]
    with pytest.raises(LabelError, match=r"value 0\.5"):
        whole(write_map("b.tif", np.array([[0.5]], np.float32), nodata=None))


def test_large_and_negative_values(write_map: WriteMap) -> None:
    path = write_map("a.tif", np.array([[-3, 70_000, -9]], np.int32), nodata=-9)
    assert whole(path, Legend(("a", "b"), (70_000, -3))).tolist() == [[1, 0, OUTSIDE]]


def test_several_bands(write_map: WriteMap) -> None:
    with pytest.raises(DataError, match="2 bands"):
        whole(write_map("a.tif", np.zeros((2, 3, 3), np.uint8)))


def test_keys_tell_ground_apart_and_not_names(write_map: WriteMap) -> None:
    from affine import Affine

    def key(path: Path) -> int:
        with ClassMap(path, LEGEND) as found:
            return found.key

    first, same = write_map("a.tif", [[0, 1]]), write_map("there/b.tif", [[1, 1]], block=16)
    moved = write_map("c.tif", [[0, 1]], transform=Affine(10, 0, 500_010, 0, -10, 5_500_000))
    assert key(first) == key(same) != key(moved)
    photo, other = write_map("d.tif", [[0, 1]], crs=None), write_map("e.tif", [[1, 1]], crs=None)
    assert len({key(first), key(photo), key(other)}) == 3
