"""The head `pmt`: queries and cells of a frozen transformer pass through a few blocks of its own kind together."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from pydantic import NonNegativeInt, PositiveInt
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.annealing import MaskAnnealing
from terrazzo.models.heads.head import HeadNetwork
from terrazzo.models.heads.masks import MaskAnswer, MaskHead, semantic_logits
from terrazzo.models.heads.plain_blocks import Block, Lateral, ScaleBlock
from terrazzo.models.heads.positions import rotation
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output, Queries
from terrazzo.models.padding import covering, crop

__all__ = ["PlainMaskTransformer", "PlainMaskTransformerNetwork"]

CELL = 16
"""Pixels along a cell that is a token."""
STRIDE = 4
"""Pixels along a cell of a mask."""

Result = TypeVar("Result")
Answer = tuple[Float[torch.Tensor, "batch query _class"], Float[torch.Tensor, "batch query _y _x"]]


class PlainMaskTransformer(MaskHead):
    """The Plain Mask Transformer's decoder.

    Each map passes a batch norm, a residual two-layer part and a learned scale (`Lateral`); their sum, cell by cell,
    and the queries before it pass `blocks` blocks like DINOv3's. Before each block and after the last, a layer norm,
    the class layer and the product of the queries' mask embeddings with the cells, enlarged to stride 4 (`ScaleBlock`),
    are an answer. In training, a query may at first read only the cells that its mask covers (`MaskAnnealing`).

    Source: Plain Mask Transformer, arXiv 2603.25398, and tue-mps/pmt, image/models/pmd.py. For four taps of a ViT-L it
    has 53.85 M parameters with 150 classes and 53.70 M with 6: the 144 columns of the class layer differ.
    Differs: no tokens but queries and cells, since feature maps hold no class and register tokens; maps of other
    channels or strides are projected and resized to the cells first, so that pyramids fit too; rotary positions are
    never rescaled at random; in evaluation the last answer alone is given, unless `every_layer` is set, and
    answers before it are computed only while their masks are used; scores are normalised (`semantic_logits`).
    """

    name: Literal["pmt"] = "pmt"
    """Queries and cells pass a few transformer blocks together."""
    channels: PositiveInt | None = None
    """Channels of tokens; by default those of the last map."""
    blocks: PositiveInt = 6
    """Transformer blocks."""
    heads: PositiveInt | None = None
    """Attention heads; by default one for each 64 channels."""
    annealing_steps: NonNegativeInt = 20_192
    """Training passes, about the run's number of batches, over which masked attention fades out; 0: never masked."""

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> "PlainMaskTransformerNetwork":
        """Return the head.

        Raises:
            ModelError: Channels cannot be shared out to the attention heads; a stride of the maps is no power of two.
        """
        odd = [stride for stride in layout.strides if stride < 1 or stride & (stride - 1)]
        if odd:
            raise ModelError(f"pmt needs feature maps whose strides are powers of two, not {layout.strides}.")
        return PlainMaskTransformerNetwork(self, layout, classes=classes)


class PlainMaskTransformerNetwork(HeadNetwork):
    """The built head.

    Args:
        settings: Its record.
        layout: Of the features.
        classes: Output channels.
    """

    classifiers = ("answer.classifier",)

    def __init__(self, settings: PlainMaskTransformer, layout: FeatureLayout, *, classes: int) -> None:
        super().__init__()
        channels = settings.channels or layout.channels[-1]
        self.classes, self.heads = classes, settings.heads or max(1, channels // 64)
        pairs = zip(layout.channels, layout.strides, strict=True)
        self.laterals = torch.nn.ModuleList(Lateral(given, channels, stride, CELL) for given, stride in pairs)
        self.queries = torch.nn.Embedding(settings.query_count(classes), channels)
        self.blocks = torch.nn.ModuleList(Block(channels, self.heads) for _ in range(settings.blocks))
        self.norm = torch.nn.LayerNorm(channels)
        self.enlargement = torch.nn.Sequential(ScaleBlock(channels), ScaleBlock(channels))
        columns = classes + (settings.assignment == "matched")
        self.answer = MaskAnswer(channels, columns, pixel_channels=channels, activation=torch.nn.GELU)
        self.annealing = MaskAnnealing(settings.blocks, settings.annealing_steps)
        self.every_layer, self.again = settings.every_layer, False
        allow_single_values(self)

    def checkpoint_gradients(self) -> None:
        """Compute the activations of blocks and answers again in the backward pass."""
        self.again = True

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        features: Sequence[Float[torch.Tensor, "batch _channel _y _x"]],
    ) -> Output:
        """Answer logits at the size of the image, and what the queries say, last first."""
        height, width = image.shape[-2:]
        rows, columns = covering(height, CELL), covering(width, CELL)
        cells = sum(
            (lateral(one.to(image.dtype), rows, columns) for lateral, one in zip(self.laterals, features, strict=True)),
            start=torch.zeros((), dtype=image.dtype, device=image.device),
        )
        queries = self.queries.weight.expand(image.shape[0], -1, -1).to(cells.dtype)
        tokens = torch.cat((queries, cells.flatten(2).transpose(1, 2)), dim=1)
        angles = rotation(rows, columns, tokens.shape[-1] // self.heads, device=tokens.device)
        count = queries.shape[1]
        masked = self.annealing.draw(image.shape[0], count)
        every_layer = self.training or self.every_layer
        answers: list[Answer] = []
        for index, (block, masks) in enumerate(zip(self.blocks, self.annealing.masks_some(), strict=True)):
            allowed = None
            if masks or every_layer:
                answers.append(self._run(self._answer, tokens, rows, columns))
            if masks:
                allowed = self._allowed(answers[-1][1], masked[index], rows, columns)
            tokens = self._run(block, tokens, allowed, angles)
        answers.append(self._run(self._answer, tokens, rows, columns))
        kept = answers if every_layer else answers[-1:]
        fine = [crop(one, height=covering(height, STRIDE), width=covering(width, STRIDE)) for _, one in reversed(kept)]
        classes = tuple(one for one, _ in reversed(kept))
        logits = semantic_logits(classes[0], fine[0], count=self.classes, stride=STRIDE, height=height, width=width)
        return Output(logits, (Queries(classes, tuple(fine), STRIDE),))

    def _run(self, part: Callable[..., Result], *given: object) -> Result:
        """Return what a part answers, its activations computed again in the backward pass where that was asked for."""
        if self.again and torch.is_grad_enabled():
            return checkpoint(part, *given, use_reentrant=False)
        return part(*given)

    def _answer(self, tokens: Float[torch.Tensor, "batch token channel"], rows: int, columns: int) -> Answer:
        count = self.queries.num_embeddings
        normed = self.norm(tokens)
        cells = normed[:, count:].transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)
        answer: Answer = self.answer(normed[:, :count], self.enlargement(cells))
        return answer

    def _allowed(
        self,
        masks: Float[torch.Tensor, "batch query _y _x"],
        masked: Bool[torch.Tensor, "batch query"],
        rows: int,
        columns: int,
    ) -> Bool[torch.Tensor, "batch 1 _token _token"]:
        """Return who may read whom: a masked query every query, but only the cells that its mask covers."""
        coarse = functional.interpolate(masks.detach().float(), (rows, columns), mode="bilinear").flatten(2)
        open_cells = (coarse > 0) | ~masked[..., None]
        count, cells = open_cells.shape[1:]
        by_queries = functional.pad(open_cells, (count, 0), value=True)
        return functional.pad(by_queries, (0, 0, 0, cells), value=True)[:, None]
