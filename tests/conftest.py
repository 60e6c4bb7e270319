"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("TERRAZZO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real imagery; the test is skipped where it is absent, unless TERRAZZO_REQUIRE_DATA=1."""
    if not DATA.is_dir():
        if os.environ.get("TERRAZZO_REQUIRE_DATA") == "1":
            pytest.fail(f"real imagery is required, but {DATA} does not exist")
        pytest.skip(f"no real imagery at {DATA}")
    return DATA
