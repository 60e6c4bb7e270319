"""Terrazzo: from imagery and labels to maps that can be trusted.

Public names load on first use, so that `import terrazzo` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrazzo.bundle import Bundle as Bundle
    from terrazzo.config import load_config as load_config
    from terrazzo.phases.calibrate import calibrate as calibrate
    from terrazzo.phases.compare import compare as compare
    from terrazzo.phases.demo import demo as demo
    from terrazzo.phases.ensemble import ensemble as ensemble
    from terrazzo.phases.evaluate import evaluate as evaluate
    from terrazzo.phases.init import init as init
    from terrazzo.phases.predict import predict as predict
    from terrazzo.phases.prepare import prepare as prepare
    from terrazzo.phases.profile import profile as profile
    from terrazzo.phases.run import run as run
    from terrazzo.phases.train import train as train
    from terrazzo.phases.verify import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "terrazzo.bundle",
    "calibrate": "terrazzo.phases.calibrate",
    "compare": "terrazzo.phases.compare",
    "demo": "terrazzo.phases.demo",
    "ensemble": "terrazzo.phases.ensemble",
    "evaluate": "terrazzo.phases.evaluate",
    "init": "terrazzo.phases.init",
    "load_config": "terrazzo.config",
    "predict": "terrazzo.phases.predict",
    "prepare": "terrazzo.phases.prepare",
    "profile": "terrazzo.phases.profile",
    "run": "terrazzo.phases.run",
    "train": "terrazzo.phases.train",
    "verify": "terrazzo.phases.verify",
}

__all__ = [
    "Bundle",
    "__version__",
    "calibrate",
    "compare",
    "demo",
    "ensemble",
    "evaluate",
    "init",
    "load_config",
    "predict",
    "prepare",
    "profile",
    "run",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each public name has its own type
    """Load a public name from its home on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'terrazzo' has no attribute {name!r}")
