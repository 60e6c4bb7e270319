import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from terrazzo.data.augment.geometry import Resize
from terrazzo.data.augment.radiometry import Brightness
from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.catalog import Catalog
from terrazzo.data.patches import PatchIndex
from terrazzo.data.pictures.preview import write_previews
from terrazzo.data.prepared import Prepared
from terrazzo.errors import DataError

MakePrepared = Callable[..., Prepared]
SIZE, GAP = 16, 4


def read_png(path: Path) -> np.ndarray:
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(path) as file:
        return np.moveaxis(file.read(), 0, -1)


def panels(picture: np.ndarray, size: int = SIZE) -> list[np.ndarray]:
    return [picture[:, first : first + size] for first in range(0, picture.shape[1], size + GAP)]


@pytest.mark.parametrize("bands", [1, 2, 3, 6])
def test_previews_show_image_and_label_before_and_after(make_prepared: MakePrepared, tmp_path: Path, bands: int):
    prepared = make_prepared((40, 40), bands=bands)
    paths = write_previews(prepared, Augmentation(set="none"), folder=tmp_path / "Vorschau ö", count=3)
    assert len(paths) == 3
    for path in paths:
        before, label, after, label_after = panels(read_png(path))
        assert before.shape == (SIZE, SIZE, 3)
        assert np.array_equal(before, after)
        assert np.array_equal(label, label_after)
        # Each class has its own colour: classes 0, 1 and 2 are (n, 0, 9).
        colours = {tuple(colour) for colour in label.reshape(-1, 3).tolist()}
        assert {(0, 0, 9), (1, 0, 9), (2, 0, 9)} < colours
        assert before.std() > 20, "the image is not stretched"


def test_names_say_image_and_window(make_prepared: MakePrepared, tmp_path: Path):
    prepared = make_prepared((40, 40), (16, 16))
    paths = write_previews(prepared, Augmentation(), folder=tmp_path, count=50)
    assert len(paths) == len(prepared.index) == 10, "fewer patches than asked for"
    found = {re.sub(r"^\d{3}_", "", path.stem) for path in paths}
    windows = [(prepared.index.image_id(row), prepared.index.window(row)) for row in range(10)]
    assert found == {f"{image}_y{window.y}_x{window.x}_16x16" for image, window in windows}
    assert [path.name[:3] for path in paths] == [f"{number:03d}" for number in range(10)]


def test_an_image_in_a_subfolder_is_one_file_name(make_prepared: MakePrepared, tmp_path: Path):
    prepared = make_prepared((16, 16))
    entry = replace(prepared.catalog.entries()[0], image_id="aachen/teil 1:a")
    frame: pd.DataFrame = prepared.index.frame.assign(image_id=entry.image_id)
    nested = replace(prepared, catalog=Catalog([entry]), index=PatchIndex(frame))
    (path,) = write_previews(nested, Augmentation(), folder=tmp_path, count=1)
    assert path == tmp_path / "000_aachen-teil 1-a_y0_x0_16x16.png"
    assert path.is_file()


def test_the_same_seed_writes_the_same_pictures(make_prepared: MakePrepared, tmp_path: Path):
    prepared = make_prepared((40, 40))
    written = [
        [
            path.read_bytes()
            for path in write_previews(prepared, Augmentation(set="hard"), folder=tmp_path / name, count=2, seed=seed)
        ]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert written[0] == written[1]
    assert written[0] != written[2]


def test_a_change_of_brightness_shows(make_prepared: MakePrepared, tmp_path: Path):
    brighter = Augmentation(set="none", transforms=(Brightness(probability=1.0, shift=(1.0, 1.0)),))
    (path,) = write_previews(make_prepared((16, 16)), brighter, folder=tmp_path, count=1)
    before, _, after, _ = panels(read_png(path))
    assert after.astype(float).mean() > before.astype(float).mean() + 25


def test_a_dihedral_preview_shows_label_and_image_turned_alike(make_prepared: MakePrepared, tmp_path: Path):
    paths = write_previews(make_prepared((60, 60)), Augmentation(set="dihedral"), folder=tmp_path, count=6)
    for path in paths:
        before, label, after, label_after = panels(read_png(path))
        turned = [np.rot90(label[:, ::step], turns) for step in (1, -1) for turns in range(4)]
        classes = label_after[..., 2] == 9
        # Hatching lies still while classes turn, so only pixels of a class are compared.
        matching = [number for number, one in enumerate(turned) if np.array_equal(one[classes], label_after[classes])]
        assert len(matching) == 1
        step, turns = (1, -1)[matching[0] // 4], matching[0] % 4
        assert np.array_equal(np.rot90(before[:, ::step], turns)[classes], after[classes])


def test_a_resized_preview_keeps_its_own_size(make_prepared: MakePrepared, tmp_path: Path):
    resize = Augmentation(set="none", transforms=(Resize(height=24, width=16),))
    (path,) = write_previews(make_prepared((16, 16)), resize, folder=tmp_path, count=1)
    picture = read_png(path)
    assert picture.shape == (24, 4 * SIZE + 3 * GAP, 3)
    before, label, after, _ = panels(picture)
    assert (before[16:] == 255).all()
    assert (label[16:] == 255).all()
    assert not (after[16:] == 255).all()


def test_none_are_written_where_none_are_asked_for(make_prepared: MakePrepared, tmp_path: Path):
    assert write_previews(make_prepared((16, 16)), Augmentation(), folder=tmp_path / "none", count=0) == []
    assert not (tmp_path / "none").exists()


def test_no_training_patch_is_an_error(make_prepared: MakePrepared, tmp_path: Path):
    prepared = make_prepared((16, 16))
    other = replace(prepared, index=PatchIndex(prepared.index.frame.assign(split="val")))
    with pytest.raises(DataError, match="no patch to train on"):
        write_previews(other, Augmentation(), folder=tmp_path, count=1)
