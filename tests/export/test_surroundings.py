"""What stands around a network in a file computes what Terrazzo computes around it."""

from collections.abc import Callable

import numpy as np
import torch

from terrazzo.bundle import Bundle
from terrazzo.calibration.local_temperature import BRANCHES, SIDE, LocalTemperature, LocalWeights
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature
from terrazzo.calibration.window_temperature import StepTemperatures
from terrazzo.export.description import describe
from terrazzo.export.patches import compared_sizes, cropped_patches, synthetic_patches
from terrazzo.export.surroundings import Calibrated, Preprocessing
from terrazzo.geo.bands import Bands, Collar

Make = Callable[..., Bundle]


def test_values_are_normalised_to_the_same_bits(make: Make) -> None:
    bundle = make("probe_convolution")
    collar = Bands(items=bundle.bands.items, collar=Collar(value=7, nodata_tolerance=2))
    bundle = Bundle(**{**vars(bundle), "bands": collar})
    values = np.random.default_rng(0).integers(10, 255, (3, 9, 11)).astype(np.float32)
    valid = np.ones((9, 11), dtype=bool)
    values[:, 0, 0], values[1, 2, 2], values[2, 3, 3] = 8, 0, np.inf
    valid[0, 0] = valid[2, 2] = valid[3, 3] = False
    wanted = bundle.normalisation(values, valid)
    found = Preprocessing(bundle)(torch.from_numpy(values)[None])[0]
    assert np.array_equal(found.numpy(), wanted)
    assert (found[:, ~torch.from_numpy(valid)] == 0).all()


def test_temperatures_on_a_whole_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = LocalWeights(
        torch.randn((2 * BRANCHES, 3, SIDE, SIDE), generator=generator) / 10,
        torch.randn(2 * BRANCHES, generator=generator),
        torch.randn((1, 2, SIDE, SIDE), generator=generator) / 10,
        torch.randn(1, generator=generator),
    )
    logits, seen = (torch.randn((2, channels, 12, 17), generator=generator) for channels in (3, 2))
    local = LocalTemperature.of(weights)
    found = Calibrated(Calibration(window_temperature=local))(logits, seen)
    assert torch.allclose(found, local(logits, seen, None).softmax(1), atol=1e-6)
    both = Calibration(
        window_temperature=StepTemperatures(temperatures=(2.0, 4.0)), temperature=ScalarTemperature(temperature=0.5)
    )
    steps = torch.tensor([1, 2])[:, None, None]
    wanted = ((logits / (2.0 * steps[:, None])).log_softmax(1) / 0.5).softmax(1)
    assert torch.allclose(Calibrated(both)(logits, seen, steps), wanted, atol=1e-6)


def test_patches_are_mirrored_where_images_are_small(make: Make) -> None:
    bundle = make("probe_convolution")
    patches = synthetic_patches(bundle, count=2, side=30)
    assert not np.array_equal(patches[0].values, patches[1].values)
    for height, width in compared_sizes(bundle):
        for patch in cropped_patches(patches, height, width):
            assert patch.values.shape == (3, height, width)
            assert patch.valid.any()
            missing = np.isnan(patch.raw()).any(axis=0)
            assert np.array_equal(missing, ~patch.valid)


def test_the_description_names_bands_classes_and_figures(make: Make) -> None:
    bundle = make("probe_convolution")
    found = describe(bundle, framework=("ONNX", "1"), raw=False, outputs=("logits", "steps"), parameters=10, size=40)[
        "properties"
    ]
    assert found["mlm:input"][0]["bands"] == ["red", "green", "blue"]
    assert found["mlm:input"][0]["value_scaling"][0] == {"type": "z-score", "mean": 100.0, "stddev": 20.0}
    classes = found["mlm:output"][0]["classification:classes"]
    assert [one["name"] for one in classes] == ["field", "wälder", "sea"]
    assert found["license"] == "MIT"
