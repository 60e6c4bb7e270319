"""Settings of blocks, folds and validation sets."""

import pytest
from pydantic import ValidationError

from terrazzo.data.settings import DataSettings, SplitSettings
from terrazzo.data.splitting.settings import BlockSettings, ValidationList

DATA = {"source": {"name": "folder", "folder": "/data"}, "classes": ["a", "b"]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of size_m and size_pixels"),
        ({"size_m": 5, "size_pixels": 5}, "give one of size_m and size_pixels"),
        ({"size_m": 5, "guard_pixels": 5}, "guard_m"),
        ({"size_pixels": 5, "guard_m": 5}, "guard_pixels"),
        ({"size_m": 5, "fractions": {"train": 0.5}}, "fractions must sum to 1, not 0.5"),
        ({"size_m": 0}, "greater than 0"),
        ({"size_m": float("inf")}, "finite"),
    ],
)
def test_blocks_that_cannot_be(settings, message):
    with pytest.raises(ValidationError, match=message):
        BlockSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": {"blocks": {"size_m": 5}, "fractions": {"train": 1.0}}}, "give one of"),
        ({"split": {"folds": {"count": 1}}, "fold": 0}, "greater than or equal to 2"),
        ({"split": {"folds": {"count": 3}}}, "needs data.fold"),
        ({"split": {"folds": {"count": 3}}, "fold": 3}, "fold 3 does not exist among 3 folds, 0 to 2"),
        ({"split": {"folds": {"count": 3, "by": "block"}}, "fold": 0}, "folds by block need `blocks`"),
        ({"split": {"folds": {"count": 3}, "blocks": {"size_m": 5}}, "fold": 0}, "other folds take none"),
        (
            {
                "split": {"folds": {"count": 2, "by": "block"}, "blocks": {"size_m": 5, "fractions": {"train": 1.0}}},
                "fold": 0,
            },
            "takes no fractions",
        ),
        ({"validation": {"City": {"source": "folder"}}}, "String should match pattern"),
        ({"validation": {"mean": {"source": "folder"}}}, "choose another name"),
        ({"validation": {"iou_road": {"source": "folder"}}}, "choose another name"),
    ],
)
def test_data_that_cannot_be(settings, message):
    with pytest.raises(ValidationError, match=message):
        DataSettings.model_validate({**DATA, **settings})


def test_a_list_may_be_bare():
    assert ValidationList.model_validate("sets.txt") == ValidationList(file="sets.txt")
    assert DataSettings.model_validate({**DATA, "validation_list": "sets.txt"}).validation_list.every == 1


def test_a_split_is_the_same_after_json():
    split = SplitSettings(blocks={"size_m": 500, "guard_m": 20, "fractions": {"train": 0.5, "test": 0.5}})
    assert SplitSettings.model_validate(split.model_dump(mode="json")) == split
