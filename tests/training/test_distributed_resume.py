import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"


def train(data: Path, folder: Path, *, workers: int = 0, place: str = "") -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, str(HERE / "killed_processes.py"), str(data), str(folder), str(workers), place],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_with_the_bits_of_an_undisturbed_run(prepared, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    remains = importlib.import_module("kill_training").remains
    undisturbed = train(prepared.folder, tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr[-4000:]
    folder = tmp_path / "killed"
    for place in ("1:update:3", "0:checkpoint:2"):
        killed = train(prepared.folder, folder, place=place)
        assert killed.returncode != 0
        assert "SIGKILL" in killed.stderr
    ended = train(prepared.folder, folder, workers=1)
    assert ended.returncode == 0, ended.stderr[-4000:]
    expected, found = remains(tmp_path / "undisturbed"), remains(folder)
    assert [part for part in expected if expected[part] != found[part]] == []
