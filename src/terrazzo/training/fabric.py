"""Lightning Fabric, loaded without what it never uses: in a third of the time.

One constant of Fabric's asks for the version of torchmetrics, and its library answers by importing all of it, with
transformers, torchvision and a compiler behind it. While Fabric loads, a module that knows only its version stands in.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

__all__ = [
    "DDPStrategy",
    "Fabric",
    "FabricModule",
    "FabricOptimizer",
    "MixedPrecision",
    "SLURMEnvironment",
    "TorchElasticEnvironment",
]


@contextmanager
def version_alone(package: str) -> Iterator[None]:
    """Let a package that nobody has imported yet say its version inside the block, and nothing else."""
    if package in sys.modules:
        yield
        return
    try:
        number = version(package)
    except PackageNotFoundError:
        yield
        return
    stand_in = ModuleType(package)
    stand_in.__dict__["__version__"] = number
    sys.modules[package] = stand_in
    try:
        yield
    finally:
        # Whoever imports it later gets it whole.
        if sys.modules.get(package) is stand_in:
            del sys.modules[package]


with version_alone("torchmetrics"):
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import MixedPrecision
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.wrappers import _FabricModule as FabricModule
    from lightning_fabric.wrappers import _FabricOptimizer as FabricOptimizer
