"""A file is whole, missing, or damaged; nothing else."""

import hashlib
from pathlib import Path

from terrazzo.data.written_file import fault_of

CONTENT = b"a strip of terrazzo"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_that_holds_what_was_written_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a é.bin"
    path.write_bytes(CONTENT)
    assert fault_of(path, size=len(CONTENT), sha256=SHA256) is None


def test_what_is_wrong_is_told_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "a é.bin"
    assert fault_of(path, size=len(CONTENT), sha256=SHA256) == ("it is missing", "missing")
    path.write_bytes(CONTENT[:-1])
    assert fault_of(path, size=len(CONTENT), sha256=SHA256) == ("it has 18 bytes, but 19 were written", "damaged")
    path.write_bytes(CONTENT[:-1] + b"x")
    found = fault_of(path, size=len(CONTENT), sha256=SHA256)
    assert found == ("its bytes are not those that were written", "damaged")
    folder = tmp_path / "folder"
    folder.mkdir()
    found = fault_of(folder, size=folder.stat().st_size, sha256=SHA256)
    assert found is not None
    assert found[1] == "damaged"
