"""A temperature for each pixel: the published mixture, from temperature 1, at any size, and safe to load."""

import base64

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import conv2d, pad

from terrazzo.calibration.local_temperature import LEAST, LocalTemperature, LocalWeights, around
from terrazzo.calibration.record import Calibration

CLASSES, BANDS = 4, 3


def weights(seed: int | None = 0, scale: float = 0.05) -> LocalWeights:
    generator = torch.Generator().manual_seed(seed or 0)
    shapes = (8, CLASSES, 5, 5), (8,), (1, BANDS, 5, 5), (1,)
    parts = [
        torch.zeros(shape) if seed is None else torch.randn(shape, generator=generator) * scale for shape in shapes
    ]
    return LocalWeights(*parts)


def windows(count: int = 3, height: int = 13, width: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return (
        3 * torch.randn(count, CLASSES, height, width, generator=generator),
        torch.randn(count, BANDS, height, width, generator=generator),
    )


def published(given: LocalWeights, logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The mixture as the source states it, with torch's own mirrored padding, 1 added once, and the lower bound."""
    answers = conv2d(pad(logits, (4,) * 4, mode="reflect"), given.over_logits, given.logits_bias, dilation=2)
    from_image = conv2d(pad(image, (4,) * 4, mode="reflect"), given.over_image, given.image_bias, dilation=2)[:, 0]
    one, two, three, four, gate_1, gate_2, gate_3, gate_image = answers.unbind(1)
    upper = one * gate_1.sigmoid() + two * (1 - gate_1.sigmoid())
    lower = three * gate_2.sigmoid() + four * (1 - gate_2.sigmoid())
    both = upper * gate_3.sigmoid() + lower * (1 - gate_3.sigmoid())
    mixture = both * gate_image.sigmoid() + from_image * (1 - gate_image.sigmoid())
    return (mixture + 1).clamp_min(LEAST)


def test_is_the_published_mixture() -> None:
    given, (logits, image) = weights(), windows()
    record = LocalTemperature.of(given)
    found, expected = record.temperatures(logits, image), published(given, logits, image)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(record(logits, image, None), logits / expected[:, None], atol=1e-4, rtol=1e-4)


def test_without_weights_the_temperature_is_one() -> None:
    logits, image = windows()
    record = LocalTemperature.of(weights(None))
    assert (record.temperatures(logits, image) == 1).all()
    assert torch.equal(record(logits, image, None), logits)


def test_never_below_its_bound() -> None:
    logits, image = windows()
    found = LocalTemperature.of(weights(scale=5)).temperatures(logits, image)
    assert float(found.min()) == pytest.approx(LEAST)
    assert float(found.max()) > 2


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 9), (5, 5), (1, 40)])
def test_windows_smaller_than_a_kernel(size: tuple[int, int]) -> None:
    logits, image = windows(2, *size)
    found = LocalTemperature.of(weights()).temperatures(logits, image)
    assert found.shape == (2, *size)
    assert bool(torch.isfinite(found).all())


def test_around_is_the_mirror_that_torch_pads() -> None:
    line = torch.arange(9.0)[None, None]
    padded = pad(line, (4, 4), mode="reflect")[0, 0].long()
    for position in range(9):
        assert around(torch.tensor([position]), 9)[0].tolist() == padded[position : position + 9 : 2].tolist()
    assert around(torch.tensor([0]), 1).tolist() == [[0] * 5]


def test_a_windows_bits_depend_on_nothing_beside_it() -> None:
    logits, image = windows(5, 33, 29)
    record = LocalTemperature.of(weights())
    whole = record(logits, image, None)
    layouts = image.contiguous(memory_format=torch.channels_last), logits.contiguous(memory_format=torch.channels_last)
    for number in range(5):
        alone = record(logits[number : number + 1], image[number : number + 1], None)
        assert torch.equal(alone[0], whole[number])
    assert torch.equal(record(layouts[1], layouts[0], None), whole)
    with torch.inference_mode():
        assert torch.equal(record(logits, image, None), whole)


def test_full_precision_under_autocast() -> None:
    logits, image = windows()
    record = LocalTemperature.of(weights())
    expected = record(logits, image, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = record(logits, image, None)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_the_record_is_json_and_is_read_back_to_the_last_bit() -> None:
    given = weights()
    record = LocalTemperature.of(given)
    again = Calibration.model_validate_json(Calibration(window_temperature=record).model_dump_json())
    assert again.window_temperature == record
    kept = again.window_temperature.network(torch.device("cpu"))
    for name in ("over_logits", "logits_bias", "over_image", "image_bias"):
        assert torch.equal(getattr(kept, name), getattr(given, name))
    assert record.network(torch.device("cpu")) is kept


def refused(record: LocalTemperature, match: str, **changes: object) -> None:
    with pytest.raises(ValidationError, match=match):
        LocalTemperature.model_validate(record.model_dump() | changes)


def test_weights_that_do_not_fit_are_refused() -> None:
    record = LocalTemperature.of(weights())
    refused(record, "need 4336 bytes of weights, not 3536", classes=5)
    refused(record, "bytes of weights", weights="")
    refused(record, "no base64", weights="!" + record.weights[1:])
    refused(record, "no base64", weights=record.weights[:-1])
    refused(record, "classes", classes=0)
    refused(record, "bands", bands=100_000)
    refused(record, "weights", weights="A" * 10_000_000)
    broken = np.frombuffer(base64.b64decode(record.weights), dtype="<f4").copy()
    broken[3] = np.nan
    refused(record, "not a finite number", weights=base64.b64encode(broken.tobytes()).decode())
