"""Sizes are written as people write them."""

import pytest
from pydantic import ValidationError

from terrazzo.profiling import ProfileSettings


@pytest.mark.parametrize(
    ("given", "size"),
    [(512, (512, 512)), ("512", (512, 512)), ("1024x2048", (1024, 2048)), ("8X9", (8, 9)), ((3, 4), (3, 4))],
)
def test_a_size_is_a_side_or_two(given: object, size: tuple[int, int]) -> None:
    assert ProfileSettings.model_validate({"sizes": [given]}).sizes == (size,)


@pytest.mark.parametrize("given", ["1x2x3", "wide", 0, "0x4", "x", (1, 2, 3), 1.5])
def test_anything_else_is_no_size(given: object) -> None:
    with pytest.raises(ValidationError):
        ProfileSettings.model_validate({"sizes": [given]})


@pytest.mark.parametrize("wrong", [{"batch_sizes": []}, {"repeats": 0}, {"steps": [0]}, {"devices": ["tpu"]}])
def test_nothing_is_measured_no_times(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProfileSettings.model_validate(wrong)
