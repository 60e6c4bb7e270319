"""Strips are joined while others are computed: in order, no sooner than they are there, and to no end that hangs."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import StorageError
from terrazzo.scene import PredictSettings
from terrazzo.scene.assemble import FinishedRows
from terrazzo.scene.joining import Joining
from terrazzo.scene.journal import Journal
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.strip_file import StripFigures, StripWriter

PATIENCE = 10


class Scene:
    """A scene of four strips without seams, each written when it is asked for."""

    def __init__(self, plan: ScenePlan, folder: Path) -> None:
        self.plan = plan
        self.products: Products = products_of(PredictSettings(), classes=2, ignore=255)
        self.journal = Journal(folder)
        self.rows: list[int] = []

    def write(self, number: int) -> None:
        strip = self.plan.strips[number]
        writer = StripWriter(self.journal.folder, number)
        height = strip.decided.stop - strip.decided.start
        writer.block("class", strip.decided.start, np.full((1, height, self.plan.grid.width), number, dtype=np.uint8))
        self.journal.records[number] = writer.finish(f"key {number}", StripFigures())

    def joining(self, take: Callable[[FinishedRows], None] | None = None) -> Joining:
        return Joining(self.plan, self.journal, self.products, take or (lambda rows: self.rows.append(rows.y)))

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + PATIENCE
        while len(self.rows) < count:
            assert time.monotonic() < until, self.rows
            time.sleep(0.002)


@pytest.fixture
def scene(make_plan: Callable[..., ScenePlan], tmp_path: Path) -> Scene:
    found = Scene(make_plan((64, 20), overlap=0.0, strip_pixels=16), tmp_path)
    assert [strip.decided.start for strip in found.plan.strips] == [0, 16, 32, 48]
    return found


def test_rows_go_out_as_soon_as_all_above_them_are_there(scene: Scene) -> None:
    with scene.joining() as joining:
        for number in (1, 0):
            scene.write(number)
            joining.look()
        scene.wait_for(2)
        scene.write(3)
        joining.look()
        time.sleep(0.05)
        assert scene.rows == [0, 16]
        scene.write(2)
        joining.look()
        scene.wait_for(4)
        joining.finish()
    assert scene.rows == [0, 16, 32, 48]


def test_what_an_earlier_start_has_finished_is_joined_at_once(scene: Scene) -> None:
    for number in range(4):
        scene.write(number)
    with scene.joining() as joining:
        joining.finish()
    assert scene.rows == [0, 16, 32, 48]


def test_leaving_ends_the_thread_though_strips_are_missing(scene: Scene) -> None:
    scene.write(0)
    with scene.joining():
        scene.wait_for(1)
    assert scene.rows == [0]
    assert "terrazzo-joining" not in {thread.name for thread in threading.enumerate()}


def test_leaving_does_not_wait_for_what_could_still_be_joined(scene: Scene) -> None:
    for number in range(4):
        scene.write(number)
    begun, go_on = threading.Event(), threading.Event()

    def take(rows: FinishedRows) -> None:
        scene.rows.append(rows.y)
        begun.set()
        go_on.wait(PATIENCE)

    with scene.joining(take):
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, go_on.set).start()
    assert scene.rows == [0]


def test_an_error_is_raised_with_the_next_strip(scene: Scene) -> None:
    failed = threading.Event()

    def full(_rows: FinishedRows) -> None:
        failed.set()
        raise StorageError("no room")

    with scene.joining(full) as joining:
        scene.write(0)
        joining.look()
        assert failed.wait(PATIENCE)
        time.sleep(0.05)
        with pytest.raises(StorageError, match="no room"):
            joining.look()
        with pytest.raises(StorageError, match="no room"):
            joining.finish()


def test_a_damaged_strip_is_an_error_and_no_hole(scene: Scene) -> None:
    for number in range(4):
        scene.write(number)
    (scene.journal.folder / scene.journal.records[2].file).write_bytes(b"")
    with scene.joining() as joining, pytest.raises(StorageError, match="does not hold what was written"):
        joining.finish()
    assert scene.rows == [0, 16]


def test_a_strip_that_never_comes_is_an_error_and_no_endless_wait(scene: Scene) -> None:
    scene.write(0)
    with scene.joining() as joining, pytest.raises(KeyError, match="1"):
        joining.finish()
