"""The list of keys in the user's cache."""

import os
from pathlib import Path

import pytest

from terrazzo.cli import completion_keys
from terrazzo.cli.completion_keys import KnownKey, collect, file, read, write

FEW = [
    KnownKey("seed", (), "Start.", False, False, ()),
    KnownKey("optimizer.lr", ("a", "b"), "Größe.", False, True, (("optimizer", "sgd"),)),
]


@pytest.fixture(autouse=True)
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cache and a package of the test's own; counts the processes that would be started."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache größe"))
    monkeypatch.setattr(completion_keys, "_PACKAGE", tmp_path / "package")
    monkeypatch.setattr(completion_keys, "collect", lambda: FEW)
    started: list[str] = []
    monkeypatch.setattr(completion_keys, "_begin", lambda: started.append("begun"))
    return started


def test_what_is_written_is_read(begun: list[str]) -> None:
    assert read() == []
    assert begun == ["begun"]
    write()
    assert read() == FEW
    assert len(begun) == 1


def test_changed_code_makes_the_list_stale(tmp_path: Path, begun: list[str]) -> None:
    write()
    first = file()
    (tmp_path / "package" / "a.py").write_text("12")
    assert file() != first
    assert read() == []
    write()
    assert read() == FEW
    assert not first.exists()


def test_a_new_package_beside_makes_it_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.setattr(completion_keys.sys, "path", [str(site)])
    first = file()
    (site / "plug_in").mkdir()
    os.utime(site, (1, 1))
    assert file() != first


def test_a_broken_list_is_written_anew(begun: list[str]) -> None:
    write()
    file().write_text("[[1]]")
    assert read() == []
    assert begun == ["begun"]


def test_the_process_in_the_background_leaves_a_finished_list_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    completion_keys._main()
    assert read() == FEW
    monkeypatch.setattr(completion_keys, "write", lambda: pytest.fail("written twice"))
    completion_keys._main()


def test_all_keys_are_collected() -> None:
    found = {key.name: key for key in collect()}
    assert found["train.epochs"].note
    assert found["train"].is_section
    assert "bfloat16" in found["machine.precision"].values
    assert found["logging.file"].takes_file
    assert {"adamw", "sgd"} <= set(found["optimizer"].values)
