"""Whether a scene's values lie where the training's did: other units, another scaling, bands in another order."""

import logging
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment

from terrazzo.bundle import Bundle
from terrazzo.data.distribution import QUANTILE_SHARES, Distribution, weighted_quantiles
from terrazzo.errors import ContractError
from terrazzo.geo.bands import Bands
from terrazzo.record import Record
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.spread_sample import spread_sample

__all__ = ["BandDrift", "DriftReport", "check_drift", "scene_drift"]

ALLOWED = {0.05: (0.05, 0.5), 0.25: (0.25, 0.5), 0.5: (0.25, 0.75), 0.75: (0.5, 0.75), 0.95: (0.5, 0.95)}
"""Between which two quantiles of the training each quantile of a scene may lie.

A scene of one kind of ground has values of a narrower range than all of the training, and is no reason to warn: what
counts is how far it leaves the training's range. The outermost quantiles are single pixels: clouds, glints, damaged
detectors."""

_LOG = logging.getLogger(__name__)


class BandDrift(Record):
    """One band of the scene beside the training's."""

    band: str
    """Name of the model's band."""
    found: tuple[float, ...]
    """Quantiles of the scene's values, at `QUANTILE_SHARES`, in raw units."""
    trained: tuple[float, ...]
    """Quantiles of the training's values."""
    drift: float
    """How far the scene's quantiles leave the training's range, in standard deviations of the training."""


class DriftReport(Record):
    """How far a scene's values lie from the training's."""

    bands: tuple[BandDrift, ...]
    """Every band; empty where they could not be compared."""
    pixels: int
    """Valid pixels of the scene that were compared."""
    note: str | None = None
    """Why bands could not be compared."""
    warning: str | None = None
    """What the reader of the map should know: which bands drifted, and what to check."""

    @property
    def largest(self) -> float:
        """Drift of the band that drifted most; 0 where none was compared."""
        return max((band.drift for band in self.bands), default=0.0)

    def describe(self) -> str:
        """Return one line for a reader."""
        if self.note is not None:
            return self.note
        most = max(self.bands, key=lambda band: band.drift)
        return f'drift {most.drift:.2g} standard deviations at the most, of "{most.band}"'


def check_drift(scene: OpenScene, bundle: Bundle, bands: Bands, settings: PredictSettings) -> DriftReport | None:
    """Compare a scene's values with the training's, as `predict.drift` says; a warning is logged too.

    Args:
        scene: The scene.
        bundle: What the network was trained for.
        bands: Which of the scene's bands the network sees, in its order.
        settings: What happens to a scene that drifted, and above which drift.

    Returns:
        The report; None where drift is ignored.

    Raises:
        ContractError: A band drifted further than allowed, and `predict.drift` is `refuse`; or it cannot be told.
    """
    if settings.drift == "ignore":
        return None
    report = scene_drift(scene, bundle, bands)
    if report.note is not None and settings.drift == "refuse":
        raise ContractError(f"{scene.path}: {report.note}, and predict.drift is refuse; set it to warn or ignore.")
    if report.largest <= settings.largest_drift:
        return report
    message = _explanation(scene, bundle, bands, report, settings.largest_drift)
    if settings.drift == "refuse":
        raise ContractError(f"{message} To map it all the same, set predict.drift=warn.")
    _LOG.warning(message)
    return report.model_copy(update={"warning": message})


def scene_drift(scene: OpenScene, bundle: Bundle, bands: Bands) -> DriftReport:
    """Return how far the values of each band lie from the training's, from blocks all over the scene.

    The drift of a band is the mean, over the scene's quantiles of 5, 25, 50, 75 and 95 %, of the distance from where
    `ALLOWED` has them lie in the training's distribution, divided by the training's standard deviation.

    Source: a five-point form of the Wasserstein-1 distance, the mean of |F^-1(u) - G^-1(u)| over u (Vallender 1974,
    "Calculation of the Wasserstein distance between probability distributions on the line").
    Differs: distances count from an interval and not from the one quantile, so that a scene whose values are those of a
    part of the training has drift 0. Of nine held-out images each of five tiles over Dubai, 58 % have a Wasserstein-1
    distance above 0.5, and 18 % this drift; values of another scaling have 0.96 and more.

    Args:
        scene: The scene.
        bundle: What the network was trained for.
        bands: Which of the scene's bands the network sees, in its order.
    """
    trained = bundle.distribution
    if trained is None:
        note = "no drift check: the model file states no distribution of the training's values"
        return DriftReport(bands=(), pixels=0, note=note)
    sample = spread_sample(scene, bands)
    pixels = sample.shape[1]
    if not pixels:
        note = "no drift check: no pixel is valid in the parts of the scene that were looked at"
        return DriftReport(bands=(), pixels=0, note=note)
    once = np.ones(pixels, dtype=np.int64)
    found = [weighted_quantiles(values, once) for values in sample]
    apart = _distances(found, trained)
    return DriftReport(
        bands=tuple(
            BandDrift(band=band.name, found=found[number], trained=quantiles, drift=float(apart[number, number]))
            for number, (band, quantiles) in enumerate(zip(bundle.bands, trained.quantiles, strict=True))
        ),
        pixels=pixels,
    )


def _distances(found: Sequence[tuple[float, ...]], trained: Distribution) -> Float64[np.ndarray, "found trained"]:
    """Return the drift of every band of a scene from every band of the training."""
    here = np.array(found)[:, None, [QUANTILE_SHARES.index(share) for share in ALLOWED]]
    there = np.array(trained.quantiles)[None]
    low, high = (there[..., [QUANTILE_SHARES.index(ends[side]) for ends in ALLOWED.values()]] for side in (0, 1))
    outside = np.maximum(low - here, 0) + np.maximum(here - high, 0)
    distances: Float64[np.ndarray, "found trained"] = outside.mean(axis=2) / np.array(trained.deviation)
    return distances


def _explanation(scene: OpenScene, bundle: Bundle, bands: Bands, report: DriftReport, limit: float) -> str:
    """Return which bands drifted and what to check, for a reader."""
    drifted = [band for band in report.bands if band.drift > limit]
    listed = "; ".join(
        f'"{band.band}" by {band.drift:.2g} standard deviations (median {_middle(band.found):.5g}, in training '
        f"{_middle(band.trained):.5g})"
        for band in drifted
    )
    hint = _order_hint(scene, bundle, bands, report, limit) or _scale_hint(drifted)
    return (
        f"{scene.path}: values lie elsewhere than in training, more than predict.largest_drift={limit:g}: {listed}. "
        f"{hint or 'Check units, scaling, atmospheric correction level and band order.'}"
    )


def _middle(quantiles: tuple[float, ...]) -> float:
    return quantiles[QUANTILE_SHARES.index(0.5)]


def _order_hint(scene: OpenScene, bundle: Bundle, bands: Bands, report: DriftReport, limit: float) -> str | None:
    """Return the order in which the bands would fit, where another fits far better."""
    if bundle.distribution is None:
        return None
    apart = _distances([band.found for band in report.bands], bundle.distribution)
    rows, columns = linear_sum_assignment(apart)
    better = float(apart[rows, columns].mean())
    if better > min(limit, float(np.trace(apart)) / len(apart)) / 2:
        return None
    positions = [position + 1 for position in scene.bands.positions(bands.names)]
    order = [positions[row] for _, row in sorted(zip(columns.tolist(), rows.tolist(), strict=True))]
    return f"In another order they would fit: try predict.bands=[{','.join(map(str, order))}]."


def _scale_hint(drifted: Sequence[BandDrift]) -> str | None:
    """Return by which factor all bands differ, where that is one of the usual ones."""
    ratios = [_middle(band.found) / _middle(band.trained) for band in drifted if _middle(band.trained)]
    factors = [math.log(ratio) for ratio in ratios if ratio > 0]
    if not factors or len(factors) < len(drifted):
        return None
    usual = (10.0, 100.0, 255.0, 1000.0, 10_000.0)
    for factor in (*usual, *(1 / factor for factor in usual)):
        # Small whole numbers are rounded: one band alone may be twice off.
        apart = np.abs(np.array(factors) - math.log(factor))
        if np.median(apart) < math.log(1.5) and apart.max() < math.log(2.5):
            size = f"{factor:g} times as large" if factor > 1 else f"{1 / factor:g} times smaller"
            return f"They are about {size}: check units and scaling, and bring the scene to the training's."
    return None
