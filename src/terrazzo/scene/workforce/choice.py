"""Which workforce computes a scene: this process, several of this machine, or a cluster's."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import rasterio

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.reader import RowSource
from terrazzo.scene.workforce.inline import InlineWorkforce
from terrazzo.scene.workforce.job import OpenJob, SceneJob
from terrazzo.scene.workforce.local import LocalWorkforce
from terrazzo.scene.workforce.places import count_workers, places_of
from terrazzo.scene.workforce.workforce import Workforce

__all__ = ["choose_workforce"]


@contextlib.contextmanager
def choose_workforce(
    job: SceneJob,
    bundle: Bundle,
    *,
    plan: ScenePlan,
    products: Products,
    forward: WindowForward | None,
    rows: Callable[[], AbstractContextManager[RowSource]],
) -> Iterator[Workforce]:
    """Yield who computes a job.

    Args:
        job: The scene and what was decided for it; workers of other processes load the bundle that it names, which is
            written here for them.
        bundle: The same bundle.
        plan: How the scene is cut.
        products: What is decided.
        forward: The network as the probe has left it; made anew if None.
        rows: Opens the scene's pixels.

    Raises:
        ConfigError: Ray is asked for and not installed.
    """
    decisions = job.header.decisions
    workers = count_workers(job.settings, decisions)
    if job.settings.executor == "ray" or workers > 1:
        _keep_bundle(bundle, job.bundle)
        if job.settings.executor == "ray":
            from terrazzo.scene.workforce.ray import RayWorkforce

            yield RayWorkforce(None if job.settings.workers == "auto" else workers)
        else:
            yield LocalWorkforce(workers)
        return
    if forward is None:
        lanes = places_of(1, decisions)[0].lanes
        forward = WindowForward(bundle, job.settings, decisions, products, margin=plan.margin, lanes=lanes)
    # Left alone, GDAL keeps a twentieth of the machine's memory in decoded blocks.
    with rasterio.Env(GDAL_CACHEMAX=plan.cache_bytes), rows() as source:
        yield InlineWorkforce(
            OpenJob(
                plan=plan,
                source=source,
                forward=forward,
                products=products,
                normalisation=bundle.normalisation,
                header=job.header,
                folder=job.folder,
                retries=job.settings.retries,
            )
        )


def _keep_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle where workers find it, unless an earlier start has and the file is still whole."""
    with contextlib.suppress(BundleError):
        if Bundle.load(path, backbone=bundle.backbone_path).fingerprint == bundle.fingerprint:
            return
    bundle.save(path)
