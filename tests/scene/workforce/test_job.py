"""A job crosses as plain data and computes the same bits wherever it is opened."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError, DataError
from terrazzo.scene.strip_file import StripRecord, StripWriter
from terrazzo.scene.workforce.job import SceneJob, loaded_plugins, open_job

Tiny = Any


def computed(tiny: Tiny, **how: int) -> tuple[bytes, list[StripRecord]]:
    """Compute all strips and return the map's bytes and the records."""
    tiny.journal()
    records: list[StripRecord] = []
    with open_job(tiny.job, **how) as opened:
        opened.compute(opened.plan.strips, done=records.append, advance=lambda _windows: None)
    return tiny.pixels({record.strip: record for record in records}), records


def test_a_job_is_plain_data(tiny: Tiny) -> None:
    assert SceneJob.model_validate_json(tiny.job.model_dump_json()) == tiny.job


def test_a_job_means_the_same_files_in_another_folder(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    described = tiny.job.model_dump(mode="json") | {"bundle": "b.safetensors", "folder": "j", "plugins": ["p.py"]}
    job = SceneJob.model_validate(described)
    assert (job.bundle, job.folder, job.plugins) == (tmp_path / "b.safetensors", tmp_path / "j", (tmp_path / "p.py",))
    assert job.backbone is None


def test_an_opened_job_is_the_plan_of_the_header(make_tiny: Callable[..., Tiny]) -> None:
    tiny = make_tiny(strip_pixels=28)
    other = tiny.job.model_copy(
        update={"settings": tiny.job.settings.model_copy(update={"strip_pixels": 10_000, "retries": 2})}
    )
    with open_job(other, lanes=3, readers=2) as opened:
        assert opened.plan.strips == tiny.plan.strips
        assert opened.forward.lanes == 3
        assert opened.retries == 2


def test_neither_lanes_nor_readers_change_a_bit(tiny: Tiny) -> None:
    first, records = computed(tiny)
    second, _ = computed(tiny, lanes=3, readers=3)
    assert first == second
    assert [record.strip for record in records] == [strip.number for strip in tiny.plan.strips]
    assert len(records) >= 5


def test_another_bundle_in_the_same_file_is_refused(tiny: Tiny, make_bundle: Callable[..., Bundle]) -> None:
    make_bundle("probe_convolution", classes=4, settings={"depth": 1}).save(tiny.job.bundle)
    with pytest.raises(BundleError, match="has changed since the job began"), open_job(tiny.job):
        pass


def test_plugins_of_this_process_are_known() -> None:
    assert "probe_networks.py" in [path.name for path in loaded_plugins()]


def test_a_job_loads_its_plugins(tiny: Tiny, make_plugin: Callable[[str, str], Path], tmp_path: Path) -> None:
    mark = tmp_path / "loaded"
    plugin = make_plugin("marking", f"import pathlib\npathlib.Path({str(mark)!r}).touch()")
    with open_job(tiny.job.model_copy(update={"plugins": (*tiny.job.plugins, plugin)})):
        assert mark.exists()


class TestFailingWrites:
    """A disk that fails for a while costs time, not the job."""

    def failing(self, monkeypatch: pytest.MonkeyPatch, calls: set[int]) -> None:
        """Let the writing of some blocks fail, counted from 1."""
        block, made = StripWriter.block, iter(range(1, 10_000))

        def failing(self: StripWriter, *arguments: object) -> None:
            if next(made) in calls:
                raise OSError(errno.ENOSPC, "No space left on device")
            block(self, *arguments)

        monkeypatch.setattr(StripWriter, "block", failing)

    def run(self, tiny: Tiny, retries: int) -> tuple[list[StripRecord], list[int], list[float]]:
        tiny.journal()
        records: list[StripRecord] = []
        told: list[int] = []
        waits: list[float] = []
        with open_job(
            tiny.job.model_copy(update={"settings": tiny.job.settings.model_copy(update={"retries": retries})})
        ) as opened:
            opened.compute(opened.plan.strips, done=records.append, advance=told.append, wait=waits.append)
        return records, told, waits

    def test_strips_under_way_are_tried_again(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        expected, _ = computed(tiny)
        self.failing(monkeypatch, {8, 9, 30})
        records, told, waits = self.run(tiny, retries=2)
        assert tiny.pixels({record.strip: record for record in records}) == expected
        assert [record.strip for record in records] == [strip.number for strip in tiny.plan.strips]
        assert sum(told) == tiny.plan.windows
        # The third failure came after a strip was finished: patience begins anew.
        assert waits == [1.0, 2.0, 1.0]

    def test_patience_ends(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing(monkeypatch, set(range(8, 10_000)))
        with pytest.raises(OSError, match="No space left") as caught:
            self.run(tiny, retries=2)
        assert caught.value.errno == errno.ENOSPC
        assert len(list(tiny.job.folder.glob("*.strip"))) == 1

    def test_an_error_of_ours_is_not_tried_again(self, tiny: Tiny) -> None:
        tiny.journal()
        waits: list[float] = []

        def refuse(record: StripRecord) -> None:
            raise DataError("no more")

        with open_job(tiny.job) as opened, pytest.raises(DataError, match="no more"):
            opened.compute(opened.plan.strips, done=refuse, advance=lambda _windows: None, wait=waits.append)
        assert waits == []

    def test_strips_that_are_dealt_one_by_one_come_once(self, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failing(monkeypatch, {8})
        dealt: list[int] = []

        def deal() -> object:
            for strip in tiny.plan.strips:
                dealt.append(strip.number)
                yield strip

        tiny.journal()
        records: list[StripRecord] = []
        with open_job(
            tiny.job.model_copy(update={"settings": tiny.job.settings.model_copy(update={"retries": 1})})
        ) as opened:
            opened.compute(deal(), done=records.append, advance=lambda _windows: None, wait=lambda _seconds: None)
        assert dealt == [strip.number for strip in tiny.plan.strips]
        assert [record.strip for record in records] == dealt
