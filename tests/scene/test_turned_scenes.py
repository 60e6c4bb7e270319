"""A photograph that its camera notes as turned: its map lies on the picture as it is seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from terrazzo.bundle import Bundle
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scene
from terrazzo.scene.scenes import map_scenes


@pytest.mark.parametrize("number", range(2, 9))
def test_the_map_of_a_turned_photograph_is_the_map_of_the_upright_one(
    number: int, make_bundle: Callable[..., Bundle], machine: MachineSettings, tmp_path: Path
) -> None:
    notes = Image.Exif()
    notes[0x0112] = number
    values = np.random.default_rng(number).integers(0, 255, (37, 53, 3), dtype=np.uint8)
    turned, upright = tmp_path / "öde.png", tmp_path / "upright.png"
    Image.fromarray(values).save(turned, exif=notes)
    with Image.open(turned) as opened:
        seen = np.asarray(ImageOps.exif_transpose(opened))
    Image.fromarray(seen).save(upright)
    settings = PredictSettings(overlap=0.25)
    for scene in (turned, upright):
        map_scene(make_bundle(), scene, tmp_path / "maps" / scene.name, settings=settings, machine=machine)
    with Image.open(tmp_path / "maps" / "öde.png") as one, Image.open(tmp_path / "maps" / "upright.png") as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        found = np.asarray(one)
    # The network answers with the brightest band.
    ordered = np.sort(seen, axis=-1)
    clear = ordered[..., 1] < ordered[..., 2]
    np.testing.assert_array_equal(found[clear], seen.argmax(axis=-1)[clear])


def test_a_turned_photograph_among_several_gets_a_picture_of_its_own_size(
    make_bundle: Callable[..., Bundle], machine: MachineSettings, tmp_path: Path
) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / "in" / "a.jpg", exif=notes)
    (mapped,) = map_scenes(make_bundle(), [tmp_path / "in"], tmp_path / "out", machine=machine)
    assert sum(mapped.summary.class_pixels) == 600
    with Image.open(tmp_path / "out" / "a.png") as opened:
        assert opened.size == (20, 30)
