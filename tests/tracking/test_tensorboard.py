"""TensorBoard's files, cut to checkpoints."""

import time

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from terrazzo.tracking.tensorboard import Events


def read_scalars(folder) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_scalars_and_pictures_come_back(tmp_path):
    events = Events(tmp_path / "tb", {})
    events.scalars({"loss": 0.5, "nothing": None}, 3)
    events.pictures("worst", [np.zeros((4, 6, 3), dtype=np.uint8)] * 2, 1)
    events.close()
    assert read_scalars(tmp_path / "tb") == {"loss": [(3, 0.5)]}
    found = EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0}).Reload()
    assert found.Tags()["images"] == ["worst/1", "worst/2"]
    assert [(image.height, image.width) for image in found.Images("worst/1")] == [(4, 6)]


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path):
    first = Events(tmp_path, {})
    first.scalars({"loss": 1.0}, 1)
    known = first.sizes()
    first.scalars({"loss": 2.0}, 2)
    first.close()
    second = Events(tmp_path, known)
    second.scalars({"loss": 2.5}, 2)
    later = second.sizes()
    second.scalars({"loss": 9.0}, 3)
    second.close()
    third = Events(tmp_path, later)
    third.scalars({"loss": 3.0}, 3)
    third.close()
    assert read_scalars(tmp_path) == {"loss": [(1, 1.0), (2, 2.5), (3, 3.0)]}


def test_files_that_no_checkpoint_knows_are_removed(tmp_path):
    lost = Events(tmp_path, {})
    lost.scalars({"loss": 1.0}, 1)
    lost.close()
    again = Events(tmp_path, {})
    again.scalars({"loss": 7.0}, 1)
    again.close()
    assert read_scalars(tmp_path) == {"loss": [(1, 7.0)]}
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Events(tmp_path, {}).close()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_new_file_sorts_behind_the_known_ones(tmp_path):
    names = []
    known: dict[str, int] = {}
    for _ in range(3):
        events = Events(tmp_path, known)
        known = events.sizes()
        events.close()
        names.append(max(known))
    assert names == sorted(names)
    assert len(set(names)) == 3


def test_a_clock_set_back_is_not_waited_for_long(tmp_path):
    begun = time.monotonic()
    Events(tmp_path, {"events.out.tfevents.99999999999.host.1.0": 5}).close()
    assert time.monotonic() - begun < 4


def test_sizes_are_those_on_the_disk(tmp_path):
    events = Events(tmp_path, {})
    events.scalars({"loss": 1.0}, 1)
    sizes = events.sizes()
    assert sizes == {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    events.close()
