from pathlib import Path

import pytest
import yaml

from terrazzo.config.document import plain, read_file
from terrazzo.errors import LockedError, TrainingError
from terrazzo.training.folder import RunFolder, differences

CONFIG = {"seed": 1, "train": {"epochs": 3, "keep": {"best": 1}}, "machine": {"workers": 2, "threads": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "a run für alle")


def begun(folder: RunFolder) -> None:
    folder.checkpoints.mkdir(parents=True)
    folder.last.touch()


def changed(section: str, **values: object) -> dict[str, object]:
    return CONFIG | {section: CONFIG.get(section, {}) | values}


def test_the_first_claim_writes_the_configuration(folder):
    folder.claim(CONFIG)
    assert yaml.safe_load(folder.config.read_text()) == CONFIG


def test_text_that_looks_like_a_number_stays_text(folder):
    config = {"name": "1e-3", "data": {"classes": ["1e3", "12", "0x1f", "wood"]}, "optimizer": {"lr": 1e-5}}
    folder.claim(config)
    issues: list[object] = []
    read = read_file(folder.config, issues)
    assert not issues
    assert plain(read) == config
    folder.claim(config)


def test_references_to_the_environment_stay_references(folder):
    folder.claim({"data": {"root": "${oc.env:SECRET_PLACE}"}, "path": Path("a/b"), "pair": (1, 2)})
    text = folder.config.read_text()
    assert "${oc.env:SECRET_PLACE}" in text
    assert yaml.safe_load(text)["path"] == "a/b"
    folder.claim({"data": {"root": "${oc.env:SECRET_PLACE}"}, "path": Path("a/b"), "pair": [1, 2]})


def test_the_same_configuration_is_accepted_and_the_file_left_alone(folder):
    folder.claim(CONFIG)
    begun(folder)
    before = folder.config.stat().st_mtime_ns
    folder.claim(dict(reversed(CONFIG.items())))
    assert folder.config.stat().st_mtime_ns == before


def test_another_configuration_is_refused_with_each_difference(folder):
    folder.claim(CONFIG)
    begun(folder)
    with pytest.raises(TrainingError) as caught:
        folder.claim(changed("train", epochs=5) | {"seed": 2, "more": {}})
    message = str(caught.value)
    assert "train.epochs: 3 there, 5 given" in message
    assert "seed: 1 there, 2 given" in message
    assert "more: absent there, {} given" in message
    assert "another name" in message
    assert yaml.safe_load(folder.config.read_text()) == CONFIG


@pytest.mark.parametrize(
    "other", [changed("machine", workers=0), changed("predict", margin=4), changed("logging", level="debug")]
)
def test_what_cannot_change_the_result_may_differ(folder, other):
    folder.claim(CONFIG)
    begun(folder)
    folder.claim(other)
    assert yaml.safe_load(folder.config.read_text()) == other


def test_threads_can_change_the_result(folder):
    folder.claim(CONFIG)
    begun(folder)
    with pytest.raises(TrainingError, match=r"machine\.threads"):
        folder.claim(changed("machine", threads=2))


def test_a_folder_without_a_checkpoint_takes_a_new_configuration(folder):
    folder.claim(CONFIG)
    folder.claim(changed("train", epochs=9))
    assert yaml.safe_load(folder.config.read_text())["train"]["epochs"] == 9


def test_the_folder_is_held_by_one(folder):
    with folder.held(), pytest.raises(LockedError), RunFolder(folder.path).held():
        pytest.fail("two hold the folder")
    with folder.held():
        assert folder.path.is_dir()


def test_what_a_killed_writer_left_is_swept(folder):
    folder.checkpoints.mkdir(parents=True)
    left = folder.checkpoints / ".last.partial-999999999-0123abcd.safetensors"
    left.touch()
    with folder.held():
        assert not left.exists()


def test_differences_show_lists_and_absent_keys():
    assert differences({"a": [1, 2], "b": 1}, {"a": [1, 3]}) == {
        "a": "a: [1, 2] there, [1, 3] given",
        "b": "b: 1 there, absent here",
    }
    assert differences(CONFIG, CONFIG) == {}


def test_paths_lie_in_the_folder(folder):
    paths = [folder.config, folder.metadata, folder.log, folder.bundle, folder.trace, folder.last, folder.samples]
    paths += [folder.best(3), folder.kept(12), folder.failure(4, 1), folder.events]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(folder.path) for path in paths)
    assert folder.best(3).name == "best-0003.safetensors"
