"""Pictures of what a network will be trained on: samples and labels, before and after augmentation."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset
from terrazzo.data.pictures.picture import colour_target, panel, true_colour, visible_bands, write_png
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey, Sample
from terrazzo.data.sampler import training_batches

__all__ = ["write_previews"]


def write_previews(
    prepared: Prepared, augmentation: Augmentation, *, folder: Path, count: int, seed: int = 0
) -> list[Path]:
    """Write PNG pictures of training samples: image | label | augmented image | augmented label.

    They are the first samples of the first epoch that a run of this seed would draw without class balancing, read and
    augmented by the code that training uses. Both images share one stretch, so that a change of brightness shows;
    invalid and ignored pixels are hatched.

    Args:
        prepared: Prepared data; training patches are shown.
        augmentation: What training would do to them.
        folder: Where to write; created if missing.
        count: Pictures to write, fewer where there are fewer patches.
        seed: Seed of order and augmentation.

    Returns:
        The files, named by position, image and window.

    Raises:
        DataError: There is no training patch, or a file cannot be read.
    """
    if count < 1:
        return []
    dataset = PatchDataset(prepared, normalisation=prepared.normalisation, pad_to=prepared.patch_size)
    keys = training_batches(prepared.training_rows(), seed=seed, epoch=0, batch_size=count)[0]
    paths = []
    for position, key in enumerate(keys):
        sample = dataset[key]
        augmented = augmentation(sample, seed=key.seed, ignore=prepared.classes.ignore)
        path = folder / _file_name(prepared, key, position)
        write_png(path, _picture(sample, augmented, prepared))
        paths.append(path)
    return paths


def _file_name(prepared: Prepared, key: PatchKey, position: int) -> str:
    """Position, image and window; what a file name cannot hold becomes a dash."""
    window = prepared.index.window(key.row)
    image = re.sub(r'[/\\:*?"<>|\x00-\x1f]', "-", prepared.index.image_id(key.row))
    return f"{position:03d}_{image}_y{window.y}_x{window.x}_{window.height}x{window.width}.png"


def _picture(sample: Sample, augmented: Sample, prepared: Prepared) -> UInt8[np.ndarray, "y x 3"]:
    """Four panels; the two images are stretched as one."""
    samples = (sample, augmented)
    height = max(one.valid.shape[0] for one in samples)
    gaps = [(0, height - one.valid.shape[0]) for one in samples]
    values = [np.pad(one.image.numpy(), ((0, 0), gap, (0, 0))) for one, gap in zip(samples, gaps, strict=True)]
    valid = [np.pad(one.valid.numpy(), (gap, (0, 0))) for one, gap in zip(samples, gaps, strict=True)]
    channels = visible_bands(prepared.bands.names)
    both = true_colour(np.concatenate(values, axis=2), np.concatenate(valid, axis=1), channels=channels)
    width = sample.valid.shape[1]
    before, after = both[: sample.valid.shape[0], :width], both[: augmented.valid.shape[0], width:]
    labels = [colour_target(one.target.numpy(), prepared.classes) for one in samples]
    return panel([before, labels[0], after, labels[1]])
