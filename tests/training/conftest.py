"""The tiny training that the benchmarks use too."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from terrazzo.data.prepared import Prepared
from terrazzo.machine import MachineSettings
from terrazzo.training.distributed import Processes, start

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """benchmarks/tiny_training.py: network, data and job of a few seconds."""
    if "tiny_training" not in sys.modules:
        spec = importlib.util.spec_from_file_location("tiny_training", BENCHMARKS / "tiny_training.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["tiny_training"] = module
        spec.loader.exec_module(module)
    return sys.modules["tiny_training"]


@pytest.fixture(scope="session")
def prepared(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Five images of three classes, cut into overlapping patches of 16 pixels; a folder with a space and an umlaut."""
    return tiny.tiny_prepared(tmp_path_factory.mktemp("tiny") / "prepared Äcker")


@pytest.fixture(scope="session")
def processes() -> Processes:
    """This process alone, in float32."""
    return start(MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=0))
