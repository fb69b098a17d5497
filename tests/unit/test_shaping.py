"""Bandwidth, delay and loss as a topology writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shutdownlab.network.shaping import Shape, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("150kbit", 150_000), ("30mbit", 30_000_000), ("1.5Gbit", 1_500_000_000), (" 64000bit ", 64_000)],
)
def test_a_bandwidth_is_bits_a_second_in_powers_of_ten(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "30", "-1mbit", "0mbit", "30mb", "30 mbit/s", "1e3kbit", "nanbit"])
def test_a_value_that_is_not_a_bandwidth_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30mbit"):
        parse_rate(text)


@given(st.integers(1, 10**6), st.sampled_from(["kbit", "mbit"]))
def test_a_bandwidth_grows_with_its_number(number: int, unit: str) -> None:
    assert parse_rate(f"{number}{unit}") < parse_rate(f"{number + 1}{unit}")


def test_a_link_that_does_nothing_has_no_shape() -> None:
    assert Shape.parse(None, 0, 0) is None
    assert Shape.parse("", 0.0, 0.0) is None


def test_bandwidth_alone_needs_no_netem() -> None:
    shape = Shape.parse("10mbit", 0, 0)
    assert shape is not None
    assert not shape.needs_netem


@pytest.mark.parametrize(("delay_ms", "loss"), [(1, 0), (0, 0.01), (5, 1)])
def test_delay_and_loss_need_netem_and_leave_the_bandwidth_without_it(delay_ms: float, loss: float) -> None:
    shape = Shape.parse("10mbit", delay_ms, loss)
    assert shape is not None
    assert shape.needs_netem
    assert shape.without_netem() == Shape(10_000_000, 0, 0)


@pytest.mark.parametrize(("delay_ms", "loss"), [(-1, 0), (0, -0.1), (0, 1.1)])
def test_figures_out_of_range_are_refused(delay_ms: float, loss: float) -> None:
    with pytest.raises(ValueError, match="must"):
        Shape.parse(None, delay_ms, loss)
