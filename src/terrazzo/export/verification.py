"""An exported file compared with its bundle, on patches of several sizes, before anybody sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.export.patches import Patch
from terrazzo.export.settings import ExportSettings
from terrazzo.export.surroundings import Calibrated
from terrazzo.models.adaptive import refine_refilled
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.output import Output

__all__ = ["Answers", "Compared", "Expected", "compare_answers", "expected_answers", "require_close"]

Answers = Mapping[str, torch.Tensor]
"""What a file answered: `logits`, `probabilities`, and `steps` where images stop by themselves."""
NEAR = 1e-3
"""How near two probabilities to halt may lie at a threshold that images are told apart by rounding alone."""


@dataclass(frozen=True)
class Compared:
    """How near a file's answers came to its bundle's at one size.

    Attributes:
        by: What computed the file: "ONNX Runtime", "Terrazzo" or "torch.export".
        height: Rows of the patches.
        width: Columns.
        batch: Patches at once.
        largest_logit: Largest logit of the bundle, without sign: what the difference is to be seen against.
        difference: Largest difference of a logit.
        probabilities: Largest difference of a probability.
        agreement: Share of pixels of the same class.
        steps: Share of images that ran the same number of steps; None where images do not stop by themselves.
    """

    by: str
    height: int
    width: int
    batch: int
    largest_logit: float
    difference: float
    probabilities: float
    agreement: float
    steps: float | None = None


@dataclass(frozen=True)
class Expected:
    """What the bundle answers to patches.

    Attributes:
        patches: The patches.
        seen: What the network sees of them.
        logits: Its answer.
        probabilities: After the temperatures, where these go inside.
        steps: After how many steps each patch was answered; None where none stops.
        near: Whether a patch's probability to halt came so near to the threshold that rounding decides.
    """

    patches: Sequence[Patch]
    seen: Float32[torch.Tensor, "batch band y x"]
    logits: Float32[torch.Tensor, "batch class y x"]
    probabilities: Float32[torch.Tensor, "batch class y x"]
    steps: Int64[torch.Tensor, " batch"] | None = None
    near: tuple[bool, ...] = ()


def expected_answers(
    bundle: Bundle,
    network: Network,
    patches: Sequence[Patch],
    *,
    rule: HaltingRule | None,
    calibrated: bool,
) -> Expected:
    """Return what the bundle answers, in float32 on the processor.

    Args:
        bundle: Normalisation and calibration.
        network: The bundle's own.
        patches: Of one size.
        rule: When an image is done; None where all run every step, or there are none.
        calibrated: Whether probabilities are.
    """
    images = [bundle.normalisation(patch.values, patch.valid) for patch in patches]
    seen = torch.from_numpy(np.stack(images))
    steps: torch.Tensor | None = None
    by_pixel: torch.Tensor | None = None
    near: tuple[bool, ...] = ()
    with torch.inference_mode():
        if rule is not None and isinstance(network, Adaptive):
            logits, steps, by_pixel = _refined(network, seen, rule)
            near = tuple(_is_near(network, seen[number : number + 1], rule) for number in range(len(seen)))
        else:
            output: Output = network(seen)
            logits = output.logits
        after = Calibrated(bundle.calibration if calibrated else None)
        probabilities = after(logits, seen, by_pixel)
    return Expected(patches, seen, logits, probabilities, steps, near)


def _refined(
    network: Adaptive[object], seen: Float32[torch.Tensor, "batch band y x"], rule: HaltingRule
) -> tuple[Float32[torch.Tensor, "batch class y x"], Int64[torch.Tensor, " batch"], Int64[torch.Tensor, "batch _ _"]]:
    """Return logits, the steps that each image ran, and those after which each of its pixels was answered."""
    logits: dict[int, torch.Tensor] = {}
    steps: dict[int, int] = {}
    by_pixel: dict[int, torch.Tensor] = {}
    for settled in refine_refilled(network, [seen], rule=rule, places=len(seen)):
        for place, tile in enumerate(settled.tiles):
            logits[tile], steps[tile] = settled.logits[place], settled.steps[place]
            whole = torch.tensor([[settled.steps[place]]])
            by_pixel[tile] = whole if settled.skipped is None else whole - settled.skipped[place].long()
    tiles = range(len(seen))
    return (
        torch.stack([logits[tile] for tile in tiles]),
        torch.tensor([steps[tile] for tile in tiles]),
        torch.stack([by_pixel[tile] for tile in tiles]),
    )


def _is_near(network: Adaptive[object], seen: torch.Tensor, rule: HaltingRule) -> bool:
    state = network.start(seen)
    for number in range(1, rule.last):
        state = network.step(state)
        if number >= rule.first and abs(float(network.halt(state)) - rule.threshold) < NEAR:
            return True
    return False


def compare_answers(expected: Expected, answer: Callable[[Expected], Answers], *, by: str) -> Compared:
    """Return how near a file's answers came.

    Images that ran another number of steps, because their probability to halt came within a thousandth of the
    threshold, are not compared.

    Args:
        expected: What the bundle answers.
        answer: Runs the file.
        by: What computes it.

    Raises:
        ModelError: Shapes differ, a value is no number, or an image stopped elsewhere for no reason of rounding.
    """
    found = answer(expected)
    height, width = expected.logits.shape[-2:]
    size = f"{height} x {width}"
    if found["logits"].shape != expected.logits.shape:
        raise ModelError(
            f"{by} answers logits of shape {tuple(found['logits'].shape)} to images of {size}, the bundle "
            f"{tuple(expected.logits.shape)}."
        )
    kept = torch.ones(len(expected.logits), dtype=torch.bool)
    steps: float | None = None
    if expected.steps is not None:
        same = found["steps"] == expected.steps
        steps = float(same.double().mean())
        for number in (~same).nonzero()[:, 0].tolist():
            if not expected.near[number]:
                raise ModelError(
                    f"{by} runs {int(found['steps'][number])} steps on an image of {size}, the bundle "
                    f"{int(expected.steps[number])}."
                )
        kept = same
    logits, wanted = found["logits"][kept], expected.logits[kept]
    if not bool(logits.isfinite().all()):
        raise ModelError(f"{by} answers values that are no numbers to images of {size}.")
    apart = (logits - wanted).abs()
    probabilities = (found["probabilities"][kept] - expected.probabilities[kept]).abs()
    agreement = (logits.argmax(dim=1) == wanted.argmax(dim=1)).double()
    return Compared(
        by=by,
        height=height,
        width=width,
        batch=len(expected.logits),
        largest_logit=float(expected.logits.abs().max()),
        difference=float(apart.max()) if apart.numel() else 0.0,
        probabilities=float(probabilities.max()) if probabilities.numel() else 0.0,
        agreement=float(agreement.mean()) if agreement.numel() else 1.0,
        steps=steps,
    )


def require_close(compared: Sequence[Compared], settings: ExportSettings) -> None:
    """Refuse a file whose answers are too far from its bundle's.

    Raises:
        ModelError: A logit differs by more than is taken, or too many pixels have another class.
    """
    difference, agreement = settings.tolerance
    for one in compared:
        if not one.difference <= difference or not one.agreement >= agreement:
            raise ModelError(
                f"The exported file was not kept: computed by {one.by} at {one.height} x {one.width} its logits differ "
                f"from the bundle's by up to {one.difference:.2g} ({difference:g} is taken; the largest logit is "
                f"{one.largest_logit:.3g}), and {100 * one.agreement:.3f} % of the pixels have the same class "
                f"({100 * agreement:g} % is asked for)."
                + (" Export it with --precision float32." if settings.precision == "float16" else "")
            )
