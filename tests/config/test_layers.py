"""Layers merge key by key; components are replaced by another name and completed by keys."""

import pytest

from terrazzo.config.document import Node, node_at, plain, read_text
from terrazzo.config.issue import Issue, Place
from terrazzo.config.layers import Shorthands, merge, override

SHORT = Shorthands(
    words={("model",): "name", ("augment",): "set", ("augment", "transforms", "*"): "name"},
    lists={("data", "classes"): ("items", {}), ("augment",): ("transforms", {"set": "none"})},
)


def tree(text: str, source: str = "a.yaml") -> Node:
    issues: list[Issue] = []
    found = read_text(text, source, issues)
    assert found is not None
    assert not issues
    return found


def merged(base: str, over: str) -> object:
    return plain(merge(tree(base), tree(over, "b.yaml"), shorthands=SHORT))


def overridden(base: str, *texts: str) -> object:
    issues: list[Issue] = []
    found = tree(base)
    for text in texts:
        found = override(found, text, shorthands=SHORT, issues=issues)
    assert [str(issue) for issue in issues] == []
    return plain(found)


def refused(base: str, text: str) -> str:
    issues: list[Issue] = []
    found = override(tree(base), text, shorthands=SHORT, issues=issues)
    assert plain(found) == plain(tree(base))
    (issue,) = issues
    return str(issue)


def test_mappings_merge_deeply_and_the_later_layer_wins():
    assert merged("a: {x: 1, y: {z: 2}}", "a: {y: {w: 3}, x: 4}") == {"a": {"x": 4, "y": {"z": 2, "w": 3}}}


def test_lists_are_replaced():
    assert merged("a: [1, 2, 3]", "a: [4]") == {"a": [4]}


def test_null_replaces():
    assert merged("a: {x: 1}", "a:") == {"a": None}


def test_each_value_keeps_its_own_place():
    both = merge(tree("a: {x: 1}"), tree("\na:\n  y: 2", "b.yaml"), shorthands=SHORT)
    assert node_at(both, ("a", "x")).place == Place("a.yaml", 1)
    assert node_at(both, ("a", "y")).place == Place("b.yaml", 3)


def test_another_name_replaces_the_component():
    assert merged("model: {name: smp, encoder: x}", "model: {name: other}") == {"model": {"name": "other"}}


def test_the_same_name_and_no_name_complete_the_component():
    assert merged("model: {name: smp, a: 1}", "model: {name: smp, b: 2}") == {"model": {"name": "smp", "a": 1, "b": 2}}
    assert merged("model: {name: smp, a: 1}", "model: {b: 2}") == {"model": {"name": "smp", "a": 1, "b": 2}}


def test_a_bare_name_replaces_even_its_own_settings():
    assert merged("model: {name: smp, encoder: x}", "model: smp") == {"model": "smp"}


def test_keys_are_laid_over_a_bare_name():
    assert merged("model: smp", "model: {encoder: x}") == {"model": {"name": "smp", "encoder": "x"}}


def test_a_bare_word_stands_for_the_key_that_its_section_says():
    assert merged("augment: light", "augment: {transforms: []}") == {"augment": {"set": "light", "transforms": []}}


def test_keys_are_laid_over_a_list_that_stands_for_a_mapping():
    found = merged("data: {classes: [a, b]}", "data: {classes: {unlisted: ignore}}")
    assert found == {"data": {"classes": {"items": ["a", "b"], "unlisted": "ignore"}}}


def test_name_means_nothing_special_elsewhere():
    assert merged("name: a\nx: 1", "name: b") == {"name": "b", "x": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", 3),
        ("a.b=1e-3", 1e-3),
        ("a.b=true", True),
        ("a.b=[1, x]", [1, "x"]),
        ("a.b={x: 1}", {"x": 1}),
        ("a.b='3'", "3"),
        ("a.b=", None),
        ("a.b=x=y", "x=y"),
        ("a.b=/ein Ordner/ä", "/ein Ordner/ä"),
        ("a.b=${paths.x}", "${paths.x}"),
    ],
)
def test_an_overrides_value_is_yaml(text: str, value: object):
    assert overridden("{}", text) == {"a": {"b": value}}


def test_overrides_apply_in_order():
    assert overridden("a: 1", "a=2", "a=3") == {"a": 3}


def test_an_override_reaches_into_lists():
    assert overridden("a: [{x: 1}, {x: 2}]", "a.1.x=9", "a.0=z") == {"a": ["z", {"x": 9}]}


def test_an_override_fills_an_empty_section():
    assert overridden("a:", "a.b=1") == {"a": {"b": 1}}


def test_a_mapping_as_override_merges_like_a_file():
    assert overridden("a: {x: 1}", "a={y: 2}") == {"a": {"x": 1, "y": 2}}


def test_a_bare_name_then_keys():
    found = overridden("model: {name: old, depth: 3}", "model=smp", "model.encoder=resnet34")
    assert found == {"model": {"name": "smp", "encoder": "resnet34"}}


def test_another_name_by_its_key_replaces_too():
    assert overridden("model: {name: old, depth: 3}", "model.name=smp") == {"model": {"name": "smp"}}
    assert overridden("model: {name: old, depth: 3}", "model.name=old") == {"model": {"name": "old", "depth": 3}}


def test_an_override_completes_short_forms():
    assert overridden("model: smp", "model.a=1") == {"model": {"name": "smp", "a": 1}}
    assert overridden("augment: light", "augment.set=hard") == {"augment": {"set": "hard"}}
    found = overridden("data: {classes: [a, b]}", "data.classes.match=binarise")
    assert found == {"data": {"classes": {"items": ["a", "b"], "match": "binarise"}}}


def test_an_override_completes_a_bare_name_in_a_list():
    found = overridden("augment: [blur, noise]", "augment.transforms.1.probability=1")
    noise = {"name": "noise", "probability": 1}
    assert found == {"augment": {"set": "none", "transforms": ["blur", noise]}}


def test_a_position_in_a_short_form_is_a_position():
    assert overridden("data: {classes: [a, b]}", "data.classes.1=c") == {"data": {"classes": ["a", "c"]}}


def test_the_place_of_an_override_is_the_override():
    found = override(tree("a: {b: 1}"), "a.b=2", shorthands=SHORT, issues=[])
    assert str(node_at(found, ("a", "b")).place) == 'override "a.b=2"'
    assert node_at(found, ("a",)).place == Place("a.yaml", 1)


@pytest.mark.parametrize("text", ["epochs", "=3", "a..b=3", ".a=1", ""])
def test_what_is_no_override_is_refused(text: str):
    assert refused("a: 1", text) == f'override "{text}": expected key=value, such as train.epochs=80 or model=smp.'


def test_a_key_below_a_value_is_refused():
    assert refused("a: {b: 3}", "a.b.c=1") == (
        'override "a.b.c=1"  a.b.c: "a.b" is 3 (a.yaml:1), which has no keys; give it as a mapping.'
    )


@pytest.mark.parametrize("part", ["2", "-1", "x"])
def test_a_position_outside_a_list_is_refused(part: str):
    found = refused("a: [1, 2]", f"a.{part}.b=1")
    assert f'"a" is a list of 2 (a.yaml:1); "{part}" is no position in it (from 0).' in found


def test_a_value_that_is_no_yaml_is_refused():
    assert "is no valid YAML" in refused("a: 1", "a=[1,")
