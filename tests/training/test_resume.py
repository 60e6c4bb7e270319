import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill_training.py"


@pytest.mark.slow
def test_five_kills_leave_no_trace():
    """Inside a checkpoint, validation and epoch, with and without loader workers: the bits of an undisturbed run."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--kills", "5", "--workers", "0", "0", "1", "0", "0", "0"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "5 kills (checkpoint 2, mid-epoch 1, validation 2), 0 runs differ" in done.stdout
