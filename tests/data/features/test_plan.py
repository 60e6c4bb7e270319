import os
from dataclasses import replace

import pytest

from terrazzo.data.features.plan import feature_folder, plan_shards
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError
from terrazzo.geo.bands import Collar


def test_training_patches_have_every_view_and_others_are_as_they_are(prepared, recipe):
    index = prepared.index
    found = {(row, shard.view, shard.padded) for shard in plan_shards(prepared, recipe) for row in shard.rows}
    expected = set()
    for row in range(len(index)):
        small = index.window(row)[2:] != (16, 16)
        if index.image_id(row) in ("ö 0", "ö 1"):
            expected |= {(row, "identity", small), (row, "hflip", small)}
        else:
            expected.add((row, "identity", False))
    assert found == expected
    assert sum(len(shard.rows) for shard in plan_shards(prepared, recipe)) == len(expected)


def test_patches_that_are_never_read_have_no_features(prepared, recipe):
    """Training leaves out what is mostly ignored, evaluation what has no labelled pixel."""
    frame = prepared.index.frame.copy()
    frame.loc[0, "ignored_share"] = 0.95
    last = len(frame) - 1
    frame.at[last, "counts"] = [0, 0, 0]
    less = replace(prepared, index=type(prepared.index)(frame))
    rows = {row for shard in plan_shards(less, recipe) for row in shard.rows}
    assert set(range(len(frame))) - rows == {0, last}


def test_views_without_identity_leave_it_to_evaluation(prepared, recipe):
    shards = plan_shards(prepared, replace(recipe, views=("rot90",)))
    identity = {row for shard in shards if shard.view == "identity" for row in shard.rows}
    assert identity == set(prepared.index.rows("val"))


def test_files_hold_equal_shapes_side_by_side_and_are_bounded(prepared, recipe, monkeypatch):
    monkeypatch.setattr("terrazzo.data.features.plan.LARGEST_SHARD", 4)
    shards = plan_shards(prepared, recipe)
    assert max(len(shard.rows) for shard in shards) == 4
    assert len({shard.name for shard in shards}) == len(shards)
    for shard in shards:
        shapes = [prepared.index.window(row)[2:] for row in shard.rows]
        assert shapes == sorted(shapes)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"network": "made up", "taps": [4, 11]}},
        {"weights": "cd"},
        {"normalisation": Normalisation(mean=(11.0,) * 3, std=(5.0, 5.0, 5.5))},
        {"dtype": "bfloat16"},
        {"views": ("identity",)},
    ],
)
def test_another_recipe_lies_elsewhere(prepared, recipe, change):
    assert feature_folder(prepared, replace(recipe, **change)) != feature_folder(prepared, recipe)


def test_other_geometry_and_other_bands_lie_elsewhere(prepared, recipe):
    here = feature_folder(prepared, recipe)
    assert feature_folder(replace(prepared, patch_size=32), recipe) != here
    collared = prepared.bands.model_copy(update={"collar": Collar(value=0.0)})
    assert feature_folder(replace(prepared, bands=collared), recipe) != here
    assert feature_folder(prepared, replace(recipe, views=("hflip", "identity"))) == here


def test_a_changed_image_is_in_other_files_and_leaves_the_rest(prepared, recipe, monkeypatch):
    monkeypatch.setattr("terrazzo.data.features.plan.LARGEST_SHARD", 3)
    before = {shard.name: shard.rows for shard in plan_shards(prepared, recipe)}
    image = prepared.folder / "ö 0.tif"
    os.utime(image, ns=(1, 1))
    after = {shard.name: shard.rows for shard in plan_shards(prepared, recipe)}
    changed = {row for name, rows in before.items() if name not in after for row in rows}
    assert {prepared.index.image_id(row) for row in changed} >= {"ö 0"}
    kept = {row for name, rows in before.items() if name in after for row in rows}
    assert kept
    assert "ö 0" not in {prepared.index.image_id(row) for row in kept}


def test_the_role_of_an_image_does_not_change_files_of_whole_patches(prepared, recipe, monkeypatch):
    """Folds take turns, and what is needed as it is stays where it is."""
    monkeypatch.setattr("terrazzo.data.features.plan.LARGEST_SHARD", 2)
    plain = replace(recipe, views=("identity",))
    frame = prepared.index.frame.assign(split="train")
    before = {shard.name: shard.rows for shard in plan_shards(prepared, plain)}
    after = {shard.name for shard in plan_shards(replace(prepared, index=type(prepared.index)(frame)), plain)}
    kept = {prepared.index.image_id(row) for name in before.keys() & after for row in before[name]}
    assert {"ö 0", "ö 2"} <= kept


def test_a_missing_image_is_told(prepared, recipe):
    (prepared.folder / "ö 1.tif").unlink()
    with pytest.raises(DataError, match=r"ö 1\.tif"):
        plan_shards(prepared, recipe)
