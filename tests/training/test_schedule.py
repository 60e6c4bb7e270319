import math

import pytest
from pydantic import ValidationError

from terrazzo.training.schedule import SCHEDULES, Constant, Cosine, Poly, Schedule


def test_table_holds_every_schedule():
    assert SCHEDULES.names() == ["constant", "cosine", "poly"]
    assert all(issubclass(SCHEDULES.find(name), Schedule) for name in SCHEDULES)


def test_constant_stays_at_one():
    assert [Constant().factor(step, 10, 5) for step in range(12)] == [1.0] * 12


def test_warmup_rises_linearly_and_never_gives_zero():
    factors = [Constant(warmup_steps=4).factor(step, 10, 5) for step in range(6)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_warmup_in_epochs_follows_the_length_of_an_epoch():
    schedule = Constant(warmup_epochs=1.5)
    assert schedule.warmup(100, 10) == 15
    assert schedule.factor(0, 100, 10) == 1 / 15
    assert schedule.factor(14, 100, 10) == 1.0


def test_warmup_is_at_most_the_whole_run():
    schedule = Cosine(warmup_steps=50)
    assert [schedule.factor(step, 4, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_both_kinds_of_warmup_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        Cosine(warmup_steps=3, warmup_epochs=1)


def test_cosine_begins_at_one_after_warmup_and_ends_at_its_floor():
    schedule = Cosine(warmup_steps=2, floor=0.1)
    assert schedule.factor(2, 12, 12) == 1.0
    assert schedule.factor(7, 12, 12) == pytest.approx(0.55)
    assert schedule.factor(12, 12, 12) == pytest.approx(0.1)


def test_cosine_is_the_published_curve():
    for step in range(20):
        assert Cosine().factor(step, 20, 5) == pytest.approx((1 + math.cos(math.pi * step / 20)) / 2)


def test_poly_is_the_published_curve():
    for step in range(20):
        assert Poly().factor(step, 20, 5) == pytest.approx((1 - step / 20) ** 0.9)


def test_poly_keeps_its_floor():
    assert Poly(floor=0.2).factor(20, 20, 5) == pytest.approx(0.2)
    assert Poly(floor=1.0).factor(13, 20, 5) == 1.0


@pytest.mark.parametrize("schedule", [Constant(), Cosine(floor=0.05), Poly()])
def test_steps_beyond_the_end_keep_the_last_factor(schedule):
    assert schedule.factor(25, 20, 5) == schedule.factor(20, 20, 5)


@pytest.mark.parametrize("schedule", [Cosine(warmup_steps=3), Poly(warmup_steps=3)])
def test_the_rate_never_rises_after_the_warmup(schedule):
    factors = [schedule.factor(step, 30, 10) for step in range(3, 31)]
    assert factors == sorted(factors, reverse=True)
    assert all(0 <= factor <= 1 for factor in factors)


def test_a_run_of_one_update_is_made_at_the_full_rate():
    assert [schedule.factor(0, 1, 1) for schedule in (Constant(), Cosine(), Poly())] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("settings", [{"warmup_steps": 0}, {"warmup_epochs": -1}, {"floor": 1.5}, {"power": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        Poly.model_validate(settings)


def test_the_base_has_no_decay():
    with pytest.raises(NotImplementedError, match="Schedule has no decay"):
        Schedule(name="none").factor(0, 2, 1)
