"""Fixtures that every test may use."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DATA = Path(os.environ.get("TERRAZZO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real imagery; the test is skipped where it is absent, unless TERRAZZO_REQUIRE_DATA=1."""
    if not DATA.is_dir():
        if os.environ.get("TERRAZZO_REQUIRE_DATA") == "1":
            pytest.fail(f"real imagery is required, but {DATA} does not exist")
        pytest.skip(f"no real imagery at {DATA}")
    return DATA


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """Let a whole run set threads, determinism and logging, and put back what was."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    for handler in list(logging.getLogger("terrazzo").handlers):
        logging.getLogger("terrazzo").removeHandler(handler)
        handler.close()
