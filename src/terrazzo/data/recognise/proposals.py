"""Settings to begin with, each with its reason: patches, split, loss, batches, epochs, network."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from terrazzo.data.recognise.survey import Survey
from terrazzo.data.settings import Role
from terrazzo.data.splitting.block_plan import plan_blocks
from terrazzo.data.splitting.settings import BlockSettings
from terrazzo.data.splitting.splits import drawn_role

__all__ = ["Choice", "Proposal", "propose"]

UPDATES = 8000
"""Updates of the weights to aim at; enough for a network from random weights to settle on a few classes."""
LEAST_REGIONS = 3
"""From so many places on, whole places have a role."""
OVERLAP = 0.01
"""Share of a frame that lies in another's, from which on images are not dealt whole."""
MANY = 1000
"""Images from which on no seed is searched."""
_SEEDS = 64


@dataclass(frozen=True)
class Choice:
    """A setting with its reason.

    Attributes:
        value: As the configuration takes it.
        why: A clause.
    """

    value: object
    why: str


@dataclass(frozen=True)
class Proposal:
    """What a configuration sets beside source and classes.

    Attributes:
        patch: Side of a patch.
        overlap: Pixels that neighbours share.
        split: `data.split`; None where the folders decide.
        augment: Name of the set.
        encoder: Encoder of the network.
        loss: `loss`.
        class_weights: `train.class_weights`.
        sampling: `train.sampling`.
        batch_size: `train.batch_size`.
        epochs: `train.epochs`.
        evaluate: `evaluate.splits`.
    """

    patch: Choice
    overlap: Choice
    split: Choice
    augment: Choice
    encoder: Choice
    loss: Choice
    class_weights: Choice
    sampling: Choice
    batch_size: Choice
    epochs: Choice
    evaluate: Choice


def propose(found: Survey, *, above: bool) -> Proposal:
    """Propose settings.

    Args:
        found: The survey.
        above: Whether images are views from above.
    """
    split = _split(found)
    parts = {} if not isinstance(split.value, Mapping) else split.value.get("blocks", {})
    patch = _patch(found, block=parts.get("size_pixels"))
    size = int(str(patch.value))
    patches = max(1.0, 0.8 * found.pixels / size**2)
    batch = _batch(size, patches)
    return Proposal(
        patch=patch,
        overlap=Choice(size // 8, "neighbours share an eighth, so that what lies on a border is seen whole once"),
        split=split,
        augment=_augment(above),
        encoder=_encoder(patches),
        loss=_loss(found),
        class_weights=_class_weights(found),
        sampling=_sampling(found),
        batch_size=batch,
        epochs=_epochs(patches, int(str(batch.value))),
        evaluate=_evaluate(found, split),
    )


def _patch(found: Survey, *, block: int | None) -> Choice:
    """The largest power of two that fits: up to 512 in large images, to 256 in others; into a block where there are."""
    side = found.side
    limit = side if block is None else block
    size = int(min(512 if side >= 1024 else 256, max(32, 2 ** int(math.log2(max(limit, 1))))))
    if block is not None:
        return Choice(size, f"blocks of the split are {block} pixels wide; what lies in another block is ignored")
    if size > side:
        return Choice(size, f"images are {side} pixels wide and give one patch each")
    return Choice(size, f"images are {side} pixels wide (shorter side, median); more context costs memory")


def _batch(size: int, patches: float) -> Choice:
    batch = {512: 4, 256: 8}.get(size, 16)
    if patches < 2 * batch:
        return Choice(
            2 ** int(math.log2(max(1.0, patches / 2))), f"there are only about {patches:.0f} training patches"
        )
    return Choice(batch, f"{batch} patches of {size} pixels fit into 8 GB with this network; more where there is room")


def _epochs(patches: float, batch: int) -> Choice:
    steps = max(1, math.ceil(patches / batch))
    epochs = int(min(200, max(20, round(UPDATES / steps, -1))))
    return Choice(
        epochs,
        f"about {patches:.0f} training patches are {steps} updates an epoch, {epochs * steps} in all",
    )


def _encoder(patches: float) -> Choice:
    if patches < 2000:
        return Choice("resnet18", "a small encoder for few patches; larger ones: `terrazzo list encoders`")
    return Choice("resnet34", "takes any number of bands; others: `terrazzo list encoders`")


def _augment(above: bool) -> Choice:
    if above:
        return Choice("light", "seen from above: flips, quarter turns, a little brightness and contrast")
    return Choice("safe", "an upright view: left-right flips, a little brightness and contrast")


def _loss(found: Survey) -> Choice:
    rare = _rarest(found)
    if len(found.shares) == 2 and 0 < rare < 0.1:
        terms = [{"loss": "ce"}, {"loss": "dice"}]
        why = f"one class covers {rare:.1%}: Dice looks at its overlap, whatever its share"
        return Choice({"name": "sum", "terms": terms}, why)
    return Choice("ce", "cross-entropy; where borders of small things matter, add dice")


def _class_weights(found: Survey) -> Choice:
    if len(found.shares) > 2 and found.imbalance > 10:
        return Choice("median", f"the most frequent class has {found.imbalance:.0f} times the pixels of the rarest")
    return Choice("none", f"classes differ by a factor of {found.imbalance:.1f} in pixels")


def _sampling(found: Survey) -> Choice:
    rare = _rarest(found)
    if 0 < rare < 0.01:
        return Choice("balanced", f"the rarest class covers {rare:.2%}: its patches are drawn more often")
    return Choice("uniform", "every patch once an epoch")


def _rarest(found: Survey) -> float:
    return min((share for share in found.shares.values() if share > 0), default=0.0)


def _evaluate(found: Survey, split: Choice) -> Choice:
    given = split.value if isinstance(split.value, Mapping) else {}
    ways = [way for way in (given.get("regions"), given.get("fractions")) if isinstance(way, Mapping)]
    tested = any("test" in way for way in ways) or "test" in found.roles
    return Choice(["val", "test"] if tested else ["val"], "images that training never saw")


def _split(found: Survey) -> Choice:
    """Say who trains and who selects, so that both have images."""
    roles = found.roles
    silent = roles.get(None, 0) + roles.get("train", 0)
    if not roles.get(None) and {"train", "val"} <= roles.keys():
        return Choice(None, "the layout says the roles of images")
    if not silent:
        return Choice(None, "the layout gives every image a role, and none of them trains: add images that do")
    if (
        len(found.pairs) == len([pair for pair in found.pairs if pair.split is None])
        and len(found.regions) >= LEAST_REGIONS
    ):
        return _by_regions(found)
    if len(found.pairs) == 1 or (found.overlap > OVERLAP and len(found.pairs) == roles.get(None)):
        return _by_blocks(found)
    return _by_fractions(found)


def _by_regions(found: Survey) -> Choice:
    """Give whole regions a role: the last but one selects, the last tests where there are four or more."""
    names = list(found.regions)
    given = {"train": names[:-2], "val": [names[-2]], "test": [names[-1]]}
    if len(names) < 4:
        given = {"train": names[:-1], "val": [names[-1]]}
    return Choice({"regions": given}, "by place, never by image: images of one place look alike")


def _by_fractions(found: Survey) -> Choice:
    """Draw roles by a seed under which each has about its share."""
    shares: dict[Role, float] = {"train": 0.8, "val": 0.2}
    if len(found.pairs) >= 30 and "test" not in found.roles:
        shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    names = [pair.image_id for pair in found.pairs if pair.split in {None, "train"}]
    pixels = {entry.image_id: entry.height * entry.width for entry in found.entries}

    def distance(seed: int) -> float:
        drawn = {name: drawn_role(name, shares, seed) for name in names}
        counts = Counter(drawn.values())
        empty = sum(not counts[role] for role in shares)
        trained = sum(pixels.get(name, 0) for name, role in drawn.items() if role == "train")
        # Images count first; of seeds that draw as many, the one whose training images are as large as they should be.
        off = abs(trained / sum(pixels.values()) - shares["train"])
        return (
            empty * len(names) + sum(abs(counts[role] - share * len(names)) for role, share in shares.items()) + off / 2
        )

    # Of many images any seed draws nearly the shares.
    seed = min(range(_SEEDS), key=distance) if len(names) < MANY else 0
    return Choice(
        {"fractions": dict(shares), "seed": seed}, "whole images, never patches; the seed gives each its share"
    )


def _by_blocks(found: Survey) -> Choice:
    """Divide one image, or images that overlap, into squares of the ground."""
    single = len(found.pairs) == 1
    size = max(32, found.side // 4 if single else found.side)
    shares: dict[Role, float] = {"train": 0.75, "val": 0.25}

    def distance(seed: int) -> float:
        settings = BlockSettings(size_pixels=size, fractions=shares, seed=seed)
        plan = plan_blocks(found.entries, settings)
        areas = [(entry.grid, plan.area(entry, "train", shares=tuple(shares.items()))) for entry in found.entries]
        parts = {block: area.drawn(block) for grid, area in areas for block in area.open(grid).blocks()}
        drawn = list(parts.values())
        return abs(drawn.count("val") / len(drawn) - shares["val"]) + len(drawn) * ("val" not in drawn)

    seed = min(range(_SEEDS), key=distance)
    blocks = {"size_pixels": size, "fractions": dict(shares), "seed": seed}
    what = "one image: it is" if single else "images overlap, so that whole ones would show each other; they are"
    return Choice({"blocks": blocks}, f"{what} divided into squares, a quarter of which select")
