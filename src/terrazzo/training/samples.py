"""Pictures of samples beside their labels: image | label | prediction | error."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8

from terrazzo.data.dataset import PatchDataset
from terrazzo.data.pictures.picture import colour_errors, colour_target, panel, true_colour, visible_bands
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey, collate
from terrazzo.models.architecture import Network
from terrazzo.training.distributed import Processes
from terrazzo.training.evaluation import Examination, answer

__all__ = ["sample_panels"]


def sample_panels(
    network: Network, prepared: Prepared, *, rows: Sequence[int], examination: Examination, processes: Processes
) -> list[UInt8[np.ndarray, "y x 3"]]:
    """Draw patches, each as image | label | prediction | error.

    Whole patches are drawn, beyond their cores too. This process alone works; the network is left in its mode.

    Args:
        network: On the device of `processes`.
        prepared: The data.
        rows: Rows of the patch index.
        examination: The normalisation, resize and cached features to use.
        processes: Say device and precision.

    Returns:
        One picture a row, 0..255.
    """
    features = examination.features_of(prepared)
    dataset = PatchDataset(prepared, normalisation=examination.normalisation, features=features)
    was_training = network.training
    network.eval()
    pictures = []
    for row in rows:
        batch = collate([dataset[PatchKey(row, 0)]])
        with torch.inference_mode():
            output = answer(network, batch.to(processes.device), resize=examination.resize, processes=processes)
        prediction = output.logits.argmax(dim=1)[0].cpu().numpy()
        target, valid = batch.target[0].numpy(), batch.valid[0].numpy()
        ignored = batch.ignored(prepared.classes.ignore)[0].numpy()
        channels = visible_bands(prepared.bands.names)
        pictures.append(
            panel(
                [
                    true_colour(batch.image[0].numpy(), valid, channels=channels),
                    colour_target(target, prepared.classes),
                    colour_target(prediction, prepared.classes),
                    colour_errors(target, prediction, ignored),
                ]
            )
        )
    network.train(was_training)
    return pictures
