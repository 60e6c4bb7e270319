import json
from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.errors import DataError
from terrazzo.report.contents import best_epoch, read_run

MakeRun = Callable[..., Path]


def test_a_whole_run_is_read(make_run: MakeRun) -> None:
    run = read_run(make_run(epochs=4))
    assert [row["epoch"] for row in run.history] == [1.0, 2.0, 3.0, 4.0]
    assert run.history[0]["val_bf1"] is None
    assert [found.facts.split for found in run.evaluated] == ["test", "val"]
    assert [len(found.samples) for found in run.evaluated] == [3, 3]
    assert [phase.name for phase in run.phases] == ["prepare", "train", "evaluate test", "evaluate val", "predict"]
    assert [path.name for path in run.pictures] == ["overview.png"]
    assert run.problems == ()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no run folder"):
        read_run(tmp_path / "nowhere")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing of a run.*terrazzo train"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["data.json", "summary.json", "metadata.json"])
@pytest.mark.parametrize("content", [b'{"classes": [', b"[1, 2]", b"\xff\xfe", b""])
def test_a_damaged_file_is_named_and_the_rest_read(make_run: MakeRun, name: str, content: bytes) -> None:
    folder = make_run()
    (folder / name).write_bytes(content)
    run = read_run(folder)
    assert len(run.problems) == 1
    assert name in run.problems[0]
    assert len(run.history) == 12
    assert len(run.evaluated) == 2


def test_a_config_that_is_no_text_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "config.yaml").write_bytes(b"name: \xff")
    run = read_run(folder)
    assert run.config == ""
    assert "config.yaml" in run.problems[0]


def test_a_log_cut_off_in_a_row_keeps_the_rows_before(make_run: MakeRun) -> None:
    folder = make_run(epochs=3)
    text = (folder / "log.csv").read_text(encoding="utf-8")
    lines = text.splitlines()
    (folder / "log.csv").write_text("\n".join([*lines[:3], lines[3][:6], "", ",,,"]), encoding="utf-8")
    history = read_run(folder).history
    assert [row["epoch"] for row in history] == [1.0, 2.0, 3.0]
    assert history[2]["val_miou"] is None


def test_an_empty_log_is_no_history(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "log.csv").write_text("", encoding="utf-8")
    assert read_run(folder).history == ()


def test_splits_stand_by_how_far_they_were_kept_apart(make_run: MakeRun) -> None:
    run = read_run(make_run(evaluated=("train", "val", "north", "test")))
    assert [found.facts.split for found in run.evaluated] == ["test", "val", "train", "north"]


def test_temporaries_of_killed_writers_are_no_pictures(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "predict" / ".map.partial-1-00000000.png").write_bytes(b"")
    assert [path.name for path in read_run(folder).pictures] == ["overview.png"]


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [
        ({"figure": "val_miou", "mode": "auto"}, ("val_miou", 2.0, 0.6)),
        ({"figure": "val_loss", "mode": "auto"}, ("val_loss", 1.0, 0.3)),
        ({"figure": "val_miou", "mode": "min"}, ("val_miou", 1.0, 0.5)),
        ("val_loss", ("val_loss", 1.0, 0.3)),
        (None, ("val_miou", 2.0, 0.6)),
    ],
)
def test_the_best_epoch_is_the_monitored_ones(monitor: object, expected: tuple[str, float, float]) -> None:
    history = [
        {"epoch": 1.0, "val_loss": 0.3, "val_miou": 0.5},
        {"epoch": 2.0, "val_loss": 0.4, "val_miou": 0.6},
        {"epoch": 3.0, "val_loss": 0.3, "val_miou": 0.6},
        {"epoch": 4.0, "val_loss": None, "val_miou": None},
    ]
    assert best_epoch(history, {"config": {"train": {"monitor": monitor}}}) == expected


def test_without_the_monitored_figure_no_epoch_is_best() -> None:
    assert best_epoch([{"epoch": 1.0, "val_miou": None}], {}) is None
    assert best_epoch([], {"config": "text"}) is None


def test_reading_keeps_unicode_and_spaces(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(("Wiese, naß", 'the "old" wood', "水"), folder=tmp_path / "läufe 1" / "a b")
    run = read_run(folder)
    assert run.data is not None
    assert [entry.name for entry in run.data.classes] == ["Wiese, naß", 'the "old" wood', "水"]
    assert run.history[0]['val_iou_the "old" wood'] is not None
    assert json.loads((folder / "data.json").read_text(encoding="utf-8"))["classes"][2]["name"] == "水"


def test_named_validation_sets_follow_the_split_val(make_run: MakeRun) -> None:
    run = read_run(make_run(evaluated=("train", "val", "val_sea", "val_city", "test")))
    assert [found.facts.split for found in run.evaluated] == ["test", "val", "val_city", "val_sea", "train"]
