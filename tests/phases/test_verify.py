"""The verb: what it writes, what it repeats, what it sets aside, and that a run stops on errors."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.config import RunConfig, load_config
from terrazzo.data.prepare import open_prepared
from terrazzo.errors import UnfitDataError
from terrazzo.phases.run import run
from terrazzo.phases.verify import verify
from terrazzo.progress import Event

SIDE = 48


def write_pair(folder: Path, split: str, name: str) -> tuple[Path, Path]:
    generator = np.random.default_rng(list(name.encode()))
    target = np.kron(generator.integers(0, 2, (4, 4)), np.ones((12, 12))).astype(np.uint8)
    target[0, :2] = 0, 1
    image = (90 + 60 * target[..., None] + generator.integers(0, 40, (SIDE, SIDE, 3))).astype(np.uint8)
    paths = folder / split / "images" / f"{name}.png", folder / split / "gt" / f"{name}.png"
    for path, content in zip(paths, (image, target), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path)
    return paths


@pytest.fixture
def config(tmp_path: Path, quiet_torch: None) -> RunConfig:
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        write_pair(tmp_path / "data", split, name)
    path = tmp_path / "terrazzo.yaml"
    path.write_text(
        f"name: tiny\npaths: {{prepared: {tmp_path}/prepared, runs: {tmp_path}/runs}}\n"
        f"data: {{source: {{name: folder, folder: {tmp_path}/data}}, classes: [land, water], patch: {{size: 24}}}}\n"
        "model: {name: smp, encoder: resnet18}\ntrain: {enable: false}\nevaluate: {enable: false}\n"
    )
    return load_config(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def begun(events: list[Event]) -> list[str]:
    return [event.job for event in events if event.kind == "start"]


def test_what_was_found_is_written_for_programs(config: RunConfig, tmp_path: Path) -> None:
    cut(tmp_path / "data" / "train" / "images" / "a.png")
    summary = verify(config)
    assert (summary.errors, summary.images, summary.unchanged) == (1, {"train": 2, "val": 1}, False)
    written = json.loads((tmp_path / "prepared" / "verify.json").read_text())
    assert written["findings"] == [vars(finding) for finding in summary.findings]
    assert set(written["findings"][0]) == {"file", "severity", "check", "what", "to_do"}
    assert written["class_pixels"]["val"][0] + written["class_pixels"]["val"][1] == SIDE * SIDE


def test_unchanged_data_is_not_read_again_where_that_is_asked_for(config: RunConfig, tmp_path: Path) -> None:
    first = verify(config)
    events: list[Event] = []
    again = verify(config, reuse=True, listener=events.append)
    assert (again.unchanged, again.findings, begun(events)) == (True, first.findings, [])
    assert not verify(config).unchanged
    cut(tmp_path / "data" / "val" / "gt" / "c.png")
    changed = verify(config, reuse=True)
    assert (changed.unchanged, changed.errors) == (False, 1)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": 1, "findings": []}'])
def test_a_damaged_file_of_findings_is_not_believed(config: RunConfig, tmp_path: Path, damage: bytes) -> None:
    verify(config)
    (tmp_path / "prepared" / "verify.json").write_bytes(damage)
    assert not verify(config, reuse=True).unchanged


def test_other_settings_are_another_look(config: RunConfig) -> None:
    verify(config)
    other = config.model_copy(update={"verify": config.verify.model_copy(update={"shift_px": 9.0})})
    assert not verify(other, reuse=True).unchanged
    threads = config.model_copy(update={"verify": config.verify.model_copy(update={"workers": 1})})
    assert not verify(config).unchanged
    assert verify(threads, reuse=True).unchanged


def test_fix_sets_broken_pairs_aside_and_prepares_again(config: RunConfig, tmp_path: Path) -> None:
    image, label = tmp_path / "data/train/images/a.png", tmp_path / "data/train/gt/a.png"
    whole = label.read_bytes()
    cut(image)
    summary = verify(config, fix=True)
    assert (summary.errors, len(summary.moved)) == (0, 2)
    assert not image.exists()
    assert not label.exists()
    moved = [Path(move.goal) for move in summary.moved if move.source == str(label)]
    assert moved[0].read_bytes() == whole
    assert moved[0].relative_to(tmp_path / "data").parts[0] == ".terrazzo-set-aside"
    assert len(open_prepared(tmp_path / "prepared").catalog) == 2
    assert verify(config, fix=True).moved == ()


def test_fix_notes_what_still_hinders_the_index(config: RunConfig, tmp_path: Path) -> None:
    target = np.full((SIDE, SIDE), 9, dtype=np.uint8)
    Image.fromarray(target).save(tmp_path / "data/train/gt/b.png")
    events: list[Event] = []
    summary = verify(config, fix=True, listener=events.append)
    assert (summary.errors, summary.moved) == (1, ())
    assert any("not yet possible" in event.message and "9" in event.message for event in events)


def test_a_run_stops_before_it_prepares(config: RunConfig, tmp_path: Path) -> None:
    cut(tmp_path / "data" / "train" / "images" / "a.png")
    with pytest.raises(UnfitDataError, match=r"has 1 error,.*verify\.json tells more"):
        run(config)
    assert not (tmp_path / "prepared" / "prepared.json").exists()
    page = (tmp_path / "runs/tiny/report.html").read_text()
    assert "is cut off" in page


def test_a_run_goes_on_with_warnings_and_looks_once(config: RunConfig, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / "data/val/gt/c.png")
    first: list[Event] = []
    summary = run(config, listener=first.append)
    assert [phase.name for phase in summary.phases][:2] == ["verify", "prepare"]
    assert "verify" in begun(first)
    assert "class water is absent from val" in (tmp_path / "runs/tiny/verify.json").read_text()
    assert len(list((tmp_path / "runs/tiny/data").glob("class-0*.png"))) == 6
    again: list[Event] = []
    run(config, listener=again.append)
    assert "verify" not in begun(again)


def test_a_run_without_it_says_so(config: RunConfig, tmp_path: Path) -> None:
    off = config.model_copy(update={"verify": config.verify.model_copy(update={"enable": False})})
    assert run(off).phases[0].skipped == "verify.enable is false"
    assert not (tmp_path / "runs/tiny/verify.json").exists()
