"""Every mistake in values is said at once, in words, at its place."""

from pathlib import Path

import pytest

from terrazzo.config.document import Node, read_text
from terrazzo.config.issue import Issue
from terrazzo.config.references import Resolved, resolve
from terrazzo.config.validation import validate


def check(text: str) -> list[str]:
    """Return the mistakes in YAML text, sorted by path."""
    issues: list[Issue] = []
    tree = read_text(text, "a.yaml", issues)
    assert tree is not None
    validate(tree, resolve(tree, {}, issues), issues)
    return [str(issue).removeprefix("a.yaml") for issue in issues]


BASE = "data: {source: {name: folder, folder: x}, classes: [a, b]}\nmodel: smp\n"


def test_right_values_become_a_configuration():
    tree = read_text(BASE + "train: {epochs: 3}", "a.yaml", [])
    assert tree is not None
    found = validate(tree, resolve(tree, {}, []), [])
    assert found is not None
    assert found.train.epochs == 3
    assert found.data.source.folder == Path("x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: x", 'seed: expected a whole number, got "x".'),
        ("seed: 1.5", "seed: expected a whole number, got 1.5."),
        ("seed: -1", "seed: expected at least 0, got -1."),
        ("name: 2024", "name: expected text, got 2024. Put it in quotes."),
        ("train: 3", "train: expected a mapping, got 3."),
        ("train:", "train: expected a mapping, got null."),
        ("train: {epochs: 0}", "train.epochs: expected at least 1, got 0."),
        ("train: {epochs: [1]}", "train.epochs: expected a whole number, got a list of 1."),
        ("train: {epoch: 1}", 'train.epoch: unknown key. Did you mean "epochs"?'),
        ("train: {debug: maybe}", 'train.debug: expected true or false, got "maybe".'),
        ("train: {sampling: odd}", "train.sampling: expected 'uniform' or 'balanced', got \"odd\"."),
        ("logging: {zzz: 1}", "logging.zzz: unknown key. Known here: level, timestamps, format, file."),
        ("optimizer: {name: sgd, momentun: 0.9}", 'optimizer.momentun: unknown key. Did you mean "momentum"?'),
        ("optimizer: {name: sgd, momentum: 1}", "optimizer.momentum: expected less than 1, got 1."),
        (
            "optimizer: 3",
            "optimizer: expected a name or a mapping with `name`; names are adam, adamw, muon, sgd.",
        ),
        ("evaluate: {splits: val}", 'evaluate.splits: expected a list, got "val".'),
        ("augment: mild", "augment: expected 'none', 'safe', 'light', 'medium', 'hard' or 'dihedral', got \"mild\"."),
        ("machine: {devices: x}", "machine.devices: expected a whole number or 'auto', got \"x\"."),
        ("predict: {overlap: 0.1, stride: 3}", "predict: give `overlap` or `stride`, not both."),
        ("machine: {cudnn_benchmark: true}", "machine.cudnn_benchmark: true needs machine.deterministic: false."),
    ],
)
def test_a_mistake_is_said_in_words_with_its_line(line: str, message: str):
    (found,) = check(BASE + line)
    # A short form has no key of its own: what is wrong in it stands at the section.
    assert found == f":3  {message}"


def test_unknown_components_get_the_nearest_at_their_name():
    (found,) = check(BASE + "loss:\n  name: dise\n  smooth: 1\n")
    assert found.startswith(':4  loss.name: No losses entry is called "dise". Did you mean "dice"?')


def test_components_in_lists_are_checked_at_their_place():
    found = check(BASE + "loss:\n  name: sum\n  terms:\n    - {loss: ce}\n    - loss: {name: dice, smoth: 1}\n")
    assert found == [':7  loss.terms.1.loss.smoth: unknown key. Did you mean "smooth"?']


def test_members_of_a_union_do_not_complain_twice():
    found = check(BASE.replace("classes:", "bands: [red, {nam: nir}, 4], classes:"))
    assert found == [
        ":1  data.bands.1.name: is missing; it must be given.",
        ':1  data.bands.1.nam: unknown key. Did you mean "name"?',
        ":1  data.bands.2: expected text or a mapping, got 4. Put it in quotes.",
    ]


def test_missing_sections_stand_at_the_file():
    assert check("seed: 1") == [
        ": data: is missing; it must be given.".replace(": data", "  data"),
        "  model: is missing; it must be given.",
    ]


def test_mistakes_between_sections_come_with_all_others():
    found = check(BASE + "seed: x\nmachine: {cudnn_benchmark: true}\n")
    assert found == [
        ':3  seed: expected a whole number, got "x".',
        ":4  machine.cudnn_benchmark: true needs machine.deterministic: false.",
    ]


def test_a_section_that_is_wrong_itself_is_not_compared():
    found = check(BASE + "machine: {cudnn_benchmark: true, threads: 0}\n")
    assert found == [":3  machine.threads: expected at least 1 or 'auto', got 0."]


def test_what_could_not_be_resolved_is_said_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TZ_NONE", raising=False)
    found = check(BASE + "seed: ${oc.env:TZ_NONE}\n")
    assert len(found) == 1
    assert "TZ_NONE is not set" in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "seed: ${oc.env:TZ_SECRET}",
        "train: {sampling: '${oc.env:TZ_SECRET}'}",
        "optimizer: ${oc.env:TZ_SECRET}",
        "train: {monitor: {figure: 'val_iou_${oc.env:TZ_SECRET}'}}",
        "loss: {name: ce, class_weights: ['${oc.env:TZ_SECRET}']}",
        "predict: '${oc.env:TZ_SECRET}'",
    ],
)
def test_a_message_never_holds_what_came_from_the_environment(line: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ_SECRET", "hunter2!")
    found = check(BASE + line)
    assert found
    assert "hunter2!" not in "".join(found)
    assert "${oc.env:TZ_SECRET}" in "".join(found)


def test_nothing_is_returned_for_wrong_values():
    issues: list[Issue] = []
    tree = Node({}, read_text("a: 1", "a.yaml", []).place)
    assert validate(tree, Resolved({}), issues) is None
    assert {issue.kind for issue in issues} == {"absent"}


def test_long_values_are_cut():
    (found,) = check(BASE + f"seed: {'x' * 500}")
    assert len(found) < 120
    assert found.endswith("....")
