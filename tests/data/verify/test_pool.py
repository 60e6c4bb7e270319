"""Images are looked at in processes: in order, alike for any number of them, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.settings import DataSettings
from terrazzo.data.verify import pool
from terrazzo.data.verify.audit import take_inventory, verify_pairs
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.pool import Examiner, examine_all
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import DataError

CLASSES = ["land", "water"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSettings:
    """Seven pairs, of which the fourth's image is cut off; small as they are, they are given to processes."""
    monkeypatch.setattr(pool, "MUCH_BYTES", 0)
    generator = np.random.default_rng(0)
    for kind in ("images", "gt"):
        (tmp_path / kind).mkdir()
    for number in range(7):
        image = generator.integers(0, 256, (48, 40, 3)).astype(np.uint8)
        label = (np.arange(40) > 5 * number).astype(np.uint8) * np.ones((48, 1), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(label).save(tmp_path / "gt" / f"{number}.png")
    whole = (tmp_path / "images" / "3.png").read_bytes()
    (tmp_path / "images" / "3.png").write_bytes(whole[: len(whole) // 2])
    source = {"name": "folder", "folder": str(tmp_path)}
    return DataSettings.model_validate({"source": source, "classes": CLASSES})


def _examiner(data: DataSettings) -> Examiner:
    return Examiner(data, VerifySettings(), {}, otherwise=False)


def test_little_data_starts_no_process(data: DataSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = take_inventory(data).pairs
    bytes_in_all = sum(path.stat().st_size for pair in pairs for path in pair.all_files)

    def started(*_: object, **__: object) -> None:
        raise RuntimeError("started")

    monkeypatch.setattr(pool, "ProcessPoolExecutor", started)
    monkeypatch.setattr(pool, "MUCH_BYTES", bytes_in_all + 1)
    assert len(list(examine_all(pairs, _examiner(data), workers=2))) == 7
    monkeypatch.setattr(pool, "MUCH_BYTES", bytes_in_all)
    with pytest.raises(RuntimeError, match="started"):
        list(examine_all(pairs, _examiner(data), workers=2))


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_processes_finds_the_same_in_the_same_order(data: DataSettings, workers: int) -> None:
    pairs = take_inventory(data).pairs
    alone = list(examine_all(pairs, _examiner(data), workers=1))
    several = list(examine_all(pairs, _examiner(data), workers=workers))
    assert [one.pair.image_id for one in several] == [pair.image_id for pair in pairs]
    assert [one.findings for one in several] == [one.findings for one in alone]
    assert [one.class_pixels for one in several] == [one.class_pixels for one in alone]
    assert [one.broken for one in several] == [number == 3 for number in range(7)]


def test_the_audit_does_not_depend_on_the_number_either(data: DataSettings) -> None:
    audits = [verify_pairs(take_inventory(data), data, VerifySettings(workers=workers)) for workers in (1, 2)]
    assert audits[0].findings == audits[1].findings
    assert audits[0].class_pixels == audits[1].class_pixels


def _die(_examiner: Examiner, _pair: object) -> Examined:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


class _Deadly(Examiner):
    """Kills the process that it works in."""

    __call__ = _die  # type: ignore[assignment]


def test_a_process_that_is_killed_is_told_and_nothing_hangs(data: DataSettings) -> None:
    deadly = _Deadly(data, VerifySettings(), {}, otherwise=False)
    with pytest.raises(DataError, match=r"was killed, most often for want of memory"):
        list(examine_all(take_inventory(data).pairs, deadly, workers=2))


SCRIPT = """
import sys, time
from collections.abc import Callable
from pathlib import Path


from terrazzo.data.verify import pool

class Slow(pool.Examiner):
    def __init__(self, folder): self.folder = folder
    def __call__(self, pair):
        import os
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)

if __name__ == "__main__":
    pool._is_much = lambda pairs: True
    list(pool.examine_all([1, 2], Slow(Path(sys.argv[1])), workers=2))
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script, seen = tmp_path / "script.py", tmp_path / "seen"
    script.write_text(SCRIPT)
    seen.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(seen)])
    try:
        _until(lambda: len(list(seen.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    _until(lambda: not any(_alive(int(path.name)) for path in seen.iterdir()))


def _alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited a minute in vain"
        time.sleep(0.05)
