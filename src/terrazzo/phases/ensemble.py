"""The verb `ensemble`: several bundles of one task become one, whose probabilities are their mean."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from terrazzo.bundle import Bundle
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError, ConfigError, ContractError
from terrazzo.models.ensemble import Ensemble, Member
from terrazzo.phases.model_files import ModelFiles
from terrazzo.phases.summary import EnsembleSummary

__all__ = ["ensemble"]

_LOG = logging.getLogger(__name__)


def ensemble(models: Sequence[Path], out: Path, *, backbone: Path | None = None) -> EnsembleSummary:
    """Join bundles into one file, which is calibrated, judged and mapped with like any other.

    What was calibrated of a member is left behind: it says how far that member can be believed, not the ensemble.

    Args:
        models: At least two bundles or run folders, of the same bands, classes, patch size and resize.
        out: The new bundle.
        backbone: Frozen weights that members lean on; where their configurations name them if None.

    Raises:
        BundleError: A bundle is damaged, or bundles lean on different frozen weights.
        ConfigError: There are fewer than two, or `out` is one of them.
        ContractError: They were trained for different things.
    """
    begun = time.monotonic()
    files = [ModelFiles(model, None if Bundle.backbone_of(model) is None else backbone) for model in models]
    if backbone is not None and all(one.backbone is None for one in files):
        raise BundleError(
            f"No member leans on frozen weights, so {backbone} has no place in the ensemble; leave it out."
        )
    if len(files) < 2:
        raise ConfigError("An ensemble has two members at least; name several bundles or run folders.")
    for one in files:
        if one.bundle.resolve() == out.resolve():
            raise ConfigError(f"{out} is a member and would be replaced; choose another place for the ensemble.")
    bundles = [one.open() for one in files]
    first = bundles[0]
    for file, other in zip(files[1:], bundles[1:], strict=True):
        _require_same_task(files[0].bundle, first, file.bundle, other)
    for file, bundle in zip(files, bundles, strict=True):
        if bundle.calibration is not None:
            _LOG.warning("the calibration of %s is left behind; calibrate the ensemble", file.bundle)
    leaning = _leaning(files, bundles)
    joined = replace(
        first,
        backbone=None if leaning is None else leaning.backbone,
        backbone_path=None if leaning is None else leaning.backbone_path,
        architecture=Ensemble(members=tuple(_member(one, first.normalisation) for one in bundles)),
        weights=_weights(bundles),
        training={"members": [one.fingerprint for one in bundles]},
        licence="; ".join(dict.fromkeys(one.licence for one in bundles if one.licence)),
        calibration=None,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    joined.save(out)
    return EnsembleSummary(
        folder=out.parent,
        seconds=time.monotonic() - begun,
        bundle=out,
        members=tuple(one.bundle for one in files),
        parameters=sum(weight.numel() for weight in joined.weights.values()),
    )


def _leaning(files: Sequence[ModelFiles], bundles: Sequence[Bundle]) -> Bundle | None:
    """Return a member that leans on the frozen weights that others lean on too; None where none does."""
    found: tuple[Path, Bundle] | None = None
    for file, bundle in zip(files, bundles, strict=True):
        if bundle.backbone is None:
            continue
        if found is None:
            found = (file.bundle, bundle)
        elif found[1].backbone is not None and bundle.backbone.sha256 != found[1].backbone.sha256:
            raise BundleError(
                f"{found[0]} leans on {found[1].backbone.identifier} (SHA-256 {found[1].backbone.sha256}) and "
                f"{file.bundle} on {bundle.backbone.identifier} ({bundle.backbone.sha256}); an ensemble has one frozen "
                "backbone at the most."
            )
    return None if found is None else found[1]


def _member(bundle: Bundle, seen: Normalisation) -> Member:
    """Return a member's record, with how its input follows from what the ensemble sees."""
    own = bundle.normalisation
    if own == seen:
        return Member(network=bundle.architecture, leans=bundle.backbone is not None)
    if bundle.backbone is not None:
        raise BundleError(
            f"The members on {bundle.backbone.identifier} normalise their input otherwise than the first; name one of "
            "them first, or train the others with the same normalisation."
        )
    factor = tuple(ours / theirs for ours, theirs in zip(seen.std, own.std, strict=True))
    pairs = zip(seen.mean, own.mean, own.std, strict=True)
    return Member(
        network=bundle.architecture, factor=factor, shift=tuple((ours - theirs) / std for ours, theirs, std in pairs)
    )


def _weights(bundles: Sequence[Bundle]) -> dict[str, torch.Tensor]:
    return {
        f"members.{number}.{name}": weight
        for number, bundle in enumerate(bundles)
        for name, weight in bundle.weights.items()
    }


def _require_same_task(path: Path, first: Bundle, other_path: Path, other: Bundle) -> None:
    """Refuse members that see or answer something else than the first."""
    pairs = {
        "bands": (first.bands.names, other.bands.names),
        "types of bands": ([band.dtype for band in first.bands], [band.dtype for band in other.bands]),
        "classes": (first.classes.names, other.classes.names),
        "patch size": (first.patch_size, other.patch_size),
        "resize": (first.resize, other.resize),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise ContractError(
                f"{path} and {other_path} cannot be one ensemble: their {what} differ ({ours} and {theirs})."
            )
