"""What is asked of a scene, as fingerprints: only what was asked the same goes on where an earlier start ended."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from terrazzo.bundle import Bundle
from terrazzo.scene.header import Request
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.settings import PredictSettings
from terrazzo.storage import fingerprint

__all__ = ["code_fingerprint", "device_of", "request_of"]

WITHOUT_TRACE = frozenset(
    {
        "enable", "inputs", "out", "backbone", "drift", "largest_drift", "memory_gib", "workers", "executor", "retries",
        "max_errors", "values", "compression", "overviews", "quick_look", "stac", "polygons", "report",
        "force",
    }
)  # fmt: skip
"""Settings that leave no trace in a strip: where maps go, who computes, and what is made of finished strips."""

PACKAGE = Path(__file__).parents[1]
"""Where this package's own source lies."""

PACKAGES = ("torch", "numpy", "rasterio")
"""Packages whose version may change bits, besides those that the network is built from."""


def request_of(
    bundle: Bundle, entry: SceneEntry, plan: ScenePlan, settings: PredictSettings, *, device: str
) -> Request:
    """Return what is asked.

    Args:
        bundle: What maps the scene.
        entry: The scene.
        plan: How it is cut.
        settings: How it becomes a map.
        device: Kind of device: "cpu", "cuda" or "mps".
    """
    return Request(
        weights=bundle.fingerprint,
        code=code_fingerprint(),
        settings=fingerprint(settings.model_dump(mode="json", exclude=set(WITHOUT_TRACE))),
        scene=fingerprint([entry.fingerprint, plan.bands.model_dump(mode="json"), plan.window_shape]),
        device=device_of(device),
    )


@cache
def code_fingerprint() -> str:
    """Return a SHA-256 of this package's own source and of the packages that decide the bits."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode())
        digest.update(path.read_bytes())
    for name in PACKAGES:
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()


def device_of(device: str) -> str:
    """Return a kind of device and which one it is here: kernels differ from one to the next."""
    if device == "cuda":
        return f"cuda {torch.cuda.get_device_name()}"
    return f"{device} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
