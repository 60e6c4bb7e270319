import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_with_the_bits_of_an_undisturbed_run(prepared, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    remains = importlib.import_module("kill_training").remains
    whole, folder = tmp_path / "undisturbed", tmp_path / "killed"
    starts = [(whole, 0, ""), (folder, 0, "1:update:3"), (folder, 0, "0:checkpoint:2"), (folder, 1, "")]
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_processes.py"), str(prepared.folder), json.dumps(starts, default=str)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    undisturbed, first, second, last = json.loads(done.stdout)
    assert undisturbed == last == [0, 0], done.stderr[-4000:]
    assert first[1] == second[0] == -signal.SIGKILL
    assert first[0] != 0
    assert second[1] != 0
    expected, found = remains(whole), remains(folder)
    assert [part for part in expected if expected[part] != found[part]] == []
    names = expected["checkpoint"]
    assert "average layers.4.weight" in names
    assert names["average layers.4.weight"] != names["weights layers.4.weight"]
    assert any(name.endswith("momentum_buffer") for name in names)
