"""Every shipped recipe is right, explained, and means what it says."""

from collections import Counter
from pathlib import Path

import pytest

from terrazzo.config import RunConfig, list_recipes, load_config
from terrazzo.config.files import recipe_file
from terrazzo.data.colours import hexadecimal
from terrazzo.data.splitting.splits import assign_splits
from terrazzo.data.synthetic import landscape


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    names = ("CAMVID_ROOT", "CITYSCAPES_ROOT", "DEEPGLOBE_ROOT", "DINOV3_WEIGHTS", "DUBAI_ROOT", "HARDNET_WEIGHTS")
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_is_valid_without_any_setting(name: str):
    config = load_config(name)
    assert isinstance(config, RunConfig)
    assert config.folder.name == name


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_keep_their_prepared_data_apart(name: str):
    others = {load_config(other).prepare.folder for other in list_recipes() if other != name}
    assert load_config(name).prepare.folder not in others


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_fetches_nothing(name: str):
    model = load_config(name).model
    assert model == model.without_pretraining()


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_explains_itself(name: str):
    text = recipe_file(name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "# Start with:" in text
    commented = [line for line in text.splitlines() if "#" in line]
    assert len(commented) >= len(text.splitlines()) // 4


@pytest.mark.parametrize("name", list_recipes())
def test_the_images_follow_the_shared_path(name: str, tmp_path: Path):
    config = load_config(name, f"paths.data={tmp_path}")
    assert config.data.source.model_dump()["folder"] == tmp_path


def test_camvid_has_the_standard_classes():
    classes = load_config("camvid").data.classes
    names = "sky building pole road pavement tree sign fence car pedestrian bicyclist"
    assert " ".join(classes.names) == names
    assert classes.ignore_values == (11,)
    assert hexadecimal(classes.items[3].colour) == "#804080"


def test_camvid_is_found_where_the_variable_says(real_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAMVID_ROOT", str(real_data / "camvid"))
    config = load_config("camvid")
    pairs, notes = assign_splits(config.data.source.pairs().pairs, config.data.split)
    assert Counter(pair.split for pair in pairs) == {"train": 367, "val": 101}
    assert notes == []
    assert str(real_data) not in config.dump()


def test_dubai_is_split_by_tile(real_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DUBAI_ROOT", str(real_data / "dubai"))
    config = load_config("dubai")
    pairs, _ = assign_splits(config.data.source.pairs().pairs, config.data.split)
    assert Counter((pair.split, pair.region) for pair in pairs) == {
        ("train", "1"): 9,
        ("train", "2"): 9,
        ("train", "3"): 9,
        ("val", "4"): 9,
        ("test", "7"): 9,
    }


def test_dubai_takes_the_colours_of_the_masks():
    classes = load_config("dubai").data.classes
    assert [hexadecimal(item.colour) for item in classes.items] == [
        "#3C1098",
        "#8429F6",
        "#6EC1E4",
        "#FEDD3A",
        "#E2A929",
    ]
    assert [hexadecimal(colour) for colour in classes.ignore_colours] == ["#9B9B9B", "#000000"]


def test_the_demo_asks_for_the_landscapes_bands_and_ignored_value():
    data = load_config("demo").data
    assert data.bands == landscape.BAND_NAMES
    assert data.classes.ignore_values == (landscape.IGNORE,)
    assert len(data.classes) == 6


def test_deepglobe_has_the_six_judged_classes(tmp_path: Path):
    data = load_config("deepglobe-trm").data
    assert " ".join(data.classes.names) == "urban agriculture rangeland forest water barren"
    assert (data.patch.size, data.patch.step) == (256, 256)


@pytest.mark.parametrize(
    ("name", "variable", "value", "field"),
    [
        ("dinov3-geotiff", "DINOV3_WEIGHTS", "someone/dinov3@main", ("backbone", "weights")),
        ("cityscapes-hardnet", "HARDNET_WEIGHTS", "hardnet_petite_base.safetensors", ("pretrain",)),
    ],
)
def test_weights_are_what_the_variable_names(
    name: str,
    variable: str,
    value: str,
    field: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    given = str(tmp_path / value) if name.startswith("city") else value
    (tmp_path / "hardnet_petite_base.safetensors").touch()
    monkeypatch.setenv(variable, given)
    found = load_config(name).model.model_dump(mode="json")
    for key in field:
        found = found[key]
    assert found == given
