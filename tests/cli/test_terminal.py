"""What a person sees."""

import io

import pytest
from rich.console import Console

from terrazzo.cli.terminal import Bars, Lines, duration, progress_view, show_summary, show_table
from terrazzo.progress import Event, Progress


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (90061.0, "25 h 01 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


class TestLines:
    """Where there is no terminal."""

    @pytest.fixture
    def shown(self) -> list[str]:
        return []

    def test_a_thousand_steps_are_a_few_lines(self, shown: list[str]) -> None:
        clock = Clock()
        view = Lines(shown.append, interval_s=10.0, clock=clock)
        view(Event("start", "train", total=1000, unit="steps"))
        for step in range(1, 1001):
            clock.now = step * 0.03
            view(Event("advance", "train", step, 1000, "steps", figures={"loss": 1 / step}, seconds=clock.now))
        view(Event("finish", "train", 1000, 1000, "steps", seconds=30.0))
        assert shown == [
            "train: begins, 0 of 1000 steps",
            "train: 334 of 1000 steps, 10.0 s, 20.0 s left, loss 0.002994",
            "train: 668 of 1000 steps, 20.0 s, 10.0 s left, loss 0.001497",
            "train: done in 30.0 s, 1000 of 1000 steps",
        ]

    def test_inner_jobs_are_quiet(self, shown: list[str]) -> None:
        view = Lines(shown.append, clock=Clock())
        with Progress("train", listener=view), Progress("validate", listener=view, total=3):
            pass
        assert [line.partition(":")[0] for line in shown] == ["train", "train"]

    def test_notes_are_always_shown(self, shown: list[str]) -> None:
        view = Lines(shown.append, clock=Clock())
        with Progress("prepare", listener=view) as progress, Progress("read", listener=view) as inner:
            progress.note("3 images have no label")
            inner.note("slow disk")
        assert "prepare: 3 images have no label" in shown
        assert "read: slow disk" in shown

    def test_a_stop_inside_is_shown(self, shown: list[str]) -> None:
        view = Lines(shown.append, clock=Clock())
        outer, inner = Progress("train", listener=view), Progress("validate", listener=view)
        with pytest.raises(RuntimeError), outer, inner:
            raise RuntimeError("no room")
        assert [line.partition(" after ")[0] for line in shown[1:]] == ["validate: stopped", "train: stopped"]

    def test_an_unknown_total_has_no_end_in_sight(self, shown: list[str]) -> None:
        clock = Clock()
        view = Lines(shown.append, interval_s=1.0, clock=clock)
        with Progress("read", listener=view, unit="images") as progress:
            clock.now = 2.0
            progress.advance()
        assert shown[0] == "read: begins"
        assert shown[1].startswith("read: 1 images, ")
        assert "left" not in shown[1]

    def test_a_closed_view_begins_anew(self, shown: list[str]) -> None:
        view = Lines(shown.append, clock=Clock())
        view(Event("start", "left open"))
        view.close()
        view(Event("start", "next"))
        assert shown[-1] == "next: begins"


class TestBars:
    """On a terminal."""

    @pytest.fixture
    def console(self) -> Console:
        return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)

    @staticmethod
    def text(console: Console) -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_a_job_is_a_bar_and_then_a_line(self, console: Console) -> None:
        view = Bars(console)
        with Progress("map [old] scene.tif", listener=view, total=4, unit="windows") as progress:
            progress.advance(2, share=0.25)
            view._progress.refresh()
            shown = self.text(console)
        assert "map [old] scene.tif" in shown
        assert "2 of 4 windows" in shown
        assert "share 0.25" in shown
        assert "map [old] scene.tif: done in 0.0 s, 2 of 4 windows\n" in self.text(console)

    def test_notes_stand_above_the_bars(self, console: Console) -> None:
        view = Bars(console)
        with Progress("prepare", listener=view) as progress:
            progress.note("[3] images have no label")
        assert "prepare: [3] images have no label\n" in self.text(console)

    def test_closing_takes_open_bars_away(self, console: Console) -> None:
        view = Bars(console)
        view(Event("start", "train", total=3))
        view(Event("start", "validate", total=3))
        view.close()
        view.close()
        assert view._progress.tasks == []
        assert not view._progress.live.is_started
        assert self.text(console).endswith("\x1b[?25h") or "\x1b[?25h" in self.text(console), "the cursor is back"

    def test_an_inner_job_leaves_no_line(self, console: Console) -> None:
        view = Bars(console)
        with Progress("train", listener=view), Progress("validate", listener=view):
            pass
        assert "train: done" in self.text(console)
        assert "validate: done" not in self.text(console)


def test_the_view_fits_the_place() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    pipe = Console(file=io.StringIO())
    assert isinstance(progress_view(terminal), Bars)
    assert isinstance(progress_view(pipe), Lines)
    silent = progress_view(pipe, shown=False)
    with Progress("train", listener=silent):
        pass
    silent.close()
    assert pipe.file.getvalue() == ""  # type: ignore[attr-defined]


class TestSummary:
    """The end of a command."""

    def test_what_where_and_how_long_come_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        show_summary("train", {"folder": "runs/my [first] run", "seconds": 75, "best_value": 0.51234, "loss": None})
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "train done in 1 min 15 s: runs/my [first] run"
        assert lines[1].split() == ["best", "value", "0.5123"]
        assert lines[2].split() == ["loss", "-"]

    def test_long_paths_are_not_broken(self, capsys: pytest.CaptureFixture[str]) -> None:
        path = "/very long folder/" * 30 + "map.tif"
        show_summary("predict", {"folder": path, "seconds": 1.0, "map": path})
        assert capsys.readouterr().out.count(path) == 2

    def test_mappings_are_one_line_and_rows_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        content = {
            "patches": {"train": 1200, "val": 30},
            "phases": [
                {"name": "prepare", "seconds": 1.5, "skipped": None},
                {"name": "train", "seconds": 0.0, "skipped": "off"},
            ],
            "warnings": [],
            "done": True,
        }  # fmt: skip
        show_summary("run", content)
        out = capsys.readouterr().out
        assert "train 1,200, val 30" in out
        assert "warnings" not in out
        assert "yes" in out
        table = [line.split() for line in out.splitlines() if "prepare" in line or "off" in line]
        assert table == [["prepare", "1.5", "-"], ["train", "0", "off"]]

    def test_scores_of_classes_are_a_table_and_matrices_are_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        scores = {"miou": 0.75, "classes": {"water": {"iou": 0.9, "pixels": 1000}, "road": {"iou": None, "pixels": 0}}}
        show_summary("evaluate", {"miou": 0.75, "scores": scores, "confusion": [[1, 2], [3, 4]]})
        out = capsys.readouterr().out
        assert out.count("miou") == 1, "a figure stands once"
        assert [line.split() for line in out.splitlines() if "road" in line] == [["road", "-", "0"]]
        assert "confusion" not in out


def test_a_table_reads_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([{"name": "[bold]x[/bold]", "description": "Y."}], title="things (1)")
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out
    assert out.startswith("things (1)")
