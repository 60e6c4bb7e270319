"""Rows of a scene: the right pixels whoever decodes them, each block once, and no hole without a word."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.scene import rows as rows_module
from terrazzo.scene.inputs.single import file_entry
from terrazzo.scene.read_ahead import ReadAhead
from terrazzo.scene.reader import Unreadable
from terrazzo.scene.rows import FileRows, SceneRows

Scene = Callable[..., Path]
READERS = [1, 2, 5]


def bands_of(path: Path) -> Bands:
    with RasterFile(path) as file:
        return file.bands


def scene_rows(path: Path, **settings: object) -> SceneRows:
    return SceneRows(lambda: RasterFile(path), bands_of(path), wait=lambda _: False, **settings)


def gathered(parts: list[Raster]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([part.values for part in parts], axis=1), np.concatenate([part.valid for part in parts])


@pytest.fixture
def finely_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deal even a small scene to all readers, in low chunks."""

    def of(grid: object, block_shape: tuple[int, int], *, pixel_bytes: int, readers: int) -> ReadAhead:
        rows = 16
        columns = -(-grid.width // block_shape[1])
        count = min(readers, columns)
        edges = [min(columns * number // count * block_shape[1], grid.width) for number in range(count + 1)]
        segments = tuple(slice(a, b) for a, b in itertools.pairwise(edges))
        return ReadAhead(min(rows, grid.height), segments, -(-readers // count), readers, rows * grid.width)

    monkeypatch.setattr(rows_module.ReadAhead, "of", staticmethod(of))


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.parametrize("shape", [(90, 70), (1, 1), (5, 200), (130, 3)])
@pytest.mark.usefixtures("finely_dealt")
def test_rows_are_the_scenes(shape: tuple[int, int], readers: int, make_scene: Scene) -> None:
    path = make_scene("ö 1.tif", shape=shape, tiled=True, blockxsize=16, blockysize=16, nodata=3)
    with RasterFile(path) as file, scene_rows(path, readers=readers) as source:
        whole = file.read()
        for top, bottom in ((0, shape[0]), (shape[0] // 3, shape[0]), (0, max(shape[0] // 2, 1)), (0, shape[0])):
            parts = list(source.rows(top, bottom))
            values, valid = gathered(parts)
            np.testing.assert_array_equal(values, whole.values[:, top:bottom])
            np.testing.assert_array_equal(valid, whole.valid[top:bottom])
            assert parts[0].grid.transform == file.grid.window(Window(top, 0, 1, 1)).transform
            assert parts[0].bands == file.bands
            assert next(FileRows(file, file.bands).rows(top, bottom)).valid.shape[1] == shape[1]
        assert source.take_unreadable() == ()


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.usefixtures("finely_dealt")
def test_each_block_is_decoded_once_going_down(readers: int, make_scene: Scene) -> None:
    path = make_scene(shape=(150, 90), tiled=True, blockxsize=16, blockysize=16)
    asked: list[Window] = []

    class Watched(RasterFile):
        def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
            assert window is not None
            asked.append(window)
            return super().read(window, bands)

    with SceneRows(lambda: Watched(path), bands_of(path), readers=readers) as source:
        for top in range(0, 150, 11):
            list(source.rows(top, min(top + 11, 150)))
    counted = np.zeros((150, 90), dtype=int)
    for window in asked:
        counted[window.slices] += 1
        assert window.y % 16 == 0
        assert window.x % 16 == 0
    assert (counted == 1).all()


@pytest.mark.usefixtures("finely_dealt")
def test_chunks_are_decoded_ahead_and_not_too_far(make_scene: Scene) -> None:
    path = make_scene(shape=(400, 20))
    begun: list[int] = []
    enough = threading.Event()

    class Watched(RasterFile):
        def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
            assert window is not None
            begun.append(window.y)
            if len(begun) == 2:
                enough.set()
            return super().read(window, bands)

    with SceneRows(lambda: Watched(path), bands_of(path)) as source:
        next(iter(source.rows(0, 10)))
        # Nobody asked for the second chunk yet.
        assert enough.wait(10)
    assert begun == [0, 16]


def test_a_picture_is_decoded_once_by_one_reader(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (700, 40, 3), dtype=np.uint8)
    path = tmp_path / "ä.png"
    Image.fromarray(values).save(path)
    opened: list[str] = []
    tops: list[int] = []

    class Watched(RasterFile):
        def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
            assert window is not None
            opened.append(threading.current_thread().name)
            tops.append(window.y)
            return super().read(window, bands)

    with SceneRows(lambda: Watched(path), bands_of(path), readers=4) as source:
        parts = [part for top in range(0, 700, 50) for part in source.rows(top, top + 50)]
    np.testing.assert_array_equal(gathered(parts)[0], values.transpose(2, 0, 1))
    assert len(set(opened)) == 1
    # Going back up would decode it again from its first row.
    assert tops == sorted(set(tops))


class TestUnreadable:
    """Blocks that cannot be read."""

    @pytest.fixture
    def damaged(self, make_scene: Scene) -> tuple[Path, np.ndarray, np.ndarray]:
        """A scene of blocks of 16 pixels of which those at (1, 2) and (3, 0) are spoilt, and where that is."""
        values = np.random.default_rng(2).integers(1, 256, (3, 90, 70)).astype(np.uint8)
        path = make_scene("t.tif", values=values, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
        with rasterio.open(path) as file:
            offsets = [int(file.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=1)) for y, x in ((1, 2), (3, 0))]
        content = bytearray(path.read_bytes())
        for offset in offsets:
            content[offset : offset + 20] = b"\xff" * 20
        path.write_bytes(bytes(content))
        lost = np.zeros((90, 70), dtype=bool)
        lost[16:32, 32:48] = lost[48:64, :16] = True
        return path, values, lost

    @pytest.mark.parametrize("readers", READERS)
    @pytest.mark.usefixtures("finely_dealt")
    def test_they_are_missing_and_listed(self, readers: int, damaged: tuple[Path, np.ndarray, np.ndarray]) -> None:
        path, values, lost = damaged
        with scene_rows(path, readers=readers, max_errors=2) as source:
            found, valid = gathered([part for top in range(0, 90, 9) for part in source.rows(top, top + 9)])
            unreadable = source.take_unreadable()
            assert source.take_unreadable() == ()
            # The same blocks again are no further ones.
            list(source.rows(0, 90))
        np.testing.assert_array_equal(valid, ~lost)
        np.testing.assert_array_equal(found[:, ~lost], values[:, ~lost])
        assert [(one.y, one.x, one.height, one.width) for one in unreadable] == [(16, 32, 16, 16), (48, 0, 16, 16)]
        assert all(isinstance(one, Unreadable) and "t.tif" in one.reason for one in unreadable)

    @pytest.mark.usefixtures("finely_dealt")
    def test_only_what_was_handed_out_is_listed(self, damaged: tuple[Path, np.ndarray, np.ndarray]) -> None:
        with scene_rows(damaged[0], max_errors=2) as source:
            list(source.rows(0, 20))
            assert [(one.y, one.height) for one in source.take_unreadable()] == [(16, 4)]
            list(source.rows(20, 48))
            assert [(one.y, one.height) for one in source.take_unreadable()] == [(20, 12)]

    @pytest.mark.parametrize("allowed", [0, 1])
    @pytest.mark.usefixtures("finely_dealt")
    def test_too_many_stop_the_job(self, allowed: int, damaged: tuple[Path, np.ndarray, np.ndarray]) -> None:
        with scene_rows(damaged[0], max_errors=allowed) as source:
            # What lies ahead and was not asked for stops nothing.
            list(source.rows(0, 16 if allowed == 0 else 48))
            where = "rows 16 to 31, columns 32 to 47" if allowed == 0 else "rows 48 to 63, columns 0 to 15"
            with pytest.raises(
                DataError, match=rf"{where} cannot be read.*predict\.max_errors allows {allowed}"
            ) as error:
                list(source.rows(16, 90))
        assert "finished strips are kept" in str(error.value)

    def test_a_truncated_file_is_called_so(self, make_scene: Scene) -> None:
        path = make_scene(shape=(90, 70), tiled=True, blockxsize=16, blockysize=16)
        path.write_bytes(path.read_bytes()[:-500])
        with (
            SceneRows(file_entry(str(path), whole=False).open, bands_of(path)) as source,
            pytest.raises(DataError, match="is truncated: its blocks reach to byte"),
        ):
            list(source.rows(0, 90))

    def test_a_scene_that_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"gone\.tif"):
            SceneRows(lambda: RasterFile(tmp_path / "gone.tif"), Bands(items=(Band(name="red"),)))

    def test_closing_does_not_wait_for_retries(self, damaged: tuple[Path, np.ndarray, np.ndarray]) -> None:
        path = damaged[0]
        tried = threading.Event()

        class Dead(RasterFile):
            def read(self, window: Window | None = None, bands: Bands | None = None) -> Raster:
                tried.set()
                raise DataError("dead")

        source = SceneRows(lambda: Dead(path), bands_of(path), retries=20)

        def read() -> None:
            with pytest.raises(DataError, match="dead"):
                list(source.rows(0, 90))

        reading = threading.Thread(target=read)
        reading.start()
        assert tried.wait(10)
        source.close()
        reading.join(20)
        assert not reading.is_alive()
