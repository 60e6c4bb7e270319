"""Rows of an image as a bundle answers them, beside their labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from terrazzo.assessment.images import pass_image, target_rows
from terrazzo.bundle import Bundle
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ModelError
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.scene.image_pass import ImagePass
from terrazzo.scene.products import UNCALIBRATED, Products
from terrazzo.scene.settings import PredictSettings

__all__ = ["Answer", "Answering", "JudgedRows"]


@dataclass(frozen=True)
class Answer:
    """What is answered in rows of an image.

    Attributes:
        probabilities: Of each class.
        number: Class that is answered, 0..K-1.
        confidence: Probability of that class.
    """

    probabilities: Float32[torch.Tensor, "class y x"]
    number: Int64[torch.Tensor, "y x"]
    confidence: Float32[torch.Tensor, "y x"]


@dataclass(frozen=True)
class JudgedRows:
    """Rows of an image over its whole width, answered and labelled.

    Attributes:
        y: First row.
        target: Class of the label, 0..K-1, or the ignore value.
        ignored: Where nothing counts: no label, or a band was not measured.
        valid: Where every band was measured.
        answer: Calibrated where the bundle is.
        before: What is answered without the calibration; None where that is the same, or takes another pass.
        steps: Steps that each pixel took; None for a network that answers once.
    """

    y: int
    target: Int64[torch.Tensor, "y x"]
    ignored: Bool[torch.Tensor, "y x"]
    valid: Bool[np.ndarray, "y x"]
    answer: Answer
    before: Answer | None = None
    steps: Float32[torch.Tensor, "y x"] | None = None

    @property
    def probabilities(self) -> Float32[torch.Tensor, "class y x"]:
        """Of each class."""
        return self.answer.probabilities

    @property
    def number(self) -> Int64[torch.Tensor, "y x"]:
        """Class that is answered."""
        return self.answer.number

    @property
    def confidence(self) -> Float32[torch.Tensor, "y x"]:
        """Probability of that class."""
        return self.answer.confidence


class Answering:
    """A bundle that answers whole images as a map would.

    Args:
        bundle: The network and what it was trained for.
        settings: How images are cut and blended; what a map would hold beside the class is left aside.
        machine: What is computed on.
        bands: The images' bands, in the network's order.
        classes: How their labels name classes.
        threshold: Of two classes, the probability from which on the second is chosen; the calibrated one, or else
            the more probable class, if None. Nothing for more classes.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: PredictSettings,
        machine: MachineSettings,
        *,
        bands: Bands,
        classes: Classes,
        threshold: float | None = None,
    ) -> None:
        self.bands = bands
        self.classes = classes
        self.in_steps = bundle.architecture.halting_rule is not None
        layers = ("steps",) if self.in_steps else ()
        self._pass = ImagePass(bundle, settings.model_copy(update={"layers": layers}), machine)
        self._threshold = threshold if len(classes) == 2 else None
        self._plain = replace(self._pass.products, calibration=UNCALIBRATED)
        applied = self._pass.products.calibration
        self._blended = applied.temperature is not None or applied.decision is not None

    def decide_on(self, entry: ImageEntry) -> None:
        """Decide precision and batch on an image, so that several processes that are given the same decide alike."""
        image = pass_image(entry, self.bands, self.classes)
        self._pass.forward(self._pass.plan(image), image)

    def rows(self, entry: ImageEntry) -> Iterator[JudgedRows]:
        """Yield an image from top to bottom; memory is of the order of a row of windows.

        Raises:
            DataError: Image or label cannot be read.
            ModelError: The network answered wrong shapes, or what is no number.
            OutOfMemoryError: The device has too little memory.
        """
        products = self._pass.products
        for rows in self._pass.rows(pass_image(entry, self.bands, self.classes)):
            target, ignored = target_rows(entry, self.classes, rows.y, rows.valid)
            with torch.inference_mode():
                answer = self._chosen(products, products.probabilities(rows.scores), rows.scores)
                # The largest probability is no number where any is none.
                if not bool(torch.isfinite(answer.confidence.sum())):
                    raise ModelError(
                        f"The network's answer to {entry.image} is not a number in rows {rows.y} to "
                        f"{rows.y + rows.valid.shape[0] - 1}; its values overflow in this precision (try "
                        "predict.precision=float32), or the training diverged."
                    )
                yield JudgedRows(
                    y=rows.y,
                    target=torch.from_numpy(target.astype(np.int64)),
                    ignored=torch.from_numpy(ignored),
                    valid=rows.valid,
                    answer=answer,
                    before=self._chosen(self._plain, self._plain.probabilities(rows.scores), rows.scores)
                    if self._blended
                    else None,
                    steps=rows.scores[len(self.classes)] if self.in_steps else None,
                )

    def _chosen(
        self,
        products: Products,
        probabilities: Float32[torch.Tensor, "class y x"],
        scores: Float32[torch.Tensor, "channel y x"],
    ) -> Answer:
        """Return what is answered."""
        if self._threshold is None:
            confidence, number = products.chosen(probabilities, scores)
        else:
            second = probabilities[1] >= self._threshold
            confidence, number = torch.where(second, probabilities[1], probabilities[0]), second
        return Answer(probabilities, number.to(torch.int64), confidence)
