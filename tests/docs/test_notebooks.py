"""The notebooks run from nothing as they stand, and are committed without what running them leaves."""

import os
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
STRICT = """
import warnings
warnings.simplefilter("error")
# Jupyter's own: tqdm would draw bars with a package that is not needed; the kernel's threads and sockets.
warnings.filterwarnings("ignore", message="IProgress not found")
for module in ("ipykernel", "jupyter_client", "zmq", "tornado", "traitlets", "IPython"):
    warnings.filterwarnings("ignore", module=module)
"""
"""Comes before the first cell: in a kernel, too, a warning of ours is an error."""


@pytest.fixture
def kernel_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder for the kernel's files; the kernel is this interpreter, whatever is installed for the user."""
    home = tmp_path / "jupyter"
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        (home / name.lower()).mkdir(parents=True)
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("JUPYTER_PATH", str(home))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    return home


def test_there_are_two() -> None:
    assert NAMES == ["tutorial.ipynb", "your-own-geotiff.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_committed_without_outputs(name: str) -> None:
    book = nbformat.read(FOLDER / name, as_version=4)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    assert set(book.metadata) <= {"kernelspec", "language_info"}
    for cell in book.cells:
        assert not cell.metadata, cell.source
        assert not cell.get("outputs"), cell.source
        assert cell.get("execution_count") is None, cell.source


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq")
def test_it_runs_from_nothing(name: str, tmp_path: Path, kernel_home: Path) -> None:
    book = nbformat.read(FOLDER / name, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    place = tmp_path / "arbeit ü"
    place.mkdir()
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(place)}})
    client.execute()
    pictures = [
        output for cell in book.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 2
    (map_file,) = place.glob("*/map.tif")
    assert map_file.stat().st_size > 0
    assert len(list(place.glob("*/runs/*/report.html"))) == 1
