"""References become values, and what came from the environment is known by its reference."""

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from terrazzo.config.document import Node, node_at, plain, read_text
from terrazzo.config.issue import Issue
from terrazzo.config.references import Resolved, escape, resolve, stamp_time


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ_ROOT", "/geheim/ä")
    monkeypatch.delenv("TZ_NONE", raising=False)


def tree(text: str) -> Node:
    found = read_text(text, "a.yaml", [])
    assert found is not None
    return found


def resolved(text: str, **defaults: object) -> Resolved:
    issues: list[Issue] = []
    found = resolve(tree(text), defaults, issues)
    assert [str(issue) for issue in issues] == []
    return found


def mistakes(text: str) -> list[str]:
    issues: list[Issue] = []
    resolve(tree(text), {}, issues)
    return [str(issue) for issue in issues]


def test_a_reference_keeps_the_type_of_its_value():
    found = resolved("a: 3\nb: ${a}\nc: ${d}\nd: [1, {x: true}]\ne: x-${a}")
    assert found.values == {"a": 3, "b": 3, "c": [1, {"x": True}], "d": [1, {"x": True}], "e": "x-3"}
    assert found.references == {}


def test_references_reach_through_references_and_lists():
    assert resolved("a: ['${b}/y', z]\nb: ${c}/x\nc: w").values["a"] == ["w/x/y", "z"]


def test_a_leading_dot_counts_from_where_it_stands():
    assert resolved("p: {a: 1, b: '${.a}', c: {d: '${..a}'}}").values["p"] == {"a": 1, "b": 1, "c": {"d": 1}}


def test_defaults_can_be_named_though_no_file_says_them():
    found = resolved("a: ${train.epochs}\ntrain: {x: 1}", train={"epochs": 50}, other=3)
    assert found.values == {"a": 50, "train": {"x": 1}}


def test_an_escaped_reference_is_text():
    assert resolved(r"a: \${b}").values == {"a": "${b}"}


def test_the_environment_is_known_directly_and_through_others():
    found = resolved(
        "p: {root: '${oc.env:TZ_ROOT}', sub: '${p.root}/x', rel: '${.sub}/y', own: z}\nq: ${p.sub}/${p.own}/${n}\nn: 4"
    )
    assert found.values["q"] == "/geheim/ä/x/z/4"
    assert found.references == {
        ("p", "root"): "${oc.env:TZ_ROOT}",
        ("p", "sub"): "${oc.env:TZ_ROOT}/x",
        ("p", "rel"): "${oc.env:TZ_ROOT}/x/y",
        ("q",): "${oc.env:TZ_ROOT}/x/z/4",
    }


def test_a_section_that_holds_the_environment_is_known_too():
    found = resolved("p: {root: '${oc.env:TZ_ROOT}', n: 1}\nq: ${p}")
    assert found.values["q"] == {"root": "/geheim/ä", "n": 1}
    assert found.references[("q",)] == "${p}"


def test_a_section_without_the_environment_is_plain():
    assert resolved("p: {n: 1}\nq: ${p}").references == {}


def test_a_default_of_the_environment_is_a_reference_too():
    found = resolved("a: ${oc.env:TZ_NONE,sonst wo}")
    assert found.values == {"a": "sonst wo"}
    assert found.references == {("a",): "${oc.env:TZ_NONE,sonst wo}"}


def test_nested_references_stay_as_they_are():
    found = resolved("a: ${oc.env:TZ_NONE,${b}}/x\nb: c")
    assert found.values["a"] == "c/x"
    assert found.references == {("a",): "${oc.env:TZ_NONE,${b}}/x"}


def test_a_value_with_signs_is_not_written_into_a_reference():
    found = resolved("a: ${oc.env:TZ_ROOT}${b}\nb: 'x\\y'")
    assert found.values["a"] == "/geheim/äx\\y"
    assert found.references == {("a",): "${oc.env:TZ_ROOT}${b}"}


def test_a_missing_variable_has_its_place_once():
    expected = "the environment variable TZ_NONE is not set; set it, or write ${oc.env:TZ_NONE,default}."
    assert mistakes("a:\n  b: ${oc.env:TZ_NONE}\nc: ${a.b}/x\nd: ${a}") == [f"a.yaml:2  a.b: {expected}"]


def test_a_missing_key_gets_the_nearest():
    (found,) = mistakes("paths: {data: x}\n\nb: ${paths.dta}/y")
    assert found == 'a.yaml:3  b: "${paths.dta}/y" names paths.dta, which is not there. Did you mean "paths.data"?'


def test_a_circle_is_a_mistake():
    assert mistakes("a: ${b}\nb: ${a}") == [
        'a.yaml:1  a: "${b}" refers to itself, directly or through others.',
        'a.yaml:2  b: "${a}" refers to itself, directly or through others.',
    ]


def test_an_unknown_resolver_is_a_mistake():
    (found,) = mistakes("a: ${system:ls}")
    assert found.startswith('a.yaml:1  a: "${system:ls}" cannot be resolved: unsupported interpolation type system')


def test_bad_grammar_is_a_mistake_and_others_are_resolved_on():
    issues: list[Issue] = []
    found = resolve(tree("a: ${b\nc: 1\nd: ${c}"), {}, issues)
    assert [str(issue) for issue in issues] == ['a.yaml:1  a: "${b" is no reference; write ${a.b} or ${oc.env:NAME}.']
    assert found.values == {"a": None, "c": 1, "d": 1}
    assert found.failed == {("a",)}


def test_what_depends_on_a_failure_has_no_value_and_no_mistake_of_its_own():
    issues: list[Issue] = []
    found = resolve(tree("a: ${b\nc: ${a}\nd: x-${c}"), {}, issues)
    assert len(issues) == 1
    assert found.values == {"a": None, "c": None, "d": None}
    assert found.failed == {("a",), ("c",), ("d",)}


def test_a_value_still_to_be_given_is_a_mistake_once():
    assert mistakes("p:\n  data: ???\na: ${p.data}\nb: ${a}/x") == [
        "a.yaml:2  p.data: needs a value: write it in the file, or give p.data=VALUE."
    ]


def test_time_stamps_are_one_moment_everywhere():
    moment = datetime(2026, 11, 21, 4, 5, 6)
    stamped = stamp_time(tree("name: run-${now:%Y%m%d}\na: ['${now:%H:%M:%S}', 3]\nb: \\${now:%Y}"), moment)
    assert plain(stamped) == {"name": "run-20261121", "a": ["04:05:06", 3], "b": "\\${now:%Y}"}
    assert node_at(stamped, ("name",)).place.line == 1


def test_a_time_stamp_beside_the_environment_stays_stamped():
    stamped = stamp_time(tree("name: ${oc.env:TZ_ROOT}-${now:%Y}"), datetime(2026, 1, 1))
    assert resolve(stamped, {}, []).references == {("name",): "${oc.env:TZ_ROOT}-2026"}


@given(st.text(alphabet="ab\\${}:. ä", max_size=12))
@example("\\${a}")
@example("\\\\${")
def test_escaped_text_resolves_to_itself(text: str):
    assert OmegaConf.create({"x": escape(text), "a": 1})["x"] == text
