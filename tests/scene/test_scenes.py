"""Several scenes: which files are meant, and that no map overwrites another or a scene."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, ContractError, DataError
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scenes
from terrazzo.scene import scenes as scenes_module
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.scenes import map_paths

Make = Callable[..., Bundle]
Scene = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def found(inputs: list[object], bundle: Bundle) -> list[Path]:
    return [Path(entry.path) for entry in find_entries(inputs, PredictSettings(), bundle)]


class TestInputs:
    def test_files_folders_and_patterns(self, make_bundle: Make, make_scene: Scene) -> None:
        first, second, deep = make_scene("b.tif"), make_scene("a.tif"), make_scene("deep/c [1].tif")
        folder = first.parent
        (folder / "notes.txt").write_text("no scene")
        (folder / ".hidden.tif").write_bytes(b"")
        assert found([first], make_bundle()) == [first]
        assert found([folder], make_bundle()) == [second, first]
        assert found([str(folder / "*.tif")], make_bundle()) == [second, first]
        assert found([str(folder / "**" / "*.tif")], make_bundle()) == [second, first, deep]
        assert found([str(deep)], make_bundle()) == [deep]

    def test_each_once_in_the_order_given(self, make_bundle: Make, make_scene: Scene) -> None:
        first, second = make_scene("b.tif"), make_scene("a.tif")
        assert found([first, first.parent, first.parent / ".." / first.parent.name / "b.tif"], make_bundle()) == [
            first,
            second,
        ]

    def test_nothing_given(self, make_bundle: Make) -> None:
        with pytest.raises(DataError, match="No scenes were given"):
            found([], make_bundle())

    def test_what_names_nothing(self, make_bundle: Make, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"x\*\.tif names no scene"):
            found([str(tmp_path / "x*.tif")], make_bundle())
        with pytest.raises(DataError, match="names no scene"):
            found([tmp_path], make_bundle())


class TestMapPaths:
    def paths(self, scenes: list[Path], out: Path, bundle: Bundle, **settings: object) -> list[str]:
        asked = PredictSettings(**settings)
        entries = find_entries(scenes, asked, bundle)
        goals = map_paths(entries, out, settings=asked, bundle=bundle)
        return [path.relative_to(out).as_posix() if path != out else "." for path in goals]

    def test_georeferenced_scenes_give_tif_and_pictures_png(
        self, make_bundle: Make, make_scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scenes = [make_scene("a.tif"), make_scene("b.tif", georeferenced=False)]
        assert self.paths(scenes, tmp_path, make_bundle()) == ["a.tif", "b.png"]
        assert self.paths(scenes, tmp_path, make_bundle(), values="source") == ["a.tif", "b.tif"]
        monkeypatch.setattr(scenes_module, "LARGEST_PNG_PIXELS", 100)
        assert self.paths(scenes, tmp_path, make_bundle()) == ["a.tif", "b.tif"]

    def test_same_names_keep_their_folders(self, make_bundle: Make, make_scene: Scene, tmp_path: Path) -> None:
        scenes = [make_scene("x/s.tif"), make_scene("y/s.tif"), make_scene("y/t.tif")]
        assert self.paths(scenes, tmp_path, make_bundle()) == ["x_s.tif", "y_s.tif", "t.tif"]
        deeper = [make_scene("p/x/s.tif"), make_scene("q/x/s.tif")]
        assert self.paths(deeper, tmp_path, make_bundle()) == ["p_x_s.tif", "q_x_s.tif"]

    def test_same_names_with_other_suffixes(self, make_bundle: Make, make_scene: Scene, tmp_path: Path) -> None:
        scenes = [make_scene("s.tif"), make_scene("s.tiff")]
        assert self.paths(scenes, tmp_path, make_bundle()) == ["s_tif.tif", "s_tiff.tif"]

    def test_one_scene_into_one_file(self, make_bundle: Make, make_scene: Scene, tmp_path: Path) -> None:
        assert self.paths([make_scene()], tmp_path / "m.tif", make_bundle()) == ["."]

    def test_several_scenes_into_one_file(self, make_bundle: Make, make_scene: Scene, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="2 scenes cannot go into the one file"):
            self.paths([make_scene("a.tif"), make_scene("b.tif")], tmp_path / "m.tif", make_bundle())

    def test_no_scene_is_replaced(self, make_bundle: Make, make_scene: Scene) -> None:
        scene = make_scene("a.tif")
        with pytest.raises(ConfigError, match="replace a scene"):
            self.paths([scene], scene.parent, make_bundle())

    def test_confidence_of_one_is_not_the_map_of_another(
        self, make_bundle: Make, make_scene: Scene, tmp_path: Path
    ) -> None:
        scenes = [make_scene("a.tif"), make_scene("a_confidence.tif")]
        assert len(self.paths(scenes, tmp_path, make_bundle())) == 2
        with pytest.raises(ConfigError, match=r"a_confidence\.tif would be written twice"):
            self.paths(scenes, tmp_path, make_bundle(), layers=("confidence",))


class TestMapScenes:
    def test_each_scene_gets_its_own_map(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        for folder, brightest in (("x", 0), ("y", 2)):
            values = np.full((3, 20, 20), 10, dtype=np.uint8)
            values[brightest] = 200
            make_scene(f"{folder}/s.tif", values=values)
        pattern = str(tmp_path / "in puts" / "*" / "s.tif")
        summaries = [one.summary for one in map_scenes(make_bundle(), [pattern], tmp_path / "out", machine=machine)]
        assert [summary.out.name for summary in summaries] == ["x_s.tif", "y_s.tif"]
        for summary, expected in zip(summaries, (0, 2), strict=True):
            with rasterio.open(summary.out) as file:
                assert (file.read() == expected).all()

    def test_a_wrong_scene_is_heard_of_before_any_is_mapped(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        good, narrow = make_scene("a.tif"), make_scene("b.tif", bands=2)
        with pytest.raises(ContractError, match=r"b\.tif"):
            map_scenes(make_bundle(), [good, narrow], tmp_path / "out", machine=machine)
        broken = good.with_name("c.tif")
        broken.write_bytes(b"II*\0")
        with pytest.raises(DataError, match=r"c\.tif"):
            map_scenes(make_bundle(), [good, broken], tmp_path / "out", machine=machine)
        assert not (tmp_path / "out").exists()

    def test_into_one_file(
        self, make_bundle: Make, make_scene: Scene, machine: MachineSettings, tmp_path: Path
    ) -> None:
        summaries = [
            one.summary for one in map_scenes(make_bundle(), [make_scene()], tmp_path / "m.tif", machine=machine)
        ]
        assert [summary.out for summary in summaries] == [tmp_path / "m.tif"]
        assert (tmp_path / "m.tif").is_file()
