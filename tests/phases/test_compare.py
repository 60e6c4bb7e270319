"""Two systems on the same images: bundles judged now, and evaluations that were finished before."""

import json
from pathlib import Path

import numpy as np
import pytest

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, ImageConfusions, save_confusions
from terrazzo.errors import ConfigError, ContractError
from terrazzo.phases.compare import compare


def finished(folder: Path, counts: object, *, images: tuple[str, ...] | None = None, classes: int = 2) -> Path:
    """Write what a finished evaluation leaves."""
    found = np.asarray(counts, dtype=np.int64)
    names = images or tuple(f"image {number} ä" for number in range(len(found)))
    save_confusions(folder / CONFUSIONS_FILE, ImageConfusions(names, ("field", "forest")[:classes], found, "test"))
    (folder / "confusion.csv").write_text("")
    return folder


BETTER = [[[9, 1], [0, 10]]] * 8
WORSE = [[[8, 2], [3, 7]]] * 8


def test_finished_evaluations_are_compared_as_they_are(tmp_path: Path) -> None:
    one = finished(tmp_path / "a run" / "evaluate" / "test", BETTER)
    other = finished(tmp_path / "b" / "evaluate" / "test", WORSE)
    summary = compare(one, other)
    assert summary.folder == tmp_path / "a run" / "evaluate" / "compare" / "b-test"
    accuracy = summary.comparison["accuracy"]
    assert (accuracy["first"], accuracy["second"]) == (0.95, 0.75)
    assert accuracy["p_value"] < 0.02
    assert [one["name"] for one in summary.comparison["classes"]] == ["field", "forest"]
    field = summary.comparison["classes"][0]["iou"]
    assert field["value"] == pytest.approx(9 / 10 - 8 / 13)
    assert json.loads((summary.folder / "compare.json").read_text()) == summary.as_dict()
    back = compare(other, one, out=tmp_path / "out").comparison
    assert back["miou"]["value"] == -summary.comparison["miou"]["value"]


def test_the_order_of_images_makes_no_difference(tmp_path: Path) -> None:
    mixed = [[[9, 1], [2, 8]], [[5, 5], [0, 10]], [[10, 0], [3, 7]]]
    one = finished(tmp_path / "a", mixed, images=("x", "y", "z"))
    other = finished(tmp_path / "b", mixed[::-1], images=("z", "y", "x"))
    found = compare(one, other).comparison
    assert (found["miou"]["value"], found["miou"]["low"], found["miou"]["p_value"]) == (0.0, 0.0, 1.0)


def test_other_images_labels_or_classes_are_refused(tmp_path: Path) -> None:
    one = finished(tmp_path / "a", BETTER)
    with pytest.raises(ContractError, match="2 are not the same, such as image 7 ä, other"):
        compare(one, finished(tmp_path / "b", WORSE, images=(*(f"image {number} ä" for number in range(7)), "other")))
    labels = [*WORSE[:-1], [[7, 2], [4, 7]]]
    with pytest.raises(ContractError, match="other labels in 1 of 8 images, such as image 7 ä"):
        compare(one, finished(tmp_path / "c", labels))
    three = np.zeros((8, 1, 1), dtype=np.int64)
    with pytest.raises(ContractError, match=r"knows the classes field, forest, but .* field;"):
        compare(one, finished(tmp_path / "d", three, classes=1))


def test_an_evaluation_of_patches_has_no_images_to_compare(tmp_path: Path) -> None:
    one = finished(tmp_path / "a", BETTER)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "confusion.csv").write_text("")
    with pytest.raises(ConfigError, match="evaluate whole images again"):
        compare(one, tmp_path / "b")
