"""What a network says of sampled pixels of an image, window by window, before windows are blended."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64

from terrazzo.calibration.local_temperature import around
from terrazzo.calibration.pixel_sample import SampledPixels
from terrazzo.errors import ModelError
from terrazzo.scene.forward import SeenAnswer, WindowForward
from terrazzo.scene.image_pass import ImagePass, PassImage
from terrazzo.scene.lanes import in_order
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.views import Sight
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.windows import Axis

__all__ = ["WindowAnswers", "core", "window_answers"]

Around = Literal["step", "local"]


@dataclass(frozen=True)
class WindowAnswers:
    """Answers to sampled pixels, each pixel once in every view.

    Attributes:
        pixel: Position of each among the sampled pixels; view by view in their order.
        logits: After each step, or around the pixel.
        image: Around the pixel, as the network saw it; without values where steps were asked for.
    """

    pixel: Int64[np.ndarray, " answer"]
    logits: Float32[np.ndarray, "answer _ *_"]
    image: Float32[np.ndarray, "answer _ *_"]


def window_answers(passing: ImagePass, image: PassImage, pixels: SampledPixels, *, kind: Around) -> WindowAnswers:
    """Return what the network answers to sampled pixels, as it saw them and before any temperature.

    A pixel is taken from the window that has the most weight where windows are blended. Where views or scales show it
    to the network at another place, the answer is read at the pixel whose centre is nearest. Windows without sampled
    pixels are not computed.

    Args:
        passing: The network, ready for whole images.
        image: The image.
        pixels: Which pixels; at least one.
        kind: `step`: the logits after every step; `local`: logits and image around the pixel where its window stops.

    Raises:
        DataError: The image cannot be read.
        ModelError: The network answered wrong shapes, or no finite numbers.
        OutOfMemoryError: The device has too little memory.
    """

    def wanted(rows: slice, columns: slice) -> bool:
        return bool(len(_inside(pixels, rows, columns)))

    image = replace(image, wanted=wanted)
    plan = passing.plan(image)
    forward = passing.forward(plan, image)
    gathering = _Gathering(plan, pixels, forward, kind)
    found: list[_Gathered] = []
    groups = passing.groups(plan, image, size=forward.group_size)
    for _, parts in in_order(groups, gathering.of, needed=lambda _: True, lanes=forward.lanes):
        found.extend(parts or ())
    order = np.lexsort(
        (np.concatenate([one.pixel for one in found]), np.concatenate([[one.view] * len(one.pixel) for one in found]))
    )
    logits = np.concatenate([one.logits for one in found])[order]
    if not np.isfinite(logits).all():
        raise ModelError(
            f"The network's answer to {image.name} is not a number somewhere; its values overflow in this precision "
            "(try predict.precision=float32), or the training diverged."
        )
    return WindowAnswers(
        pixel=np.concatenate([one.pixel for one in found])[order],
        logits=logits,
        image=np.concatenate([one.image for one in found])[order],
    )


def core(axis: Axis, number: int) -> slice:
    """Return the pixels along an axis of which a window has at least half the weight; over all windows each is once.

    >>> [core(Axis(26, 10, 9), number) for number in range(3)]
    [slice(0, 9, None), slice(9, 17, None), slice(17, 26, None)]
    """
    middles = [(fade.start + fade.stop) // 2 for fade in axis.fades]
    edges = [0, *middles, axis.length]
    return slice(edges[number], edges[number + 1])


@dataclass(frozen=True)
class _Gathered:
    """Answers to pixels of one window in one view.

    Attributes:
        pixel: Position of each among the sampled pixels.
        view: Position of the view.
        logits: As in `WindowAnswers`.
        image: As in `WindowAnswers`.
    """

    pixel: Int64[np.ndarray, " answer"]
    view: int
    logits: Float32[np.ndarray, "answer _ *_"]
    image: Float32[np.ndarray, "answer _ *_"]


class _Gathering:
    """Reads sampled pixels out of answers; several threads may do so at once."""

    def __init__(self, plan: ScenePlan, pixels: SampledPixels, forward: WindowForward, kind: Around) -> None:
        self._plan = plan
        self._pixels = pixels
        self._forward = forward
        self._kind = kind

    def of(self, group: WindowGroup) -> list[_Gathered]:
        """Return the answers to all sampled pixels of a group's windows."""
        found: list[_Gathered] = []
        views: list[Sight] = []

        def take(answer: SeenAnswer) -> None:
            if answer.sight not in views:
                views.append(answer.sight)
            found.extend(self._read(answer, group, views.index(answer.sight)))

        self._forward.answers(group, take, every_step=self._kind == "step")
        return found

    def _read(self, answer: SeenAnswer, group: WindowGroup, view: int) -> Iterator[_Gathered]:
        plan, margin = self._plan, self._plan.margin
        height, width = answer.logits[0].shape[-2:]
        places = _places(answer.sight, (height, width), plan.window_shape)
        for tile, number in enumerate(answer.tiles):
            row, column = group.windows[number]
            chosen = _inside(self._pixels, core(plan.rows, row), core(plan.columns, column))
            if not len(chosen):
                continue
            y = self._pixels.y[chosen] - plan.rows.starts[row] + margin
            x = self._pixels.x[chosen] - plan.columns.starts[column] + margin
            flat = places[torch.from_numpy(y), torch.from_numpy(x)].to(answer.seen.device)
            rows, columns = flat // width, flat % width
            if self._kind == "step":
                logits = torch.stack([one[tile][:, rows, columns].T for one in answer.logits], dim=1)
                image = logits.new_empty((len(chosen), 0))
            else:
                taps = around(rows, height)[:, :, None], around(columns, width)[:, None, :]
                logits, image = (
                    values[tile][:, *taps].transpose(0, 1) for values in (answer.logits[0], answer.seen.float())
                )
            yield _Gathered(chosen, view, logits.cpu().numpy().copy(), image.cpu().numpy().copy())


def _places(sight: Sight, seen: tuple[int, int], size: tuple[int, int]) -> Int64[torch.Tensor, "y x"]:
    """Return where each pixel of a window lies, row by row, in what the network saw of it."""
    numbers = torch.arange(seen[0] * seen[1], dtype=torch.float64).reshape(1, 1, *seen)
    return sight.back(numbers, size, exact=True)[0, 0].long()


def _inside(pixels: SampledPixels, rows: slice, columns: slice) -> Int64[np.ndarray, " chosen"]:
    """Return the positions of the sampled pixels that lie in these rows and columns."""
    inside = (pixels.y >= rows.start) & (pixels.y < rows.stop) & (pixels.x >= columns.start) & (pixels.x < columns.stop)
    return np.flatnonzero(inside)
