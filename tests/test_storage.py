"""Writing that survives a crash."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo import storage
from terrazzo.errors import LockedError, SpaceError, StorageError
from terrazzo.storage import (
    atomic_path,
    fingerprint,
    hash_file,
    locked,
    read_json,
    require_space,
    scratch_folder,
    sweep,
    write_bytes,
    write_json,
    write_text,
)

NAMES = ["map.tif", "Zürich Süd.tif", "no_suffix", "a.b.c.json", "地図 1.png"]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def dead_process() -> int:
    """Return the number of a process that has ended."""
    process = start("pass")
    process.communicate(timeout=30)
    return process.pid


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_file_appears_whole_and_alone(name: str, tmp_path: Path) -> None:
    write_bytes(tmp_path / "new folder" / name, b"pixels")
    assert (tmp_path / "new folder" / name).read_bytes() == b"pixels"
    assert names_in(tmp_path / "new folder") == [name]


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    goal = tmp_path / "map.tif"
    goal.write_text("old")
    with atomic_path(goal) as temporary:
        temporary.write_text("new")
        assert goal.read_text() == "old"
        assert temporary.parent == goal.parent
        assert temporary.suffix == ".tif"
    assert goal.read_text() == "new"


def test_an_error_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    goal = tmp_path / "map.tif"
    goal.write_text("old")

    def fail() -> None:
        with atomic_path(goal) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        fail()
    assert goal.read_text() == "old"
    assert names_in(tmp_path) == ["map.tif"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "store") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("1")
    assert (tmp_path / "store" / "part").read_text() == "1"


def test_an_error_removes_a_half_made_folder(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), atomic_path(tmp_path / "store") as temporary:
        temporary.mkdir()
        (temporary / "part").write_text("1")
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_folder_does_not_replace_one_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("1")
    with (
        pytest.raises(StorageError, match="store cannot be put in place"),
        atomic_path(tmp_path / "store") as temporary,
    ):
        temporary.mkdir()
    assert names_in(tmp_path) == ["store"]
    assert names_in(tmp_path / "store") == ["old"]


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Nothing was written for"), atomic_path(tmp_path / "map.tif"):
        pass
    assert names_in(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageError, match=r"folder .*runs.* cannot be made"):
        write_text(tmp_path / "runs" / "a" / "log.txt", "x")


@pytest.mark.parametrize("moment", ["writing", "before the rename"])
def test_a_crash_leaves_the_old_file(moment: str, tmp_path: Path) -> None:
    goal = tmp_path / "last.json"
    write_json(goal, {"epoch": 1})
    code = """
        import os, signal, sys
        from pathlib import Path
        from terrazzo import storage
        die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[2] == "writing":
            with storage.atomic_path(Path(sys.argv[1])) as temporary:
                temporary.write_text('{"epo')
                die()
        Path.replace = die
        storage.write_json(Path(sys.argv[1]), {"epoch": 2})
    """
    process = start(code, goal, moment)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert read_json(goal) == {"epoch": 1}
    assert len(names_in(tmp_path)) == 2, "the killed process leaves its temporary"
    sweep(tmp_path)
    assert names_in(tmp_path) == ["last.json"]


def test_sweeping_removes_only_what_dead_processes_left(tmp_path: Path) -> None:
    dead, alive = dead_process(), os.getppid()
    (tmp_path / f".map.partial-{dead}-0123abcd.tif").write_text("dead")
    (tmp_path / f".no_suffix.partial-{dead}-0123abcd").write_text("dead")
    (tmp_path / f".x.partial-9.partial-{dead}-0123abcd.tif").write_text("dead")
    (tmp_path / f".store.partial-{dead}-0123abcd").mkdir()
    (tmp_path / f".store.partial-{dead}-0123abcd" / "part").write_text("dead")
    kept = [f".map.partial-{alive}-0123abcd.tif", ".notes.partial-draft.txt", "map.partial-1.tif", ".hidden", "map.tif"]
    for name in kept:
        (tmp_path / name).write_text("keep")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / f".map.partial-{dead}-0123abcd.tif").write_text("another folder's business")
    sweep(tmp_path)
    assert names_in(tmp_path) == sorted([*kept, "inner"])
    assert len(names_in(tmp_path / "inner")) == 1


def test_sweeping_keeps_what_this_process_writes_now(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "map.tif") as temporary:
        temporary.write_text("new")
        sweep(tmp_path)
    assert (tmp_path / "map.tif").read_text() == "new"


def test_sweeping_knows_an_old_file_with_our_own_number(tmp_path: Path) -> None:
    """A container that starts again often gives the program the same process number."""
    (tmp_path / f".map.partial-{os.getpid()}-0123abcd.tif").write_text("from before the restart")
    sweep(tmp_path)
    assert names_in(tmp_path) == []


def test_sweeping_keeps_what_another_machine_may_be_writing(tmp_path: Path) -> None:
    """On shared storage a process number says nothing of who wrote it."""
    other = "000000" if storage._machine() != "000000" else "000001"
    written = [tmp_path / f".{name}.partial-{dead_process()}-{other}-0123abcd.tif" for name in ("now", "then")]
    folders = [tmp_path / f".{name}.partial-{dead_process()}-{other}-0123abcd.scratch" for name in ("busy", "left")]
    for path in written:
        path.write_text("another machine's")
    for folder in folders:
        folder.mkdir()
        (folder / "level_0.tif").write_text("another machine's")
    long_ago = time.time() - 4 * 24 * 3600
    # A folder's own time stands still while its files grow.
    for path in (written[1], *folders, folders[1] / "level_0.tif"):
        os.utime(path, (long_ago, long_ago))
    sweep(tmp_path)
    assert names_in(tmp_path) == sorted([written[0].name, folders[0].name])


def test_sweeping_knows_the_dead_of_this_machine(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "map.tif") as temporary:
        temporary.write_text("whole")
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{dead_process()}-")
    (tmp_path / name).write_text("dead")
    sweep(tmp_path)
    assert names_in(tmp_path) == ["map.tif"]


def test_sweeping_nothing_is_fine(tmp_path: Path) -> None:
    sweep(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "class names.txt", "Straße\n道\n")
    assert (tmp_path / "class names.txt").read_bytes() == "Straße\n道\n".encode()


def test_json_is_readable_and_keeps_its_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"z": 1, "a": "Fluß"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "Fluß" in text
    assert list(json.loads(text)) == ["z", "a"]


def test_json_refuses_what_json_cannot_hold_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe", None])
def test_unreadable_json_is_named(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.json cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_a_lock_keeps_a_second_process_out_and_names_the_first(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from terrazzo.errors import LockedError
        from terrazzo.storage import locked
        try:
            with locked(Path(sys.argv[1])):
                print("held")
        except LockedError as error:
            print(error)
    """
    with locked(tmp_path / "run"):
        said, _ = start(code, tmp_path / "run").communicate(timeout=30)
    assert f"process {os.getpid()}" in said
    assert "choose another folder" in said
    said, _ = start(code, tmp_path / "run").communicate(timeout=30)
    assert said.strip() == "held"


def test_a_lock_is_not_taken_twice_in_one_process(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(LockedError, match=str(os.getpid())), locked(tmp_path):
        pytest.fail("the lock was given twice")
    with locked(tmp_path):
        pass


def test_an_error_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    with locked(tmp_path):
        pass


def test_a_shorter_number_replaces_a_longer_one(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("123456789012")
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_lock_on_a_removed_folder_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder removes the folder just between our opening of the lock and our locking."""
    folder, flock, removed = tmp_path / "maps", storage.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(folder)
            shutil.rmtree(folder)
        flock(descriptor, how)

    monkeypatch.setattr(storage.fcntl, "flock", late)
    with locked(folder):
        assert removed == [folder]
        assert (folder / ".lock").read_text() == str(os.getpid())
        with pytest.raises(LockedError), locked(folder):
            pass


def test_a_lock_on_a_replaced_folder_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed as before, and a third process has locked a new folder of the same name meanwhile."""
    folder, flock, others = tmp_path / "maps", storage.fcntl.flock, contextlib.ExitStack()

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(storage.fcntl, "flock", flock)
        shutil.rmtree(folder)
        others.enter_context(locked(folder))
        flock(descriptor, how)

    monkeypatch.setattr(storage.fcntl, "flock", late)
    with others, pytest.raises(LockedError), locked(folder):
        pass


def test_a_folder_that_always_disappears_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = storage.fcntl.flock

    def late(descriptor: int, how: int) -> None:
        shutil.rmtree(tmp_path / "maps")
        flock(descriptor, how)

    monkeypatch.setattr(storage.fcntl, "flock", late)
    with pytest.raises(StorageError, match="disappears"), locked(tmp_path / "maps"):
        pass


@pytest.mark.parametrize(("number", "full"), [(28, True), (122, True), (27, True), (5, False), (None, False)])
def test_a_full_disk_is_told_from_a_failing_one(number: int | None, full: bool) -> None:
    assert storage.is_full(OSError(number, "x") if number else OSError("x")) is full


def test_folders_are_locked_apart(tmp_path: Path) -> None:
    with locked(tmp_path / "a"), locked(tmp_path / "b"):
        assert (tmp_path / "a" / ".lock").read_text() == (tmp_path / "b" / ".lock").read_text()


HOLDER = """
    import os, sys, time
    from pathlib import Path
    from terrazzo.storage import locked
    with locked(Path(sys.argv[1])):
        if sys.argv[2] == "with a loader process":
            begun, told = os.pipe()
            if os.fork() == 0:
                os.write(told, b"x")
                time.sleep(60)
            os.read(begun, 1)
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("company", ["alone", "with a loader process"])
def test_killing_the_holder_frees_the_lock(company: str, tmp_path: Path) -> None:
    code = textwrap.dedent(HOLDER)
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), company],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(LockedError, match=str(holder.pid)), locked(tmp_path):
            pass
        holder.kill()
        holder.wait(timeout=30)
        with locked(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.stdout.close()


def test_a_child_process_does_not_free_its_parents_lock(tmp_path: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from terrazzo.errors import LockedError
        from terrazzo.storage import locked
        with locked(Path(sys.argv[1])):
            child = os.fork()
            if child == 0:
                sys.exit(0)
            os.waitpid(child, 0)
            try:
                with locked(Path(sys.argv[1])):
                    print("freed")
            except LockedError:
                print("held")
    """
    process = start(code, tmp_path)
    said, _ = process.communicate(timeout=30)
    assert said.split() == ["held"]
    assert process.returncode == 0


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(StorageError, match="cannot be locked"), locked(tmp_path):
        pass


def test_a_full_disk_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def usage(folder: Path) -> SimpleNamespace:
        asked.append(folder)
        return SimpleNamespace(total=10 * 2**30, used=9 * 2**30, free=2**30)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    goal = tmp_path / "not" / "made yet"
    require_space(goal, 2**30, "the class map")
    with pytest.raises(SpaceError, match=r"1\.00 GiB free, but the class map needs 1\.50 GiB"):
        require_space(goal, 3 * 2**29, "the class map")
    assert asked == [tmp_path, tmp_path]
    assert not goal.parent.exists()


def test_a_relative_folder_has_its_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match="runs"):
        require_space(Path("runs/first"), 2**62, "the run")


def test_a_files_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert hash_file(tmp_path / "a") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(PLAIN)
def test_a_fingerprint_survives_json(content: object) -> None:
    assert fingerprint(json.loads(json.dumps(content))) == fingerprint(content)


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=4))
def test_a_fingerprint_knows_no_order_of_keys_but_every_value(content: dict[str, int]) -> None:
    assert fingerprint(dict(reversed(content.items()))) == fingerprint(content)
    key = next(iter(content))
    assert fingerprint({**content, key: content[key] + 1}) != fingerprint(content)


def test_a_fingerprint_knows_the_order_of_lists() -> None:
    assert fingerprint(["red", "nir"]) != fingerprint(["nir", "red"])


def test_a_fingerprint_refuses_what_equals_nothing() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))


def test_temporaries_of_two_writers_never_meet(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as first, atomic_path(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a.txt").read_text() == "1", "the last rename wins"
    assert not storage._OPEN


def test_writing_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    flush, replace = storage._flush, Path.replace
    monkeypatch.setattr(storage, "_flush", lambda path: (order.append(f"flush {path.name[:1]}"), flush(path)))
    monkeypatch.setattr(Path, "replace", lambda path, goal: (order.append("rename"), replace(path, goal))[1])
    write_text(tmp_path / "a.txt", "x")
    assert order[:2] == ["flush .", "rename"]
    assert len(order) == 3, "the folder's entry is flushed last"
    assert time.time() - (tmp_path / "a.txt").stat().st_mtime < 60


@pytest.mark.parametrize("name", NAMES)
def test_a_scratch_folder_is_gone_afterwards_and_stays_while_others_sweep(name: str, tmp_path: Path) -> None:
    goal = tmp_path / name
    with scratch_folder(goal) as folder, scratch_folder(goal) as other:
        (folder / "part").write_bytes(b"x")
        sweep(tmp_path)
        assert folder != other
        assert {folder, other} == set(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), scratch_folder(goal):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_scratch_folder_beside_a_temporary_is_swept_after_a_crash(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from terrazzo.storage import atomic_path, scratch_folder
        with atomic_path(Path(sys.argv[1])) as temporary, scratch_folder(temporary) as folder:
            (folder / "part").write_bytes(b"x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start(code, tmp_path / "map.tif")
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())
