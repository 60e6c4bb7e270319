"""Names below a folder."""

import pytest

from terrazzo.data.recognise import view as module
from terrazzo.data.recognise.view import View, evenly
from terrazzo.errors import DataError


def test_hidden_files_and_loops_are_left_out(tmp_path):
    (tmp_path / "ä b").mkdir()
    for name in ("ä b/1.PNG", "a.txt", ".hidden", "ä b/.x.png"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "ä b" / "loop").symlink_to(tmp_path)
    view = View.of(tmp_path)
    assert view.files == ("a.txt", "ä b/1.PNG")
    assert view.rasters == ("ä b/1.PNG",)
    assert view.ending(".png") == ["ä b/1.PNG"]
    assert view.describe() == "it holds 2 files (1 .txt, 1 .png), such as a.txt"


def test_too_many_files_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.png").write_text("", encoding="utf-8")
    view = View.of(tmp_path)
    assert (len(view.files), view.complete) == (3, False)
    assert "more than 3 files" in view.describe()


def test_empty_and_missing(tmp_path):
    assert View.of(tmp_path).describe() == "it is empty"
    with pytest.raises(DataError, match="is not a folder"):
        View.of(tmp_path / "none")


def test_few_items_are_all_taken():
    assert evenly(["a", "b"], 3) == ["a", "b"]
    assert evenly([], 3) == []
