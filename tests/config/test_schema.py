"""The JSON Schema names every key, every member and every sentence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import terrazzo.config
from terrazzo.config import RunConfig, config_schema, list_recipes
from terrazzo.config.document import plain, read_text
from terrazzo.record import Table


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return config_schema()


def mappings(value: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside a schema."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner)


def members(schema: dict[str, Any], field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the member schemas that a component's field offers."""
    found = []
    for item in mappings(field):
        reference = item.get("$ref", "").removeprefix("#/$defs/")
        if reference:
            found.append(schema["$defs"][reference])
        elif "properties" in item:
            found.append(item)
    return found


def test_it_is_json(schema: dict[str, Any]):
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    assert schema["$schema"].endswith("2020-12/schema")


def test_every_reference_leads_somewhere(schema: dict[str, Any]):
    references = [item["$ref"] for item in mappings(schema) if isinstance(item.get("$ref"), str)]
    assert references
    assert {name.removeprefix("#/$defs/") for name in references} <= set(schema["$defs"])


def test_the_root_has_every_section_and_include(schema: dict[str, Any]):
    assert set(schema["properties"]) == {"include", *RunConfig.model_fields}
    assert schema["required"] == ["data", "model"]
    assert schema["additionalProperties"] is False


def test_every_section_has_its_sentence(schema: dict[str, Any]):
    for name, field in RunConfig.model_fields.items():
        assert schema["properties"][name]["description"] == field.description.replace("\n", " ") or (
            schema["properties"][name]["description"].split() == field.description.split()
        )


@pytest.mark.parametrize(
    ("section", "family"),
    [("model", "models"), ("loss", "losses"), ("optimizer", "optimizers"), ("schedule", "schedules")],
)
def test_a_component_offers_every_member_with_its_fields(schema: dict[str, Any], section: str, family: str):
    field = schema["properties"][section]
    table = Table.of(family)
    assert any(item.get("enum") == table.names() for item in mappings(field))
    offered = {
        found["properties"]["name"]["const"]: found for found in members(schema, field) if "name" in found["properties"]
    }
    assert set(offered) >= set(table.names())
    for name in table.names():
        assert set(offered[name]["properties"]) == set(table.find(name).model_fields)


def test_fields_of_members_have_their_sentences(schema: dict[str, Any]):
    offered = {
        found["properties"]["name"]["const"]: found for found in members(schema, schema["properties"]["optimizer"])
    }
    assert offered["sgd"]["properties"]["nesterov"]["description"] == "Look ahead along the momentum."


def test_sources_and_augmentations_are_offered_too(schema: dict[str, Any]):
    constants = {item["const"] for item in mappings(schema) if "const" in item}
    assert {*Table.of("sources").names(), *Table.of("augmentations").names()} <= constants


def test_a_default_component_may_be_completed_without_its_name(schema: dict[str, Any]):
    bare = [choice for choice in mappings(schema["properties"]["loss"]) if "$ref" in choice]
    required = [choice for choice in mappings(schema["properties"]["loss"]) if choice.get("required") == ["name"]]
    assert len(bare) == len(required) + 1


def test_a_reference_may_stand_for_any_value(schema: dict[str, Any]):
    seed = schema["properties"]["seed"]
    assert {"type": "string", "pattern": r"\$\{.+\}"} in seed["anyOf"]
    assert seed["default"] == 0
    assert schema["$defs"]["TrainSettings"]["properties"]["epochs"]["anyOf"][0]["type"] == "integer"


def test_a_name_is_a_constant_and_takes_no_reference(schema: dict[str, Any]):
    names = [item["properties"]["name"] for item in schema["$defs"].values() if "name" in item.get("properties", {})]
    constants = [name for name in names if "const" in name]
    assert constants
    assert all("anyOf" not in name for name in constants)


def mistakes(schema: dict[str, Any], text: str) -> list[str]:
    """Return what an editor would mark in a file."""
    tree = read_text(text, "page.yaml", [])
    assert tree is not None
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(plain(tree))]


def test_it_is_a_schema(schema: dict[str, Any]):
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", list_recipes())
def test_an_editor_marks_nothing_in_a_recipe(name: str, schema: dict[str, Any]):
    recipe = Path(terrazzo.config.__file__).parents[1] / "recipes" / f"{name}.yaml"
    assert mistakes(schema, recipe.read_text(encoding="utf-8")) == []


WHOLE = "data: {source: {name: folder, folder: data}, classes: [sea, land], %s}\nmodel: smp\n%s"


@pytest.mark.parametrize(
    ("of_data", "rest"),
    [
        ("validation_list: sets.txt", ""),
        ("validation_list: {file: sets.txt, every: 2}", ""),
        ("split: {polygons: areas.gpkg}", ""),
        ("fold: 0", "augment: light"),
        ("fold: 0", "augment: [hflip, {name: blur}]"),
        ("fold: 0", "augment: {set: none, transforms: [hflip]}"),
        ("fold: 0", "train: {monitor: val_loss, ema: 0.99}"),
        ("fold: 0", "train: {monitor: {figure: val_loss, patience: 3}, ema: {decay: 0.9}}"),
        ("fold: 0", "train: {ema: null}"),
        ("fold: 0", "calibrate: {abstain: 0.05}"),
        ("fold: 0", "track: mlflow"),
        ("fold: 0", "track: {name: csv}"),
        ("fold: 0", "track: [csv, {name: jsonl}]"),
        ("fold: 0", "track: []"),
    ],
)
def test_short_forms_are_no_mistakes(of_data: str, rest: str, schema: dict[str, Any]):
    assert mistakes(schema, WHOLE % (of_data, rest)) == []


@pytest.mark.parametrize(
    "rest",
    [
        "augment: strong",
        "augment: 3",
        "train: {monitor: 3}",
        "train: {ema: much}",
        "train: {ema: 1.5}",
        "calibrate: {abstain: little}",
        "track: paper",
        "track: {name: csv, url: a}",
    ],
)
def test_what_is_wrong_stays_wrong(rest: str, schema: dict[str, Any]):
    assert mistakes(schema, WHOLE % ("fold: 0", rest))


def test_classes_that_the_source_knows_may_be_completed(schema: dict[str, Any]):
    text = "data: {source: {name: camvid, folder: camvid}, classes: {unlisted: ignore}}\nmodel: smp"
    assert mistakes(schema, text) == []
