"""What settings may change of the rule by which a network stops."""

import pytest

from terrazzo.errors import ConfigError
from terrazzo.models.halting import HaltingRule
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.steps import stepping_rule


def rule(make_bundle, asked, **settings):
    bundle = make_bundle("trm", settings={"width": 4, "t_min": 2, "t_max": 5, "tau": 0.6, **settings})
    return stepping_rule(bundle, PredictSettings(**asked))


def test_the_bundles_own_rule_holds_where_nothing_is_asked(make_bundle):
    assert rule(make_bundle, {}) == HaltingRule(0.6, 2, 5)
    assert rule(make_bundle, {}, act=False) == HaltingRule(0.6, 5, 5)
    assert stepping_rule(make_bundle("probe_constant"), PredictSettings()) is None


def test_threshold_and_steps_are_taken(make_bundle):
    assert rule(make_bundle, {"tau": 0.0, "steps": 2}) == HaltingRule(0.0, 2, 2)
    assert rule(make_bundle, {"tau": 0.9, "steps": 5}) == HaltingRule(0.9, 2, 5)


def test_a_network_that_runs_all_steps_may_run_fewer(make_bundle):
    assert rule(make_bundle, {"steps": 1}, act=False) == HaltingRule(0.6, 1, 1)


@pytest.mark.parametrize("steps", [1, 6])
def test_steps_that_no_run_has_are_refused(make_bundle, steps):
    with pytest.raises(ConfigError, match=rf"predict.steps is {steps}, but this trm runs 2 to 5 steps"):
        rule(make_bundle, {"steps": steps})


def test_a_threshold_that_stops_nothing_is_refused(make_bundle):
    with pytest.raises(ConfigError, match="always runs 5 steps"):
        rule(make_bundle, {"tau": 0.5}, act=False)


@pytest.mark.parametrize(
    ("asked", "name"), [({"tau": 0.5}, "tau"), ({"steps": 1}, "steps"), ({"layers": ("steps",)}, "layers")]
)
def test_networks_without_steps_refuse_them(make_bundle, asked, name):
    with pytest.raises(ConfigError, match=rf"predict.{name}.* answers at once"):
        stepping_rule(make_bundle("probe_constant"), PredictSettings(**asked))
