"""Windows stay raw until they are on their device; what is seen there has the processor's bits."""

import numpy as np
import pytest
import torch

from terrazzo.data.normalisation import Normalisation
from terrazzo.scene import window_group
from terrazzo.scene.window_group import WindowGroup

SCALES = Normalisation(mean=(100.3, -7.0), std=(33.7, 0.11))
CPU = torch.device("cpu")
TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]


def raw(dtype: str, *, count: int = 3, seed: int = 0, missing: bool = True) -> WindowGroup:
    generator = np.random.default_rng(seed)
    values = generator.normal(90, 70, (count, 2, 9, 11))
    if np.dtype(dtype).kind != "f":
        limits = np.iinfo(dtype)
        values = (values * 1e5 if limits.max > 1e5 else values).clip(limits.min, limits.max)
    values = values.astype(dtype)
    valid = generator.random((count, 9, 11)) > (0.2 if missing else -1)
    if np.dtype(dtype).kind == "f":
        values[:, 1][~valid] = np.nan
    windows = tuple((0, number) for number in range(count))
    return WindowGroup(torch.from_numpy(values), torch.from_numpy(valid), windows, SCALES)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_is_seen_as_by_the_normalisation(dtype: str) -> None:
    group = raw(dtype)
    image, valid = group.image_on(CPU)
    expected = [SCALES(*one) for one in zip(group.values.numpy(), group.valid.numpy(), strict=True)]
    np.testing.assert_array_equal(image.numpy(), np.stack(expected))
    assert torch.equal(image, group.image)
    assert torch.equal(valid, group.valid)
    assert (image[~group.valid[:, None].expand_as(image)] == 0).all()


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_a_gpu_does_has_the_same_bits(dtype: str, missing: bool) -> None:
    group = raw(dtype, missing=missing)
    found = window_group._normalised(group.values, group.valid, SCALES)
    assert found.dtype == torch.float32
    assert torch.equal(found.view(torch.int32), group.image.view(torch.int32))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", TYPES)
def test_on_a_gpu_the_bits_are_the_processors(dtype: str) -> None:
    group = raw(dtype)
    image, valid = group.image_on(torch.device("cuda", 0))
    assert torch.equal(image.cpu().view(torch.int32), group.image.view(torch.int32))
    assert torch.equal(valid.cpu(), group.valid)


def test_what_is_normalised_stays_as_it_is() -> None:
    group = raw("float32")
    seen = WindowGroup(group.image, group.valid, group.windows)
    assert seen.image is seen.values


def test_some_windows_are_taken_as_often_as_they_are_named() -> None:
    group = raw("uint16")
    taken = group.taken([2, 0, 2])
    assert taken.windows == ((0, 2), (0, 0), (0, 2))
    assert torch.equal(taken.image, group.image[[2, 0, 2]])


def test_windows_alike_are_joined() -> None:
    one, two = raw("uint16"), raw("uint16", count=1, seed=1)
    assert one.joins(two)
    joined = WindowGroup.joined([one, two])
    assert joined.windows == (*one.windows, *two.windows)
    assert torch.equal(joined.image, torch.cat([one.image, two.image]))


def test_windows_of_another_kind_are_not_joined() -> None:
    one = raw("uint16")
    assert not one.joins(raw("uint8"))
    assert not one.joins(WindowGroup(one.values, one.valid, one.windows))
    assert not one.joins(WindowGroup(one.values[:, :, 1:], one.valid[:, 1:], one.windows, SCALES))
