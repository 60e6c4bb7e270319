"""What every head promises: answers at the size of the image, from maps of any layout and in any precision."""

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.output import Auxiliary, DeepSupervision, Disagreement, Output
from terrazzo.testing.answers import mapped, tensors
from terrazzo.testing.verdict import require

__all__ = ["LAYOUTS", "check_head"]

CLASSES = 3
LAYOUTS = (
    FeatureLayout((16, 16, 16, 16), (16, 16, 16, 16), 16),
    FeatureLayout((8, 12, 16, 24), (4, 8, 16, 32), 32),
    FeatureLayout((16,), (16,), 16),
)
"""Taps of a plain transformer, a pyramid, and a single map."""

Features = tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]


@dataclass(frozen=True)
class _Trial:
    """One head on one layout."""

    record: Head
    layout: FeatureLayout
    bands: int

    def build(self, seed: int) -> HeadNetwork:
        torch.manual_seed(seed)
        head = self.record.build(self.layout, bands=self.bands, classes=CLASSES)
        self.require(isinstance(head, HeadNetwork), f"build must return a HeadNetwork, not {type(head).__name__}")
        return head

    def given(self, batch: int, size: tuple[int, int]) -> tuple[Float[torch.Tensor, "batch band y x"], Features]:
        """Return an image and its maps; the size counts multiples of the layout's."""
        generator = torch.Generator().manual_seed(size[0] * 1000 + size[1])
        height, width = (count * self.layout.multiple for count in size)
        image = torch.randn((batch, self.bands, height, width), generator=generator)
        pairs = zip(self.layout.channels, self.layout.strides, strict=True)
        shapes = [(batch, channels, height // stride, width // stride) for channels, stride in pairs]
        return image, tuple(torch.randn(shape, generator=generator) for shape in shapes)

    def require(self, kept: bool, promise: str) -> None:
        require(kept, self.record, f"{promise} (maps of strides {self.layout.strides}, {self.bands} bands)")


def check_head(
    record: Head,
    *,
    layouts: Sequence[FeatureLayout] = LAYOUTS,
    bands: Sequence[int] = (3, 1, 5),
    sizes: Sequence[tuple[int, int]] = ((2, 3), (3, 1), (1, 1)),
) -> None:
    """Build a head for each layout of feature maps and hold it to the contract of `HeadNetwork`.

    Checked are: the record survives dumping, the same seed builds the same weights, logits have the image's size,
    auxiliary records are of the kinds in `record.answers` and of the cells that their strides say, all finite;
    evaluation repeats bit for bit, and an image alone is answered as in a batch; image and maps are left as they were;
    maps in float16 and bfloat16 are taken, and answered as what they hold; a batch of one trains, in a single cell too,
    and reaches every trainable parameter and the last map with a gradient; activations that are computed again give the
    same gradients; weights survive saving and loading; bfloat16 autocast stays finite; channels_last answers alike;
    `plain_parameters` names parameters; torch.export, tried on the first layout, gives a program that answers alike.

    Args:
        record: The head, of small widths.
        layouts: Of the maps.
        bands: Numbers of bands of the image; the first for every layout, the others for the first layout.
        sizes: Heights and widths in multiples of the layout's; the first is the one for training and precision.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    with torch.random.fork_rng(devices=[]):
        for layout in layouts:
            for count in bands if layout == layouts[0] else bands[:1]:
                trial = _Trial(record, layout, count)
                head = trial.build(seed=0)
                _check_weights(trial, head)
                for size in sizes:
                    _check_answers(trial, head, size)
                _check_narrow_maps(trial, head, sizes[0])
                _check_round_trip(trial, head)
                for size in (sizes[0], (1, 1)):
                    _check_training(trial, head, size)
                _check_precision(trial, head, sizes[0])
            _check_checkpointing(trial, sizes[0])
            if layout == layouts[0]:
                _check_export(trial, head, sizes[0])


def _answer(head: HeadNetwork, image: Float[torch.Tensor, "batch band y x"], features: Features) -> Output:
    head.eval()
    with torch.no_grad():
        output: Output = head(image, features)
    return output


def _near(one: Output, other: Output) -> bool:
    """Tell whether two answers differ by no more than float32 sums in another order do."""
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    return all(
        float((mine - theirs).abs().max()) <= 1e-3 * float(theirs.abs().max().clamp_min(1e-3)) for mine, theirs in pairs
    )


def _equal(one: Output, other: Output) -> bool:
    return all(torch.equal(mine, theirs) for mine, theirs in zip(tensors(one), tensors(other), strict=True))


def _check_weights(trial: _Trial, head: HeadNetwork) -> None:
    other = trial.build(seed=0).state_dict()
    for name, value in head.state_dict().items():
        trial.require(torch.equal(value, other[name]), f"one seed must build the same weights, but {name} differs")
    strangers = sorted(head.plain_parameters() - {name for name, _ in head.named_parameters()})
    trial.require(not strangers, f"plain_parameters names {strangers[:3]}, which are no parameters")


def _check_round_trip(trial: _Trial, head: HeadNetwork) -> None:
    image, features = trial.given(1, (1, 2))
    moved = trial.build(seed=1)
    stream = io.BytesIO()
    torch.save(head.state_dict(), stream)
    stream.seek(0)
    moved.load_state_dict(torch.load(stream, weights_only=True))
    same = _equal(_answer(head, image, features), _answer(moved, image, features))
    trial.require(same, "a head must answer the same after its weights are saved and loaded")


def _check_answers(trial: _Trial, head: HeadNetwork, size: tuple[int, int]) -> None:
    image, features = trial.given(2, size)
    before = [one.clone() for one in (image, *features)]
    with torch.no_grad():
        output = head.eval()(image, features)
    trial.require(isinstance(output, Output), f"forward must return an Output, not {type(output).__name__}")
    untouched = all(torch.equal(one, other) for one, other in zip((image, *features), before, strict=True))
    trial.require(untouched, "forward must not change the image or its maps")
    _check_output(trial, output, image)
    trial.require(_equal(_answer(head, image, features), output), "evaluation must repeat bit for bit")
    alone = _answer(head, image[1:], tuple(one[1:] for one in features))
    last = mapped(output, lambda one: one[1:])
    trial.require(_near(alone, last), "an image must be answered alike alone and in a batch")


def _check_output(trial: _Trial, output: Output, image: Float[torch.Tensor, "batch band y x"]) -> None:
    height, width = image.shape[-2:]
    wanted = (len(image), CLASSES, height, width)
    found = tuple(output.logits.shape)
    trial.require(found == wanted, f"logits are {found} where {wanted} was expected")
    kinds = [type(one) for one in output.auxiliary]
    expected = trial.record.answers
    trial.require(set(kinds) == expected, f"answers {kinds} where the record names {sorted(map(str, expected))}")
    trial.require(len(kinds) == len(set(kinds)), "answers at most one record of each kind")
    finite = all(bool(one.isfinite().all()) for one in tensors(output))
    trial.require(finite, f"the answer for an image of {(height, width)} is not finite")
    for record in output.auxiliary:
        for coarse, stride in _maps(record):
            cells = (-(-height // stride), -(-width // stride))
            place = tuple(coarse.shape[-2:])
            trial.require(place == cells, f"a map of stride {stride} has {place} cells where {cells} were expected")


def _maps(record: Auxiliary) -> list[tuple[torch.Tensor, int]]:
    """Return the maps of a record with their strides."""
    if isinstance(record, DeepSupervision):
        return list(zip(record.logits, record.strides, strict=True))
    if isinstance(record, Disagreement):
        return []
    return [(one, record.stride) for one in tensors(record) if one.ndim == 4]


def _check_narrow_maps(trial: _Trial, head: HeadNetwork, size: tuple[int, int]) -> None:
    image, features = trial.given(1, size)
    for kind in (torch.float16, torch.bfloat16):
        narrow = tuple(one.to(kind) for one in features)
        wide = _answer(head, image, tuple(one.float() for one in narrow))
        trial.require(_near(_answer(head, image, narrow), wide), f"maps in {kind} must be answered as what they hold")


def _gradients(
    head: HeadNetwork, image: Float[torch.Tensor, "batch band y x"], features: Features
) -> tuple[Output, dict[str, torch.Tensor | None]]:
    """Return a training answer and the gradient of all of it, under each parameter's name."""
    head.train()
    head.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    output = head(image, features)
    # Squared, so that no norm's constraint on its sum hides a gradient.
    total = torch.stack([one.square().mean() for one in tensors(output)]).sum()
    torch.autograd.backward(total)
    return output, {name: one.grad for name, one in head.named_parameters() if one.requires_grad}


def _check_training(trial: _Trial, head: HeadNetwork, size: tuple[int, int]) -> None:
    image, features = trial.given(1, size)
    features[-1].requires_grad_()
    output, gradients = _gradients(head, image, features)
    _check_output(trial, output, image)
    missing = [name for name, one in gradients.items() if one is None]
    trial.require(not missing, f"no gradient reaches {len(missing)} trainable parameters, such as {missing[:3]}")
    wild = [name for name, one in gradients.items() if one is not None and not one.isfinite().all()]
    trial.require(not wild, f"the gradient of {wild[:3]} is not finite for one image of {tuple(image.shape[-2:])}")
    moved = any(one is not None and bool(one.any()) for one in gradients.values())
    trial.require(moved, "all gradients are zero")
    trial.require(features[-1].grad is not None, "no gradient reaches the last map, so that no backbone could learn")
    head.zero_grad(set_to_none=True)


def _check_checkpointing(trial: _Trial, size: tuple[int, int]) -> None:
    head = trial.build(seed=0)
    other = copy.deepcopy(head)
    try:
        other.checkpoint_gradients()
    except ModelError:
        return
    image, features = trial.given(2, size)
    _, kept = _gradients(head, image, features)
    _, computed = _gradients(other, image, features)
    for name, one in kept.items():
        again = computed[name]
        same = one is not None and again is not None and torch.allclose(one, again, rtol=1e-4, atol=1e-6)
        trial.require(same, f"checkpointed activations give {name} another gradient")
    moved = [name for name, one in head.state_dict().items() if not torch.equal(one, other.state_dict()[name])]
    trial.require(not moved, f"checkpointed activations move {moved[:3]} otherwise")


def _check_precision(trial: _Trial, head: HeadNetwork, size: tuple[int, int]) -> None:
    image, features = trial.given(1, size)
    exact = _answer(head, image, features)
    with torch.autocast("cpu", torch.bfloat16):
        rough = _answer(head, image, features)
    finite = all(bool(one.isfinite().all()) for one in tensors(rough))
    trial.require(finite, "the answer under bfloat16 autocast is not finite")
    shapes = [one.shape for one in tensors(rough)] == [one.shape for one in tensors(exact)]
    trial.require(shapes, "the answer under bfloat16 autocast has other shapes")
    turned = [one.contiguous(memory_format=torch.channels_last) for one in (image, *features)]
    last = _answer(copy.deepcopy(head).to(memory_format=torch.channels_last), turned[0], tuple(turned[1:]))
    trial.require(_near(last, exact), "channels_last must answer like the contiguous layout")


class _Logits(torch.nn.Module):
    """A head that answers its logits alone, which an exported program can return."""

    def __init__(self, head: HeadNetwork) -> None:
        super().__init__()
        self.head = head

    def forward(self, image: torch.Tensor, *features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(image, features).logits
        return logits


def _check_export(trial: _Trial, head: HeadNetwork, size: tuple[int, int]) -> None:
    image, features = trial.given(2, size)
    exact = Output(_answer(head, image, features).logits)
    with torch.no_grad():
        program = torch.export.export(_Logits(head).eval(), (image, *features), strict=False)
        found = Output(program.module()(image, *features))
    trial.require(_near(found, exact), "the exported program must answer like the head")
