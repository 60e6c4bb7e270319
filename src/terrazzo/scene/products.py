"""From blended scores to what a map holds: the class, and how sure it is of it.

A product is decided pixel by pixel, so that it makes no difference in which pieces a scene's pixels come.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Integer, Shaped

from terrazzo.calibration.record import Calibration
from terrazzo.errors import ConfigError, ModelError
from terrazzo.scene.settings import Blend, PredictSettings

__all__ = [
    "CONFIDENCE_STEPS",
    "STEPS_SCALE",
    "UNCALIBRATED",
    "Product",
    "ProductRows",
    "Products",
    "best_class",
    "class_sets",
    "products_of",
]

CONFIDENCE_STEPS = 254
"""Steps of a stored share: 0 is 0, 254 is 1, and 255 is left for missing pixels."""

_FEW_CLASSES = 32
_MOST_SET_CLASSES = 16

STEPS_SCALE = 10
"""A stored number of steps is in tenths, since windows that fade into each other have means between theirs."""

BLENDED_BESIDE = {"steps": STEPS_SCALE, "disagreement": CONFIDENCE_STEPS}
"""Layers that are blended like scores, and how they are stored. No network has more than one: one that answers in steps
is no ensemble."""

UNCALIBRATED = Calibration()
"""Nothing is applied."""


@dataclass(frozen=True)
class Product:
    """One raster that is decided from the scores.

    Attributes:
        name: "class", or one of the further layers.
        dtype: numpy type of its values.
        channels: 1, or one a class.
        missing: Value of pixels that the scene has not measured.
    """

    name: str
    dtype: np.dtype[Any]
    channels: int
    missing: int | float


ProductRows = dict[str, Shaped[np.ndarray, "channel y x"]]
"""Rows of every product by name."""


@dataclass(frozen=True)
class Products:
    """All rasters of a map.

    Attributes:
        classes: Classes.
        blend: Whether scores are probabilities or logits.
        items: What is decided, the class first.
        calibration: Of it, what is applied to blended scores: temperature, decision threshold, abstention, sets.
    """

    classes: int
    blend: Blend
    items: tuple[Product, ...]
    calibration: Calibration = UNCALIBRATED

    def __iter__(self) -> Iterator[Product]:
        """Yield the products, the class first."""
        return iter(self.items)

    @property
    def channels(self) -> int:
        """Scores that are blended: one a class, and what is blended beside them where it is asked for."""
        return self.classes + any(product.name in BLENDED_BESIDE for product in self.items)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel over all products."""
        return sum(product.dtype.itemsize * product.channels for product in self.items)

    def missing(self, height: int, width: int, *, device: torch.device) -> dict[str, torch.Tensor]:
        """Return rows of every product, `channel y x`, of which no pixel was measured."""
        return {
            product.name: torch.full(
                (product.channels, height, width), product.missing, dtype=_torch_type(product.dtype), device=device
            )
            for product in self.items
        }

    def decide(self, scores: Float32[torch.Tensor, "channel y x"], *, y: int) -> dict[str, torch.Tensor]:
        """Return each product's values as a tensor `channel y x` on the scores' device.

        Args:
            scores: Blended scores of some pixels.
            y: Their first row in the scene; named where an answer is wrong.

        Raises:
            ModelError: The best score of a pixel is no finite number.
        """
        found, total = self.decide_unproven(scores)
        self.require_numbers(float(total), slice(y, y + scores.shape[1]))
        return found

    def require_numbers(self, total: float, rows: slice) -> None:
        """Refuse answers that are no numbers.

        Args:
            total: Sum of pixels' best scores: finite just if all of them are.
            rows: Their rows in the scene.

        Raises:
            ModelError: One of them is no finite number.
        """
        if not math.isfinite(total):
            raise ModelError(
                f"The network's answer is not a number in rows {rows.start} to {rows.stop - 1}; its values "
                "overflow in this precision (try predict.precision=float32), or the training diverged."
            )

    def decide_unproven(
        self, scores: Float32[torch.Tensor, "channel y x"]
    ) -> tuple[dict[str, torch.Tensor], Float32[torch.Tensor, ""]]:
        """Return each product's values, and the sum of the best scores that `require_numbers` looks at.

        Nobody waits for the device.

        Args:
            scores: Blended scores of some pixels.
        """
        with torch.inference_mode():
            if self.calibration.temperature is None and self.calibration.decision is None:
                per_class, are_probabilities = scores[: self.classes], self.blend == "probabilities"
            else:
                per_class, are_probabilities = self.probabilities(scores), True
            best, number = best_class(per_class)
            # The sum tells in one pass: it is finite just if all are.
            total = best.sum()
            if are_probabilities and self._settles_classes:
                best, number = self.chosen(per_class, scores)
            found = {"class": number[None].to(_torch_type(self.items[0].dtype))}
            probabilities = per_class if are_probabilities else None
            confidence = best if are_probabilities else None
            for product in self.items[1:]:
                if product.name in BLENDED_BESIDE:
                    found[product.name] = _rounded(scores[self.classes :], BLENDED_BESIDE[product.name])
                    continue
                if probabilities is None:
                    probabilities = _softmax(per_class, best)
                if confidence is None:
                    confidence = probabilities.amax(dim=0)
                found[product.name] = self._decided(product, probabilities, confidence, number)
            return found, total

    def probabilities(self, scores: Float32[torch.Tensor, "channel y x"]) -> Float32[torch.Tensor, "class y x"]:
        """Return calibrated probabilities, each pixel's from its own scores alone.

        Args:
            scores: Blended scores.
        """
        per_class = scores[: self.classes]
        temperature = self.calibration.temperature
        if temperature is None and self.blend == "probabilities":
            return per_class
        if temperature is not None:
            per_class = temperature(self.log_probabilities(scores))
        return _softmax(per_class, best_class(per_class)[0])

    def log_probabilities(self, scores: Float32[torch.Tensor, "channel y x"]) -> Float32[torch.Tensor, "class y x"]:
        """Return what a temperature is applied to, each pixel's from its own scores alone.

        Args:
            scores: Blended scores.
        """
        per_class = scores[: self.classes]
        if self.blend == "probabilities":
            # A probability that was rounded to nothing stays as good as nothing.
            return per_class.clamp_min(torch.finfo(torch.float32).tiny).log()
        shifted = per_class - best_class(per_class)[0]
        return shifted - _summed(shifted.exp()).log()

    def chosen(
        self,
        probabilities: Float32[torch.Tensor, "class y x"],
        scores: Float32[torch.Tensor, "channel y x"] | None = None,
    ) -> tuple[Float32[torch.Tensor, "y x"], Integer[torch.Tensor, "y x"]]:
        """Return the probability of each pixel's class, and which that is.

        Args:
            probabilities: Calibrated ones.
            scores: What they were made of: a temperature that changes no class may still round two classes to one
                probability, and then these tell which is the larger.
        """
        decision = self.calibration.decision
        if decision is None:
            confidence, number = best_class(probabilities)
            temperature = self.calibration.temperature
            if scores is not None and temperature is not None and temperature.keeps_classes:
                number = best_class(scores[: self.classes])[1]
            return confidence, number
        second = probabilities[1] >= decision.threshold
        return torch.where(second, probabilities[1], probabilities[0]), second.to(torch.uint8)

    @property
    def _settles_classes(self) -> bool:
        """Whether more than the largest score says which class is chosen."""
        temperature = self.calibration.temperature
        return self.calibration.decision is not None or (temperature is not None and temperature.keeps_classes)

    def _decided(
        self,
        product: Product,
        probabilities: Float32[torch.Tensor, "class y x"],
        confidence: Float32[torch.Tensor, "y x"],
        number: Integer[torch.Tensor, "y x"],
    ) -> torch.Tensor:
        """Return one product's values."""
        calibration = self.calibration
        if product.name == "confidence":
            return _rounded(confidence[None], CONFIDENCE_STEPS)
        if product.name == "abstain" and calibration.abstention is not None:
            return (confidence < calibration.abstention.least_confidence)[None].to(torch.uint8)
        if product.name == "sets" and calibration.sets is not None:
            return class_sets(probabilities, number, calibration.sets.least_probability)[None].to(
                _torch_type(product.dtype)
            )
        return _decided(product, probabilities)


def class_sets(
    probabilities: Float32[torch.Tensor, "class y x"], number: Integer[torch.Tensor, "y x"], least: float
) -> Integer[torch.Tensor, "y x"]:
    """Return the set of classes that each pixel may have: bit k is set where class k belongs to it.

    Args:
        probabilities: Calibrated ones.
        number: Each pixel's class, which always belongs to its set.
        least: Probability from which on a class belongs to it.

    >>> class_sets(torch.tensor([[[0.5]], [[0.3]], [[0.2]]]), torch.tensor([[0]]), 0.3)
    tensor([[3]])
    """
    found = torch.ones_like(number, dtype=torch.int64) << number.long()
    for position, plane in enumerate(probabilities):
        found |= (plane >= least).long() << position
    return found


def best_class(
    scores: Float32[torch.Tensor, "class y x"],
) -> tuple[Float32[torch.Tensor, "y x"], Integer[torch.Tensor, "y x"]]:
    """Return the largest score of each pixel, and whose it is; of equals the first.

    Where a score is no number the largest is none either. On a processor class by class on whole planes, in a fifth of
    the time of `Tensor.max`, which goes from pixel to pixel; elsewhere by that, since it is one kernel.

    >>> best_class(torch.tensor([[[1.0, 2.0]], [[3.0, 2.0]]]))
    (tensor([[3., 2.]]), tensor([[1, 0]], dtype=torch.uint8))
    """
    if scores.device.type != "cpu" or len(scores) > _FEW_CLASSES:
        largest = scores.max(dim=0)
        return largest.values, largest.indices
    # By numpy, whose comparisons take a sixth of the time of torch's here.
    planes = scores.numpy()
    best = planes[0].copy()
    number = np.zeros(best.shape, dtype=np.uint8)
    better = np.empty(best.shape, dtype=bool)
    found = better.view(np.uint8)
    for position, plane in enumerate(planes[1:], 1):
        np.greater(plane, best, out=better)
        np.multiply(found, position, out=found)
        # Later classes have larger numbers, so that the largest of both is the later one where it is better.
        np.maximum(number, found, out=number)
        np.maximum(best, plane, out=best)
    return torch.from_numpy(best), torch.from_numpy(number)


def products_of(
    settings: PredictSettings, *, classes: int, ignore: int, calibration: Calibration | None = None
) -> Products:
    """Return what a map holds, in the order of the settings' layers after the class.

    Args:
        settings: What is asked for.
        classes: Classes.
        ignore: Class value of pixels that the scene has not measured.
        calibration: The bundle's; applied unless the settings say otherwise.

    Raises:
        ConfigError: A layer is asked for that needs a calibration which the bundle lacks.
    """
    applied = calibration if calibration is not None and settings.calibrated else UNCALIBRATED
    class_type = np.dtype(np.uint8 if ignore <= 255 else np.uint16)
    items = [Product("class", class_type, 1, ignore)]
    for name in settings.layers:
        _require_calibrated(name, applied, classes)
        if name == "probabilities":
            half = settings.probability_type == "float16"
            dtype, missing = (np.dtype(np.float16), math.nan) if half else (np.dtype(np.uint8), 255.0)
            items.append(Product(name, dtype, classes, missing))
        elif name == "sets":
            # A set is never empty, so that 0 is left for missing pixels.
            items.append(Product(name, np.dtype(np.uint8 if classes <= 8 else np.uint16), 1, 0))
        else:
            items.append(Product(name, np.dtype(np.uint8), 1, 255))
    return Products(classes, settings.blend, tuple(items), applied)


def _require_calibrated(name: str, calibration: Calibration, classes: int) -> None:
    """Refuse a layer whose threshold nobody has fixed."""
    for layer, part in (("abstain", calibration.abstention), ("sets", calibration.sets)):
        if name == layer and part is None:
            raise ConfigError(
                f"predict.layers asks for {name}, but the bundle holds no threshold for it: run `terrazzo calibrate` "
                "on it first, and leave predict.calibrated true."
            )
    if name == "sets" and classes > _MOST_SET_CLASSES:
        raise ConfigError(
            f"predict.layers: sets holds {_MOST_SET_CLASSES} classes at most, not {classes}; ask for probabilities."
        )


def _decided(product: Product, probabilities: Float32[torch.Tensor, "class y x"]) -> torch.Tensor:
    if product.name == "entropy":
        # Of a single class nothing is uncertain.
        largest = math.log(max(len(probabilities), 2))
        entropy = _summed(torch.special.entr(probabilities)) / largest
        return _rounded(entropy[None], CONFIDENCE_STEPS)
    if product.name == "margin":
        if len(probabilities) == 1:
            return _rounded(probabilities, CONFIDENCE_STEPS)
        first, second = probabilities.topk(2, dim=0).values
        return _rounded((first - second)[None], CONFIDENCE_STEPS)
    if product.dtype == np.float16:
        return probabilities.to(torch.float16)
    return _rounded(probabilities, CONFIDENCE_STEPS)


def _softmax(
    logits: Float32[torch.Tensor, "class y x"], best: Float32[torch.Tensor, "y x"]
) -> Float32[torch.Tensor, "class y x"]:
    """Return probabilities, each pixel's from its own values alone, to the last bit."""
    exponentials = (logits - best).exp_()
    return exponentials.div_(_summed(exponentials))


def _summed(values: Float32[torch.Tensor, "class y x"]) -> Float32[torch.Tensor, "y x"]:
    """Return the sum over the classes, one after the other: torch's own order depends on the shape of the piece."""
    total = values[0].clone()
    for plane in values[1:]:
        total += plane
    return total


def _rounded(values: torch.Tensor, scale: int) -> torch.Tensor:
    return (values * scale).round().clamp(0, CONFIDENCE_STEPS).to(torch.uint8)


def _torch_type(dtype: np.dtype[Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype=dtype)).dtype
