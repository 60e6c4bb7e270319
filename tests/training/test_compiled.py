import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "compiled_runs.py"


@pytest.fixture(scope="module")
def found(prepared, tmp_path_factory) -> dict:
    """What compiled_runs.py says."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(prepared.folder), str(tmp_path_factory.mktemp("compiled")), "counting"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_each_size_of_a_batch_is_compiled_once_and_validation_is_not(found):
    assert found["rows"] % 4
    assert found["sizes"] == [[4, 3, 16, 16], [found["rows"] % 4, 3, 16, 16]]


def test_a_stop_is_taken_up_to_the_same_bits(found):
    assert found["stopped"] == 5
    assert found["resumed equals whole"]


def test_names_are_those_of_a_run_that_is_not_compiled(found):
    assert found["equals uncompiled"]
    assert all(name.startswith("layers.") for name in found["names"])
