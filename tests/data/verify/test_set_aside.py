"""Files are moved with their paths, never deleted or overwritten; what others need stays."""

import json
from pathlib import Path

import pytest

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.sources.source import Pair
from terrazzo.data.verify.set_aside import ASIDE_FOLDER, MOVED_FILE, set_aside


def pair(folder: Path, name: str, label: str = "") -> Pair:
    files = folder / "images" / f"{name}.png", folder / "gt" / f"{label or name}.png"
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return Pair(name, files[0], RasterLabel(rasters=(files[1],)))


def test_both_halves_move_and_keep_their_paths(tmp_path: Path) -> None:
    folder = tmp_path / "my dàta"
    broken, sound = pair(folder, "a"), pair(folder, "b")
    moves = set_aside([broken], [sound], FolderSource(folder=folder))
    assert sorted(path.name for path in folder.glob("*/*.png")) == ["b.png", "b.png"]
    place = next((folder / ASIDE_FOLDER).iterdir())
    assert (place / "images" / "a.png").read_text() == "a.png"
    assert (place / "gt" / "a.png").read_text() == "a.png"
    listed = json.loads((place / MOVED_FILE).read_text())["moved"]
    assert [(move["source"], move["goal"]) for move in listed] == [(move.source, move.goal) for move in moves]
    assert {Path(move.source) for move in moves} == {broken.image, broken.label.file}


def test_two_calls_in_one_second_do_not_meet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert len(set_aside([pair(tmp_path, name)], [], FolderSource(folder=tmp_path))) == 2
    again = pair(tmp_path, "a")
    assert len(set_aside([again], [], FolderSource(folder=tmp_path))) == 2
    kept = sorted(path.name for path in tmp_path.rglob("*.png"))
    assert kept == ["a.png"] * 4 + ["b.png"] * 2


def test_what_a_sound_pair_needs_stays_and_so_does_what_lies_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shared, other = pair(folder, "a", "all"), pair(folder, "b", "all")
    elsewhere = pair(tmp_path / "elsewhere", "c")
    moves = set_aside([shared, elsewhere], [other], FolderSource(folder=folder))
    assert [Path(move.source).name for move in moves] == ["a.png"]
    assert elsewhere.image.is_file()
    assert (folder / "gt" / "all.png").is_file()


@pytest.mark.parametrize("vanished", [False, True])
def test_nothing_to_move(tmp_path: Path, vanished: bool) -> None:
    broken = [pair(tmp_path, "a")] if vanished else []
    for one in broken:
        one.image.unlink()
        one.label.file.unlink()
    assert set_aside(broken, [], FolderSource(folder=tmp_path)) == []
    assert not (tmp_path / ASIDE_FOLDER).exists()


def test_a_link_is_moved_and_not_what_it_leads_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    broken = pair(folder, "a")
    target = tmp_path / "original.png"
    broken.image.rename(target)
    broken.image.symlink_to(target)
    set_aside([broken], [], FolderSource(folder=folder))
    assert target.read_text() == "a.png"
    assert not broken.image.is_symlink()
