"""The tiny training that the benchmarks use too."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from terrazzo.data.prepared import Prepared
from terrazzo.machine import Execution, MachineSettings
from terrazzo.models.architecture import ARCHITECTURES, Architecture
from terrazzo.record import load_plugin
from terrazzo.training.checkpoint import Best
from terrazzo.training.distributed import Processes, start
from terrazzo.training.fabric import Fabric, MixedPrecision
from terrazzo.training.folder import RunFolder
from terrazzo.training.session import Session, begin, save
from terrazzo.training.settings import TrainSettings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

collect_ignore = ["frozen_network.py", "killed_filling.py"]
"""Scripts and plug-ins: to import them registers a network under another module's name."""


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


@pytest.fixture
def started(tiny: ModuleType, prepared: Prepared, processes: Processes, tmp_path: Path) -> Callable[..., Session]:
    """Begin a session with changes to the job's settings."""

    def start(**settings: object) -> Session:
        job = tiny.tiny_job(tmp_path / "run", prepared, settings=TrainSettings(**({"batch_size": 4} | settings)))
        return begin(job, RunFolder(job.folder), processes)

    return start


@pytest.fixture
def finished_epoch() -> Callable[..., None]:
    """Pretend that an epoch was trained and concluded."""

    def finish(session: Session, epoch: int = 1, best: tuple[int, ...] = (1,)) -> None:
        figures = {"lr": 0.1, "train_loss": 0.5, "val_miou": 0.25, "seconds": 1.0}
        history = tuple({"epoch": one, **figures} for one in range(1, epoch + 1))
        session.state = replace(
            session.state, epoch=epoch, best=tuple(Best(one, 1.0 / one) for one in best), history=history
        )
        save(session)

    return finish


@pytest.fixture
def scaled() -> Processes:
    """This process with a float16 loss scaler whose first scale overflows."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=1000)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler))
    fabric.launch()
    return Processes(fabric, Execution("cpu", "float16", 1, 0))


@pytest.fixture(scope="session")
def frozen() -> type[Architecture]:
    """frozen_network.py: settings of a tiny network whose features can be cached."""
    load_plugin(Path(__file__).parent / "frozen_network.py")
    found = ARCHITECTURES.find("tiny_frozen")
    assert issubclass(found, Architecture)
    return found
