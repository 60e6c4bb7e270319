"""Which scenes are found, and which files are never shown."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.errors import ConfigError, DataError
from terrazzo.serve.finding import folders_below, is_run
from terrazzo.serve.library import SceneLibrary


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(path)
    return path


def test_a_map_with_its_image_and_layers(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path / "a b")
    (scene,) = SceneLibrary([tmp_path]).scenes()
    assert (scene.name, scene.group, scene.map) == ("map.tif", "a b", path)
    assert scene.image == path.with_name("scene.tif")
    assert set(scene.layers) == {"confidence", "probabilities", "steps", "abstain", "sets"}
    assert scene.note == ""


def test_a_moved_folder_is_read_by_its_names(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path / "first")
    shutil.move(path.parent, tmp_path / "second")
    (scene,) = SceneLibrary([tmp_path]).scenes()
    assert scene.image == tmp_path / "second" / "scene.tif"


def test_an_image_elsewhere_is_shown_only_where_that_is_allowed(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path / "maps")
    elsewhere = tmp_path / "secret" / "photo.tif"
    elsewhere.parent.mkdir()
    path.with_name("scene.tif").rename(elsewhere)
    summary = path.with_suffix(".summary.json")
    content = json.loads(summary.read_text())
    content["maps"][0]["scene"] = str(elsewhere)
    summary.write_text(json.dumps(content))
    (kept,) = SceneLibrary([path.parent]).scenes()
    assert kept.image is None
    assert "photo.tif" in kept.note
    assert "secret" not in kept.note
    (own,) = SceneLibrary([path.parent], anywhere=True).scenes()
    assert own.image == elsewhere


def test_a_relative_scene_is_sought_from_where_the_command_ran(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path / "out" / "maps")
    scene = tmp_path / "data" / "x.tif"
    scene.parent.mkdir()
    path.with_name("scene.tif").rename(scene)
    summary = path.with_suffix(".summary.json")
    content = json.loads(summary.read_text())
    content["maps"][0] |= {"scene": "data/x.tif", "out": "out/maps/map.tif"}
    summary.write_text(json.dumps(content))
    maps = [one for one in SceneLibrary([tmp_path]).scenes() if one.map is not None]
    assert [one.image for one in maps] == [scene]


def test_links_never_lead_outside(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "secret" / "s.png")
    root = tmp_path / "root"
    write_picture(root / "open.png")
    (root / "link.png").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    library = SceneLibrary([root])
    scenes = library.scenes()
    assert [scene.name for scene in scenes] == ["open.png"]
    # A file that becomes a link after it was found is shown no more.
    (root / "open.png").unlink()
    (root / "open.png").symlink_to(secret)
    assert library.scene(scenes[0].id) is None


def test_files_that_only_bear_a_raster_s_name_lead_nowhere(tmp_path: Path) -> None:
    secret = write_picture(tmp_path / "s.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.tif").write_text(
        f'<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    library = SceneLibrary([root])
    from terrazzo.serve.facts import scene_facts
    from terrazzo.serve.kept_answers import KeptAnswers

    (scene,) = library.scenes()
    with pytest.raises(DataError, match="no raster that the viewer opens"):
        scene_facts(scene, KeptAnswers())


def test_a_run_shows_maps_and_evaluation_alone(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    run = tmp_path / "run"
    make_map(run / "predict", layers=())
    write_picture(run / "evaluate" / "test" / "samples" / "00.png")
    write_picture(run / "samples" / "worst-1.png")
    write_picture(run / "data" / "class.png")
    (run / "config.yaml").touch()
    (run / "log.csv").touch()
    assert is_run(run)
    groups = {scene.group for scene in SceneLibrary([run]).scenes()}
    assert groups == {"predict", "evaluate/test/samples"}


def test_hidden_and_prepared_folders_are_left_out(tmp_path: Path) -> None:
    for name in (".strips", "prepared", "shown"):
        write_picture(tmp_path / name / "a.png")
    (tmp_path / "prepared" / "prepared.json").touch()
    assert [folder.name for folder in folders_below(tmp_path)][1:] == ["shown"]


def test_jobs_come_and_go(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    library = SceneLibrary()
    assert library.scenes() == []
    path = make_map(tmp_path / "0123abcd", layers=())
    library.add(path.parent, name="größe.png")
    (scene,) = library.scenes()
    assert (scene.name, scene.job) == ("größe.png", "0123abcd")
    assert library.scene(scene.id) == scene
    library.remove(path.parent)
    assert library.scenes() == []
    assert library.scene(scene.id) is None


def test_new_files_appear_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.serve.library._FRESH_SECONDS", 0.0)
    library = SceneLibrary([tmp_path])
    first = write_picture(tmp_path / "a.png")
    (scene,) = library.scenes()
    write_picture(tmp_path / "b.png")
    assert [one.name for one in library.scenes()] == ["a.png", "b.png"]
    first.unlink()
    assert [one.name for one in library.scenes()] == ["b.png"]
    assert library.scene(scene.id) is None


@pytest.mark.parametrize(
    "content", ["[]", '{"maps": 3}', '{"maps": [{"out": 1}]}', "{", '{"maps": [{"out": "", "scene": ""}]}']
)
def test_damaged_summaries_are_passed_over(content: str, tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path, layers=())
    path.with_suffix(".summary.json").write_text(content)
    (scene,) = SceneLibrary([tmp_path]).scenes()
    assert scene.map == path
    assert scene.summary == {}


def test_single_files(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path / "maps", summary=False, scene="other.tif")
    library = SceneLibrary(anywhere=True)
    assert library.add_file(path).image == path.with_name("other.tif")
    photo = write_picture(tmp_path / "photo.png")
    assert library.add_file(path, image=photo).image == photo
    with pytest.raises(ConfigError, match="no map of classes"):
        library.add_file(photo, image=photo)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(DataError, match="no raster"):
        library.add_file(tmp_path / "text.tif")
