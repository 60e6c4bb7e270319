"""Views of a patch: the eight symmetries of the square, and which of them a training draws.

A backbone is not equivariant: the features of a mirrored image are not the mirrored features of the image. So features
are computed for each view, and image and label are turned with them.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Shaped

from terrazzo.data.augment.geometry import Dihedral, HorizontalFlip, VerticalFlip, symmetry
from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.augment.transform import Transform
from terrazzo.data.features.names import VIEWS, View, ordered
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

__all__ = ["drawable", "drawn", "unsuited", "viewed"]


def viewed(pixels: Shaped[torch.Tensor, "*lead y x"], view: View) -> Shaped[torch.Tensor, "*lead _y _x"]:
    """Return a view of pixels, over their last two axes (y, x)."""
    return symmetry(pixels, VIEWS[view])


# Four pixels that tell the eight symmetries apart.
_MARKS = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
_BY_MARKS: Mapping[tuple[float, ...], View] = {tuple(viewed(_MARKS, view).flatten().tolist()): view for view in VIEWS}


def drawn(views: Sequence[View], augmentation: Augmentation, seed: int) -> View:
    """Return the view that a training sample gets: a function of its arguments alone.

    An augmentation that only mirrors and turns is asked, so that training from the cache sees the very samples that
    training without it sees. One that does nothing leaves the draw to the cached views, each equally likely.

    Args:
        views: Those that are cached.
        augmentation: For which `unsuited` had nothing to say.
        seed: Of the sample.
    """
    if augmentation.steps:
        # Square, as every padded training patch is.
        blank = torch.zeros((2, 2), dtype=torch.int64)
        marked = Sample(_MARKS[None], blank, torch.ones((2, 2), dtype=torch.bool), 0, Window(0, 0, 2, 2))
        return _BY_MARKS[tuple(augmentation(marked, seed=seed, ignore=0).image.flatten().tolist())]
    known = ordered(views)
    generator = torch.Generator().manual_seed(seed)
    return known[int(torch.randint(len(known), (), generator=generator))]


def drawable(augmentation: Augmentation) -> tuple[View, ...] | None:
    """Return the views that an augmentation of squares can draw; None where it does more than mirror and turn.

    >>> drawable(Augmentation(set="none")), drawable(Augmentation.model_validate(["hflip"]))
    (('identity',), ('identity', 'hflip'))
    >>> drawable(Augmentation(set="safe")) is None
    True
    """
    reached = {_seen(_MARKS)}
    for step in augmentation.steps:
        made = _made_by(step)
        if made is None:
            return None
        reached = {_seen(viewed(viewed(_MARKS, before), after)) for before in reached for after in made}
    return ordered(reached)


def _seen(marks: Shaped[torch.Tensor, "2 2"]) -> View:
    return _BY_MARKS[tuple(marks.flatten().tolist())]


def _made_by(step: Transform) -> tuple[View, ...] | None:
    """Return the views that one step makes of a square; None where it does something else."""
    own: dict[type[Transform], tuple[View, ...]] = {
        HorizontalFlip: ("hflip",),
        VerticalFlip: ("vflip",),
        Dihedral: tuple(VIEWS),
    }
    made = own.get(type(step))
    if made is None or step.probability == 0:
        return made and ("identity",)
    return made if step.probability == 1 else ordered((*made, "identity"))


def unsuited(augmentation: Augmentation, views: Sequence[View]) -> str:
    """Say why a training from cached views cannot make an augmentation; nothing where it can.

    Args:
        augmentation: What was asked for.
        views: Those that are cached.
    """
    if not augmentation.steps:
        return ""
    able = drawable(augmentation)
    known = ordered(views)
    if able is None:
        others = dict.fromkeys(step.name for step in augmentation.steps if _made_by(step) is None)
        return (
            f"cached features are those of unchanged pixels, so {', '.join(others)} cannot be made with "
            "prepare.cache: features; set augment: none, with which prepare.cache_views are drawn, or prepare.cache: "
            "none"
        )
    if able == known:
        return ""
    return (
        f"mirrors and turns into {', '.join(able)}, but prepare.cache_views are {', '.join(known)}; make both the "
        f"same: cache_views: [{', '.join(able)}], or augment: none, with which the cached views are drawn"
    )
