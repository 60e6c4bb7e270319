"""What every label has in common: its place in the table, the file that names it, and a reader that is closed."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import LABELS, Label, LabelReader
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Grid, Window

GRID = Grid(None, Affine.identity(), 5, 3)
CLASSES = Classes.model_validate(["land", "water"])


class Even(LabelReader):
    """The second class everywhere; notes when it is closed."""

    block_shape = (1, 3)
    closed = 0

    def decode(self, window: Window, classes: Classes, inside: np.ndarray | None = None) -> Decoded:
        target = np.ones((window.height, window.width), dtype=np.uint8)
        return Decoded(target if inside is None else np.where(inside, target, np.uint8(classes.ignore)), {})

    def close(self) -> None:
        self.closed += 1


class Flood(Label):
    """Water everywhere, as two files say."""

    name: Literal["flood"] = "flood"
    notes: tuple[Path, ...] = (Path("Überflutung 1.txt"), Path("b.txt"))

    @property
    def files(self) -> tuple[Path, ...]:
        return self.notes

    def open(self, grid: Grid) -> Even:
        return Even()


def test_the_first_file_names_a_label() -> None:
    assert Flood().file == Path("Überflutung 1.txt")
    assert Flood(notes=(Path("z"), Path("a"))).file == Path("z")


def test_a_reader_is_closed_once_also_after_an_error() -> None:
    with Flood().open(GRID) as reader:
        assert isinstance(reader, Even)
        assert reader.decode(Window(0, 0, 2, 3), CLASSES).target.tolist() == [[1, 1, 1]] * 2
        assert reader.closed == 0
    assert reader.closed == 1
    damaged = Flood().open(GRID)
    with pytest.raises(DataError, match="damaged"), damaged:
        raise DataError("damaged")
    assert damaged.closed == 1


def test_a_reader_must_decode_and_may_have_nothing_to_close() -> None:
    with LabelReader() as reader, pytest.raises(NotImplementedError):
        reader.decode(Window(0, 0, 1, 1), CLASSES)


def test_a_label_must_name_its_files_and_open() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Label(name="nothing")


def test_the_kinds_of_labels() -> None:
    assert LABELS.names() == ["cityscapes", "cvat", "raster", "vector"]
    for name in LABELS:
        kind = LABELS.find(name)
        assert issubclass(kind, Label)
        assert kind.model_fields["name"].default == name
        # Nothing of the image is part of the record: its grid is given on opening.
        assert "grid" not in kind.model_fields
        assert all(field.description for key, field in kind.model_fields.items() if key != "name")


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='Did you mean "raster"'):
        LABELS.create("rasters", rasters=["a.tif"])


def test_a_label_and_the_grid_are_all_that_reading_needs(tmp_path: Path) -> None:
    target = np.random.default_rng(0).integers(0, 2, (5, 3), dtype=np.uint8)
    path = tmp_path / "Äcker und 田" / "a b.png"
    path.parent.mkdir()
    Image.fromarray(target).save(path)
    kept = json.dumps(LABELS.create("raster", rasters=[path]).model_dump(mode="json"))
    label = LABELS.create(**json.loads(kept))
    assert isinstance(label, Label)
    assert label.file == path
    with label.open(GRID) as reader:
        assert np.array_equal(reader.decode(GRID.whole, CLASSES).target, target)
        inside = np.eye(5, 3, dtype=bool)
        # Elsewhere anything may stand.
        assert np.array_equal(reader.decode(GRID.whole, CLASSES, inside).target[inside], target[inside])


@pytest.mark.parametrize("cut", [(1, 1), (2, 3), (5, 2)])
def test_real_labels_are_the_same_in_windows_of_any_cut(real_data: Path, cut: tuple[int, int]) -> None:
    frames = sorted((real_data / "cityscapes_layout_camvid").rglob("*_gtFine_polygons.json"))
    drawn = json.loads(frames[0].read_text(encoding="utf-8"))
    grid = Grid(None, Affine.identity(), drawn["imgHeight"], drawn["imgWidth"])
    label = LABELS.create("cityscapes", annotation=frames[0], form="polygons")
    names = ["road", "building", "sky", "vegetation", "car"]
    classes = Classes.model_validate({"items": names, "unlisted": "ignore"})
    around = Window(170, 310, 11, 13)
    with label.open(grid) as reader:
        whole = reader.decode(grid.whole, classes).target[around.slices]
        pieces = np.full((11, 13), 77, dtype=np.uint8)
        for y in range(0, 11, cut[0]):
            for x in range(0, 13, cut[1]):
                part = Window(170 + y, 310 + x, min(cut[0], 11 - y), min(cut[1], 13 - x))
                pieces[part.inside(around)] = reader.decode(part, classes).target
    assert len(np.unique(whole)) > 1
    assert np.array_equal(pieces, whole)
