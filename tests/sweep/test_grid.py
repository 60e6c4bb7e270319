"""What a command line asks to vary."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.config.document import plain, read_text
from terrazzo.errors import ConfigError
from terrazzo.sweep.grid import Space, read_space, spelled


def read(*arguments: str) -> Space:
    return read_space(arguments, folds=no_folds)


def no_folds(overrides: Sequence[str]) -> Sequence[int]:
    raise AssertionError(overrides)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("seed=1,2,3", [1, 2, 3]),
        ("seed=1:3,7", [1, 2, 3, 7]),
        ("model=smp,trm", ["smp", "trm"]),
        ("model={name: smp, encoder: resnet18},trm", [{"name": "smp", "encoder": "resnet18"}, "trm"]),
        ("predict.layers=[confidence,steps],[]", [["confidence", "steps"], []]),
        ("train.ema=null,0.99", [None, 0.99]),
        ("data.source.images='a,b.tif',c", ["a,b.tif", "c"]),
        ('x="1","2"', ["1", "2"]),
        ("optimizer.lr=1e-3,1e-2:1e-1:log2", [0.001, 0.01, 0.1]),
        ("train.debug=true,false", [True, False]),
    ],
)
def test_several_values_make_an_axis(argument: str, values: list[Any]) -> None:
    (axis,) = read(argument).axes
    assert [value for (value,) in axis.choices] == values
    assert axis.keys == (argument.partition("=")[0],)


@pytest.mark.parametrize(
    "argument",
    [
        "seed=1",
        "predict.layers=[confidence,steps]",
        "model={name: smp, encoder: b}",
        "a='1,2'",
        "a=",
        "a=b=c",
        "a=12:30h",
    ],
)
def test_one_value_is_an_ordinary_override(argument: str) -> None:
    space = read(argument)
    assert space.axes == ()
    assert list(space.grid()) == [{}]
    assert space.overrides({}) == [argument]


def test_axes_make_a_grid_and_keep_the_order_of_overrides() -> None:
    space = read("seed=1,2", "train.epochs=5", "model=a,b", "model.width=3")
    assert space.size == 4
    trials = list(space.grid())
    assert trials == [
        {"seed": 1, "model": "a"},
        {"seed": 1, "model": "b"},
        {"seed": 2, "model": "a"},
        {"seed": 2, "model": "b"},
    ]
    assert space.overrides(trials[1]) == ["seed=1", "train.epochs=5", 'model="b"', "model.width=3"]


def test_keys_that_vary_together() -> None:
    space = read("model:loss=trm:steps,hardnet70:{name: ce, smoothing: 0.1}", "seed=1,2")
    assert space.size == 4
    assert list(space.grid())[2] == {"model": "hardnet70", "loss": {"name": "ce", "smoothing": 0.1}, "seed": 1}
    assert space.keys == ("model", "loss", "seed")
    single = read("model:loss=trm:steps")
    assert [single.overrides(trial) for trial in single.grid()] == [['model="trm"', 'loss="steps"']]


def test_every_fold_comes_from_the_configuration() -> None:
    asked: list[list[str]] = []

    def folds(overrides: Sequence[str]) -> Sequence[int]:
        asked.append(list(overrides))
        return [0, 1, 2]

    space = read_space(["seed=1,2", "data.fold=all", "train.epochs=5"], folds=folds)
    assert asked == [["seed=1", "train.epochs=5", "data.fold=0"]]
    assert [trial["data.fold"] for trial in space.grid()] == [0, 1, 2, 0, 1, 2]
    assert space.keys == ("seed", "data.fold")


def test_all_is_a_word_elsewhere() -> None:
    assert read("train.validate_on=all").axes == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["seed"], "no setting"),
        (["=1"], "no setting"),
        (["seed=1,,2"], "empty value"),
        (["seed=1,2,"], "empty value"),
        (["seed=1,2", "seed=3"], "seed stands twice"),
        (["seed=1,2,1"], "1 stands twice"),
        (["model:loss=a:b,c"], "has 1 part for 2 keys"),
        (["model:loss=a:b:c,d:e"], "has 3 parts for 2 keys"),
        (["a:b=1e-4:1e-2:log"], "not a range"),
        (["a=[1,2"], "no valid YAML"),
        (["a=!!python/object:x y,2"], "tag"),
        (["a=5:1"], "leads nowhere"),
        (["a=0:1:log"], "no logarithm"),
    ],
)
def test_mistakes(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(*arguments)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read("seed", "a=5:1", "b=1,,2")
    assert all(said in str(caught.value) for said in ("no setting", "leads nowhere", "empty value"))


def test_a_range_without_a_number_of_values_has_no_grid_but_corners() -> None:
    space = read("optimizer.lr=1e-4:1e-2:log", "model=a,b,c", "width=16:64:lin")
    with pytest.raises(ConfigError, match="--search random or optuna"):
        list(space.grid())
    assert list(space.corners()) == [
        {"optimizer.lr": 1e-4, "model": "a", "width": 16},
        {"optimizer.lr": 1e-2, "model": "b", "width": 64},
        {"optimizer.lr": 1e-2, "model": "c", "width": 64},
    ]


def test_a_huge_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than 10,000"):
        list(read("a=1:200", "b=1:200").grid())


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=6,
)


@given(value=PLAIN)
def test_a_spelled_value_reads_as_itself(value: object) -> None:
    issues: list[Any] = []
    node = read_text(spelled(value), "test", issues, one_line=True)
    assert not issues
    assert node is not None
    found = plain(node)
    assert found == value
    assert type(found) is type(value)
