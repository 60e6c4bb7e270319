"""Fitting a bundle's temperatures on labelled images, as maps are made of them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from terrazzo.assessment.images import pass_image, target_rows
from terrazzo.assessment.window_samples import WindowAnswers, window_answers
from terrazzo.bundle import Bundle
from terrazzo.calibration.local_fit import Surroundings, fit_local, local_nll
from terrazzo.calibration.local_temperature import SIDE
from terrazzo.calibration.pixel_sample import PixelSample, SampledPixels
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import BlendedTemperature
from terrazzo.calibration.temperature_fit import fit_scalar, fit_steps, fit_vector, nll
from terrazzo.calibration.window_temperature import WindowTemperature
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, DataError, ModelError
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.image_pass import ImagePass
from terrazzo.scene.products import Products
from terrazzo.scene.settings import PredictSettings

__all__ = ["Fitted", "Kind", "fit_temperatures"]

Kind = Literal["scalar", "vector", "step", "local"]
PIXELS_PER_IMAGE = 4096
"""Pixels that are sampled of each image, besides those of rare classes."""
MOST_BYTES = 96 * 2**20
"""Room for the values that temperatures are fitted on; with many images fewer pixels of each are sampled."""
_HELD_SHARE = 5


@dataclass(frozen=True)
class Fitted:
    """Temperatures that belong together: both replace what the bundle's calibration had of them.

    Attributes:
        window_temperature: What is applied to windows; where a blended temperature was fitted, the bundle's own.
        temperature: What is applied to blended log-probabilities; None where a window temperature was fitted, since
            an earlier one was fitted on other windows.
        nll_before: Mean negative log-likelihood in nats on the fitting sample, before; mean over the steps for `step`.
        nll_after: The same afterwards. Both tell how well the fit fits, not how well maps are calibrated: that is for
            images that were not fitted on.
        pixels: Sampled pixels.
        images: Images that had labelled pixels.
        held_before: Of `local`, the same on the images by which the fit was stopped, before.
        held_after: Afterwards.
    """

    window_temperature: WindowTemperature | None
    temperature: BlendedTemperature | None
    nll_before: float
    nll_after: float
    pixels: int
    images: int
    held_before: float | None = None
    held_after: float | None = None


def fit_temperatures(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    kind: Kind,
    bands: Bands,
    classes: Classes,
    settings: PredictSettings,
    machine: MachineSettings,
    pixels_per_image: int = PIXELS_PER_IMAGE,
    listener: Listener = silent,
) -> Fitted:
    """Fit temperatures by negative log-likelihood on a sample of labelled pixels of each image.

    `scalar` and `vector` are fitted on what a map would blend, whatever views, scales and windows it is made of; the
    bundle's window temperature is applied there, since a map applies it too, and nothing else that was calibrated.
    `step` is fitted on the answers of windows after every step of the network, `local` on those of the step at which
    windows stop, both before any earlier temperature. Windows stop as they were trained to, or by `settings.tau`: an
    earlier halting threshold is set aside too.

    The result depends neither on the order of the entries nor on how images are cut into rows.

    Args:
        bundle: What is calibrated.
        entries: Images; those without label are passed over.
        kind: What is fitted.
        bands: The images' bands in the network's order.
        classes: How labels name classes.
        settings: How maps are made.
        machine: What is computed on.
        pixels_per_image: Pixels that are sampled of each image, besides those of rare classes.
        listener: Hears of each image.

    Raises:
        ConfigError: The network has no steps, and they are to have temperatures.
        DataError: No image has a labelled pixel, or fewer than two have where a local temperature is stopped by some of
            them; or an image cannot be read.
        ModelError: The network answered wrong shapes, or no finite numbers.
        OutOfMemoryError: The device has too little memory.
    """
    if kind == "step" and bundle.architecture.halting_rule is None:
        raise ConfigError(
            f"Temperatures of steps were asked for, but {bundle.architecture.name} answers at once; fit a scalar one."
        )
    if pixels_per_image < 1:
        raise ConfigError(f"pixels_per_image is {pixels_per_image}, but at least one pixel of an image is needed.")
    # In the order of their names: what is decided on the first image must not depend on who stands first.
    labelled = sorted((entry for entry in entries if entry.label is not None), key=lambda entry: entry.image_id)
    blended = kind in ("scalar", "vector")
    kept = bundle.calibration.window_temperature if blended and bundle.calibration is not None else None
    plain = replace(bundle, calibration=None if kept is None else Calibration(window_temperature=kept))
    passing = ImagePass(plain, settings.model_copy(update={"layers": (), "calibrated": True}), machine)
    room = MOST_BYTES // (max(len(labelled), 1) * _answer_bytes(kind, bundle, settings))
    pixels = max(min(pixels_per_image, room), 1)
    sampling = _Sampling(passing, bands, classes, pixels)
    with Progress(f"fit {kind} temperature", listener=listener, total=len(labelled), unit="images") as progress:
        if pixels < pixels_per_image:
            progress.note(f"{pixels} pixels of each image are sampled: {len(labelled)} images leave no room for more")
        if kind == "scalar" or kind == "vector":
            fitted = _fit_blended(kind, [sampling.blended(entry) for entry in progress.each(labelled)], kept)
        elif kind == "step":
            fitted = _fit_steps([sampling.windows(entry, "step") for entry in progress.each(labelled)])
        else:
            fitted = _fit_local(
                [entry.image_id for entry in labelled],
                [sampling.windows(entry, "local") for entry in progress.each(labelled)],
            )
        progress.note(
            f"fitted on {fitted.pixels} pixels of {fitted.images} images; on these the negative log-likelihood went "
            f"from {fitted.nll_before:.4f} to {fitted.nll_after:.4f}"
        )
    return fitted


class _Sampling:
    """Samples images one by one.

    Args:
        passing: The network, ready for whole images.
        bands: The images' bands in the network's order.
        classes: How labels name classes.
        pixels: Pixels that are sampled of each image.
    """

    def __init__(self, passing: ImagePass, bands: Bands, classes: Classes, pixels: int) -> None:
        self._passing = passing
        self._bands = bands
        self._classes = classes
        self._pixels = pixels

    def blended(self, entry: ImageEntry) -> SampledPixels:
        """Return sampled pixels of an image with their blended log-probabilities."""
        sample = self._sample(entry)
        for rows in self._passing.rows(pass_image(entry, self._bands, self._classes)):
            target, ignored = target_rows(entry, self._classes, rows.y, rows.valid)
            sample.add(target, ignored, _reader(self._passing.products, rows.scores), y=rows.y)
        found = sample.result()
        if not np.isfinite(found.values).all():
            raise ModelError(
                f"The network's answer to {entry.image} is not a number somewhere; its values overflow in this "
                "precision (try predict.precision=float32), or the training diverged."
            )
        return found

    def windows(self, entry: ImageEntry, kind: Literal["step", "local"]) -> tuple[SampledPixels, WindowAnswers | None]:
        """Return sampled pixels of an image with what windows answer to them; None where there are no pixels."""
        image = pass_image(entry, self._bands, self._classes)
        sample = self._sample(entry)
        y = 0
        for part in image.source.rows(0, entry.height):
            target, ignored = target_rows(entry, self._classes, y, part.valid)
            sample.add(target, ignored, _nothing, y=y)
            y += part.valid.shape[0]
        pixels = sample.result()
        return pixels, window_answers(self._passing, image, pixels, kind=kind) if len(pixels) else None

    def _sample(self, entry: ImageEntry) -> PixelSample:
        return PixelSample(entry.image_id, pixels=self._pixels, classes=len(self._classes), width=entry.width)


def _reader(
    products: Products, scores: Float32[torch.Tensor, "channel y x"]
) -> Callable[[Int64[np.ndarray, " pixel"], Int64[np.ndarray, " pixel"]], Float32[np.ndarray, "pixel value"]]:
    """Return what reads log-probabilities at rows and columns, the same numbers as a map applies a temperature to."""

    def read(
        rows: Int64[np.ndarray, " pixel"], columns: Int64[np.ndarray, " pixel"]
    ) -> Float32[np.ndarray, "pixel value"]:
        chosen = scores[:, torch.from_numpy(rows), torch.from_numpy(columns)]
        found: Float32[np.ndarray, "pixel value"] = products.log_probabilities(chosen[:, None])[:, 0].T.numpy().copy()
        return found

    return read


def _nothing(
    rows: Int64[np.ndarray, " pixel"], _columns: Int64[np.ndarray, " pixel"]
) -> Float32[np.ndarray, "pixel value"]:
    return np.empty((len(rows), 0), dtype=np.float32)


def _fit_blended(
    kind: Literal["scalar", "vector"], samples: Sequence[SampledPixels], kept: WindowTemperature | None
) -> Fitted:
    """Fit on blended log-probabilities of all images."""
    filled = [sample for sample in samples if len(sample)]
    target, weight = _joined(filled)
    scores = np.concatenate([sample.values for sample in filled])
    temperature = fit_scalar(scores, target, weight) if kind == "scalar" else fit_vector(scores, target, weight)
    calibrated = temperature(torch.from_numpy(scores.T[:, None].copy()))[:, 0].T.numpy()
    return Fitted(
        window_temperature=kept,
        temperature=temperature,
        nll_before=nll(scores, target, weight),
        nll_after=nll(calibrated, target, weight),
        pixels=len(target),
        images=len(filled),
    )


def _fit_steps(samples: Sequence[tuple[SampledPixels, WindowAnswers | None]]) -> Fitted:
    """Fit on the windows' logits after each step."""
    filled = [(pixels, answers) for pixels, answers in samples if answers is not None]
    target, weight = _joined([pixels for pixels, _ in filled], [answers for _, answers in filled])
    logits = np.concatenate([answers.logits for _, answers in filled])
    found = fit_steps(logits, target, weight)
    divided = logits / np.array(found.temperatures, dtype=np.float32)[:, None]
    before, after = (
        float(np.mean([nll(scores[:, step], target, weight) for step in range(scores.shape[1])]))
        for scores in (logits, divided)
    )
    return Fitted(found, None, before, after, pixels=sum(len(pixels) for pixels, _ in filled), images=len(filled))


def _fit_local(names: Sequence[str], samples: Sequence[tuple[SampledPixels, WindowAnswers | None]]) -> Fitted:
    """Fit on what lies around pixels in the windows' logits and images."""
    filled = [
        (name, pixels, answers) for name, (pixels, answers) in zip(names, samples, strict=True) if answers is not None
    ]
    if len(filled) < 2:
        raise DataError(
            f"A local temperature needs labelled pixels of two images at least, not of {len(filled)}: some images are "
            "held back to stop the fit. Give more, or fit a scalar temperature."
        )
    held = _held([name for name, _, _ in filled])
    target, weight = _joined([pixels for _, pixels, _ in filled], [answers for _, _, answers in filled])
    surroundings = Surroundings(
        logits=np.concatenate([answers.logits for _, _, answers in filled]),
        image=np.concatenate([answers.image for _, _, answers in filled]),
        target=target,
        weight=weight,
        held=np.concatenate([np.full(len(answers.pixel), name in held) for name, _, answers in filled]),
    )
    found = fit_local(surroundings)
    return Fitted(
        window_temperature=found.temperature,
        temperature=None,
        nll_before=local_nll(surroundings, None),
        nll_after=local_nll(surroundings, found.temperature),
        pixels=sum(len(pixels) for _, pixels, _ in filled),
        images=len(filled),
        held_before=found.held_before,
        held_after=found.held_after,
    )


def _held(names: Sequence[str]) -> frozenset[str]:
    """Return the images by which a fit is stopped: a fifth of them, at least one, by a hash of their names.

    >>> sorted(_held([str(number) for number in range(9)]))
    ['4', '8']
    """
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return frozenset(order[: -(-len(order) // _HELD_SHARE)])


def _joined(
    pixels: Sequence[SampledPixels], answers: Sequence[WindowAnswers] | None = None
) -> tuple[Int64[np.ndarray, " answer"], Float64[np.ndarray, " answer"]]:
    """Return class and weight of all pixels, or of all answers to them.

    Raises:
        DataError: There is none.
    """
    if not pixels:
        raise DataError(
            "No image has a labelled pixel that was measured, so no temperature can be fitted; give labelled images."
        )
    if answers is None:
        return np.concatenate([one.target for one in pixels]), np.concatenate([one.weight for one in pixels])
    pairs = list(zip(pixels, answers, strict=True))
    return (
        np.concatenate([one.target[answer.pixel] for one, answer in pairs]),
        np.concatenate([one.weight[answer.pixel] for one, answer in pairs]),
    )


def _answer_bytes(kind: Kind, bundle: Bundle, settings: PredictSettings) -> int:
    """Return the bytes of what is kept of one pixel; of windows, in all views."""
    classes, rule = len(bundle.classes), bundle.architecture.halting_rule
    views = len(settings.views) * len(settings.scales)
    if kind == "step":
        return 4 * views * classes * (1 if rule is None else rule.last)
    if kind == "local":
        return 4 * views * (classes + len(bundle.bands)) * SIDE * SIDE
    return 4 * classes
