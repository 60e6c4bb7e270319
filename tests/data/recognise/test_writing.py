"""The configuration as text."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.proposals import propose
from terrazzo.data.recognise.survey import Survey
from terrazzo.data.recognise.writing import Draft, render, sentences
from terrazzo.data.sources.source import Pair
from terrazzo.geo.bands import Band, Bands

FOLDER = Path("/Daten ä/x")


@pytest.fixture
def draft():
    entry = ImageEntry("a", Path("a"), None, (), None, None, 300, 400)
    pairs = tuple(Pair(f"{number}", Path("a")) for number in range(8))
    bands = Bands(items=(Band(name="red"), Band(name="y")))
    survey = Survey(pairs, (entry,), bands, {"wet land": 0.25, "no": 0.75}, 0.1, every_pixel=True)
    layout = Layout("a layout", {"name": "folder", "folder": FOLDER, "images": "*.png", "labels": "*.tif"})
    classes = {"items": [{"name": "wet land", "values": [1]}, {"name": "no", "values": [2]}], "ignore_values": [0]}
    return Draft("run", FOLDER, layout, classes, ("names are guessed",), survey, propose(survey, above=True))


def text(draft):
    return render(draft, file="terrazzo.yaml", escape=lambda given: given.replace("${", "\\${"))


def test_it_reads_back(draft):
    found = yaml.safe_load(text(draft))
    assert found["paths"]["data"] == str(FOLDER)
    assert found["data"]["source"] == {
        "name": "folder",
        "folder": "${paths.data}",
        "images": "*.png",
        "labels": "*.tif",
    }
    assert found["data"]["classes"] == draft.classes
    assert found["data"]["patch"] == {"size": draft.proposal.patch.value, "overlap": draft.proposal.overlap.value}
    assert found["data"]["split"] == draft.proposal.split.value
    assert found["train"]["epochs"] == draft.proposal.epochs.value
    assert found["loss"] == draft.proposal.loss.value


def test_shares_and_reasons_stand_beside_what_they_explain(draft):
    lines = text(draft).splitlines()
    assert "      - {name: wet land, values: [1]}   # 25.00% of the labelled pixels" in lines
    assert "  # Names are guessed." in lines
    assert any(line.startswith("#") and "terrazzo run terrazzo.yaml" in line for line in lines)
    assert all(len(line) <= 120 for line in lines if line.lstrip().startswith("#"))


@pytest.mark.parametrize(
    "word", ["no", "true", "1", "null", "a: b", "a # b", "- a", "${x}", 'q"\\', "日本", "*.png", ""]
)
def test_words_that_yaml_would_misread(draft, word):
    changed = replace(draft, classes={"items": [{"name": word}, {"name": "other"}]})
    found = yaml.safe_load(text(changed))["data"]["classes"]["items"][0]["name"]
    assert found == word.replace("${", "\\${")


def test_paths_below_the_folder_are_written_by_reference(draft):
    settings = {"name": "geotiff", "folder": FOLDER, "label_rasters": [FOLDER / "a ${b}.tif", Path("/other/c.tif")]}
    changed = replace(draft, layout=Layout("x", settings))
    found = yaml.safe_load(text(changed))["data"]["source"]["label_rasters"]
    assert found == ["${paths.data}/a \\${b}.tif", "/other/c.tif"]


def test_classes_of_the_source_are_named_in_a_comment(draft):
    written = text(replace(draft, classes=None))
    assert "classes" not in yaml.safe_load(written)["data"]
    assert "wet land 25.0%" in written


def test_line_ends_in_names_cannot_leave_a_comment(draft):
    changed = replace(draft, layout=replace(draft.layout, title="a\nevil: true\u2028more: true"))
    assert "evil" not in yaml.safe_load(text(changed))


def test_what_was_read_is_said(draft):
    assert "8 images with label; a sample of 1 was read." in sentences(draft)
    partly = replace(draft, survey=replace(draft.survey, every_pixel=False))
    assert "8 images with label; a sample of 1 was read, large ones in part." in sentences(partly)
    assert "10.0% of the pixels that were read have no class and are ignored." in sentences(draft)
