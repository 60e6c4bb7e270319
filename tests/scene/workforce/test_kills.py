"""Kills at chosen places of a whole mapping; benchmarks/kill_scene.py kills a hundred times."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "kill_scene.py"


@pytest.mark.slow
def test_five_kills_leave_no_trace() -> None:
    """In the journal, in strips, in a rename and in the conversion, with one worker and with two: the same bytes."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--kills", "5", "--workers", "1", "2", "1", "1", "1"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "5 kills (COG conversion 1, journal append 1, rename 1, strip write 2), 0 maps differ" in done.stdout
