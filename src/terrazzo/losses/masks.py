"""The loss of a head of masks: each query's class and mask, against the segment that it is matched with."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from pydantic import model_validator
from scipy.optimize import linear_sum_assignment

from terrazzo.errors import ModelError
from terrazzo.losses.loss import Labels, Loss, NonNegative
from terrazzo.losses.mask_points import Points, Sampling, points_of_pixels
from terrazzo.losses.mask_terms import MaskTerm, paired_dice, pairwise_dice
from terrazzo.losses.parts import check_cells, required, untouched
from terrazzo.models.output import Output, Queries

__all__ = ["MaskLoss"]

Pairs = tuple[torch.Tensor, torch.Tensor]
"""Queries, and the class of each."""
WEIGHTS = {"bce": (2.0, 5.0, 5.0), "focal": (1.0, 20.0, 1.0)}
"""Weights of class, mask and dice: of Mask2Former, and of MaskFormer."""


class MaskLoss(Loss):
    """Class, mask and dice terms of matched queries, of the last layer's answer and of each earlier one.

    The segments of an image are the classes that a counted pixel is labelled with. Each is matched with one query, so
    that the sum over pairs of ce_weight (-p(class)) + mask_weight mask + dice_weight dice is least (Hungarian matching,
    anew for each layer). Then: the cross-entropy of every query's class, "no object" for those without a segment; and,
    of matched pairs, the mask term and dice, divided by the number of segments in the batch. The layers add up.

    Where the network answers no "no object", query c stands for class c: the class term is asked of the queries whose
    class is present, the mask term of all (the mask of an absent class is empty), dice of those present.

    Source: Cheng et al., MaskFormer, NeurIPS 2021, equations 2 to 5: `mask: {kind: focal}`, weights 1, 20, 1, all
        pixels. Cheng et al., Mask2Former, CVPR 2022: `mask: {kind: bce}`, weights 2, 5, 5, points. 0.1 for "no object".
    Differs: pixels that do not count enter neither matching nor loss, and an image without any is left out, its queries
        too. Class weights, of training or one's own, weigh segments and classes; "no object" weighs
        `no_object_weight` times their mean. The number of segments is that of one process's batch.
    """

    name: Literal["masks"] = "masks"
    """Loss of a head of masks."""
    ce_weight: NonNegative | None = None
    """Factor of the queries' classes, in the loss and in matching; null takes the paper's: 2 with bce, 1 with focal."""
    mask: MaskTerm = MaskTerm()
    """How masks are compared pixel by pixel."""
    mask_weight: NonNegative | None = None
    """Factor of that, in the loss and in matching; null takes the paper's: 5 with bce, 20 with focal."""
    dice_weight: NonNegative | None = None
    """Factor of dice, in the loss and in matching; null takes the paper's: 5 with bce, 1 with focal."""
    no_object_weight: NonNegative = 0.1
    """Weight of "no object" among the classes."""
    layer_weight: NonNegative = 1.0
    """Factor of each earlier layer's answer beside the last one's 1."""
    sampling: Sampling | None = Sampling()
    """Points at which masks are compared in training; null compares every pixel, as evaluation always does."""

    @model_validator(mode="after")
    def _weighs_something(self) -> "MaskLoss":
        if not any(self.factors):
            raise ValueError("ce_weight, mask_weight and dice_weight are all 0; one must count")
        return self

    @property
    def factors(self) -> tuple[float, float, float]:
        """The weights of class, mask and dice."""
        given = (self.ce_weight, self.mask_weight, self.dice_weight)
        entropy, mask, dice = (
            paper if own is None else own for own, paper in zip(given, WEIGHTS[self.mask.kind], strict=True)
        )
        return entropy, mask, dice

    @property
    def reads(self) -> frozenset[type]:
        """The queries."""
        return frozenset({Queries})

    def measure_output(self, output: Output, labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the sum over the layers.

        Raises:
            ModelError: There are fewer queries than classes in an image, or other masks than the image's cells.
        """
        record = required(output, Queries, self)
        classes = len(labels.weights)
        self._check(record, labels, classes)
        total = untouched(*record.classes, *record.masks)
        counting = {number: image.flatten().nonzero()[:, 0] for number, image in enumerate(labels.counted)}
        pixels = {number: places for number, places in counting.items() if len(places)}
        if not pixels:
            return total
        images, present = list(pixels), labels.one_hot().flatten(2).any(dim=2)
        if record.classes[0].shape[2] == classes:
            everyone = torch.arange(classes, device=present.device)
            pairs = [[(everyone, everyone)] * len(pixels)] * len(record.classes)
        else:
            pairs = self._matched(record, labels, pixels, present)
        for layer, matched in enumerate(pairs):
            factor = self.layer_weight if layer else 1.0
            entropy = self._entropy(record.classes[layer][images], matched, present[images], labels.weights)
            shapes = self._shapes(record, layer, labels, list(zip(images, pixels.values(), matched, strict=True)))
            total = total + factor * (self.factors[0] * entropy + shapes)
        return total

    def _check(self, record: Queries, labels: Labels, classes: int) -> None:
        for masks in record.masks:
            check_cells(self.name, masks, labels, record.stride)
        queries, columns = record.classes[0].shape[1:]
        if columns == classes and queries != classes:
            raise ModelError(
                f'loss {self.name}: without "no object", query c stands for class c, so {classes} classes need '
                f"{classes} queries, not {queries}."
            )

    @torch.no_grad()
    def _matched(
        self,
        record: Queries,
        labels: Labels,
        pixels: Mapping[int, Int64[torch.Tensor, " _"]],
        present: Bool[torch.Tensor, "batch class"],
    ) -> list[list[Pairs]]:
        """Return, for each layer and image, which queries and which classes belong together."""
        costs: list[torch.Tensor] = []
        width, classes, device = labels.index.shape[2], len(labels.weights), labels.index.device
        everyone = torch.arange(classes, device=device)[:, None]
        for number, counted in pixels.items():
            drawn = self._drawn
            points = drawn.even(counted, width) if drawn else points_of_pixels(counted, width)
            truth = (labels.index[number].flatten()[points.pixel] == everyone).float()
            for queries, masks in zip(record.classes, record.masks, strict=True):
                logits = points.values(masks[number], record.stride)
                probability = queries[number].softmax(dim=1)[:, :classes]
                shapes = self._weighed(self.mask.pairwise(logits, truth), pairwise_dice(logits, truth))
                costs.append(shapes - self.factors[0] * probability)
        # One transfer for all; what is no number is left to the loss itself, which training stops at.
        tables = iter(torch.stack(costs).nan_to_num(0.0, 0.0, 0.0).cpu().numpy())
        pairs: list[list[Pairs]] = [[] for _ in record.classes]
        for held in present[list(pixels)].cpu().numpy():
            segments = held.nonzero()[0]
            for matched in pairs:
                table = next(tables)[:, segments]
                if len(table) < len(segments):
                    raise ModelError(
                        f"loss {self.name}: {len(table)} queries cannot be matched with the {len(segments)} classes of "
                        "one image; give the head more queries."
                    )
                rows, columns = linear_sum_assignment(table)
                matched.append((torch.from_numpy(rows).to(device), torch.from_numpy(segments[columns]).to(device)))
        return pairs

    def _weighed(self, mask: torch.Tensor, dice: torch.Tensor) -> torch.Tensor:
        _, mask_weight, dice_weight = self.factors
        return mask_weight * mask + dice_weight * dice

    def _entropy(
        self,
        logits: Float32[torch.Tensor, "image query _"],
        pairs: list[Pairs],
        present: Bool[torch.Tensor, "image class"],
        weights: Float32[torch.Tensor, " class"],
    ) -> Float32[torch.Tensor, ""]:
        """Return the weighted mean of the queries' cross-entropies."""
        classes = len(weights)
        target = torch.full(logits.shape[:2], classes, device=logits.device)
        for image, (queries, of_class) in enumerate(pairs):
            target[image, queries] = of_class
        each = torch.cat((weights, self.no_object_weight * weights.mean()[None]))[target]
        if logits.shape[2] == classes:
            each = each * present
        log_probability = logits.log_softmax(dim=2).gather(2, target[..., None])[..., 0]
        total = each.sum()
        return -(each * log_probability).sum() / torch.where(total > 0, total, 1.0)

    def _shapes(
        self,
        record: Queries,
        layer: int,
        labels: Labels,
        matched: list[tuple[int, Int64[torch.Tensor, " _"], Pairs]],
    ) -> Float32[torch.Tensor, ""]:
        """Return mask and dice terms of the pairs, over the weight of the segments."""
        width = labels.index.shape[2]
        summed, segments = labels.weights.new_zeros(()), labels.weights.new_zeros(())
        for number, counted, (queries, of_class) in matched:
            masks = record.masks[layer][number][queries]
            points = self._points(counted, width, masks, record.stride)
            truth = (labels.index[number].flatten()[points.pixel] == of_class[:, None]).float()
            logits = points.values(masks, record.stride)
            weights = labels.weights[of_class]
            present = (labels.index[number].flatten()[counted] == of_class[:, None]).any(dim=1)
            each = self._weighed(self.mask.paired(logits, truth), present * paired_dice(logits, truth))
            summed = summed + (weights * each).sum()
            segments = segments + (weights * present).sum()
        return summed / torch.where(segments > 0, segments, 1.0)

    @property
    def _drawn(self) -> Sampling | None:
        """How points are drawn now: an evaluation looks at every pixel, since its figures are to be facts."""
        return None if torch.is_inference_mode_enabled() else self.sampling

    def _points(
        self,
        counted: Int64[torch.Tensor, " _"],
        width: int,
        masks: Float32[torch.Tensor, "pair y x"],
        stride: int,
    ) -> Points:
        drawn = self._drawn
        return drawn.uncertain(counted, width, masks, stride) if drawn else points_of_pixels(counted, width)
