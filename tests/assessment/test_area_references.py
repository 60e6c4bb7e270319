"""Counts of an error matrix: from points, and from an evaluated split."""

import json
from pathlib import Path

import pytest

from terrazzo.assessment.area_references import count_references, read_split
from terrazzo.assessment.class_map import Legend
from terrazzo.assessment.sample_file import LabelledPoints
from terrazzo.errors import DataError, LabelError

LEGEND = Legend(("forest", "water", "town"), (10, 20, 30))


def points(*pairs: tuple[str, str]) -> LabelledPoints:
    ids = tuple(str(number) for number in range(1, len(pairs) + 1))
    return LabelledPoints(ids, tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def test_names_and_numbers_count_alike() -> None:
    found = count_references(
        points(("forest", "forest"), ("forest", "20"), ("forest", "20.0"), ("water", "water"), ("30", "")),
        LEGEND,
        name="p",
    )
    assert found.counts.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    assert found.unfilled.tolist() == [0, 0, 1]
    assert found.images is None


def test_an_unknown_reference_names_the_nearest_class() -> None:
    given = points(("forest", "forrest"), ("water", "7"), ("water", "7"))
    with pytest.raises(LabelError) as caught:
        count_references(given, LEGEND, name="p.csv")
    assert '"forrest" (point 1) Did you mean "forest"?; "7" (point 2)' in str(caught.value)
    assert "--also" in str(caught.value)


def test_many_unknown_references_are_not_all_named() -> None:
    with pytest.raises(LabelError, match="and 3 more"):
        count_references(points(*((("forest", f"x{k}")) for k in range(8))), LEGEND, name="p")


def test_a_class_that_only_the_reference_has() -> None:
    given = points(("forest", "swamp"), ("water", "water"))
    found = count_references(given, LEGEND, also=("swamp", "swamp", "water"), name="p")
    assert found.names == ("forest", "water", "town", "swamp")
    assert found.counts[0].tolist() == [0, 0, 0, 1]
    assert found.counts.shape == (4, 4)


def test_a_changed_map_class() -> None:
    with pytest.raises(LabelError, match=r'point 1 has the map class "Forest".*Did you mean "forest"'):
        count_references(points(("Forest", "forest")), LEGEND, name="p")
    with pytest.raises(LabelError, match="point 1"):
        count_references(points(("", "forest")), LEGEND, name="p")


def write_split(folder: Path, text: str, summary: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "confusion.csv").write_text(text)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def test_predictions_of_a_split_stand_for_the_map(tmp_path: Path) -> None:
    text = "label \\ prediction,water,forest,town\nwater,5,1,0\nforest,2,7,3\ntown,0,0,9\n"
    found = read_split(write_split(tmp_path / "test", text, {"images": 4}), LEGEND)
    # Two pixels labelled forest were predicted as water.
    assert found.counts.tolist() == [[7, 1, 0], [2, 5, 0], [3, 0, 9]]
    assert found.images == 4


@pytest.mark.parametrize(
    ("text", "summary", "told"),
    [
        ("l,forest,water\nforest,1,2\nwater,3,4\n", {"images": 1}, "but the maps have forest, water, town"),
        ("l,forest,water,town\nforest,1,2,x\n", {"images": 1}, "whole evaluation"),
        ("l,forest,water,town\nforest,1,2\n", {"images": 1}, "but the maps have"),
        ("", {"images": 1}, "whole evaluation"),
        ("l,forest,water,town\nforest,1,2,3\nwater,1,1,1\ntown,1,1,1\n", {}, "whole evaluation"),
    ],
)
def test_damaged_splits(text: str, summary: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        read_split(write_split(tmp_path / "test", text, summary), LEGEND)


def test_a_split_that_was_not_evaluated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--split val"):
        read_split(tmp_path / "val", LEGEND)
