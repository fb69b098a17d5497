"""Trinocular's belief against the published update (Quan et al., SIGCOMM 2013, table 2), worked out in fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest

from shutdownlab.signals.trinocular import MOST_PROBES, Block, silence, state_of, updated

LOSS = Fraction(1, 100)


def by_the_paper(belief: Fraction, availability: Fraction, *, answered: bool) -> Fraction:
    """P(p|U) = A, P(n|U) = 1 - A, P(p|not U) = (1 - l)/|b|, P(n|not U) = 1 - (1 - l)/|b|; |b| = 256, l = 0.01."""
    down = (1 - LOSS) / 256
    if_up, if_down = (availability, down) if answered else (1 - availability, 1 - down)
    found = if_up * belief / (if_up * belief + if_down * (1 - belief))
    return min(Fraction(99, 100), max(Fraction(1, 100), found))


@pytest.mark.parametrize(
    "availability", [Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(9, 10), Fraction(1)]
)
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("belief", [Fraction(1, 100), Fraction(1, 4), Fraction(9, 10), Fraction(99, 100)])
def test_a_probe_moves_the_belief_as_the_paper_says(belief: Fraction, availability: Fraction, answered: bool) -> None:
    found = updated(float(belief), float(availability), answered=answered)
    assert found == pytest.approx(float(by_the_paper(belief, availability, answered=answered)), rel=1e-12)


def test_up_is_above_nine_tenths_and_down_below_one() -> None:
    assert [state_of(belief) for belief in (0.91, 0.9, 0.1, 0.09)] == ["up", "uncertain", "uncertain", "down"]


@pytest.mark.parametrize(("availability", "probes"), [(0.9, 3), (0.7, 6), (0.5, 10), (0.4, 14), (0.3, 20)])
def test_how_many_probes_without_an_answer_it_takes_until_a_block_is_down(availability: float, probes: int) -> None:
    beliefs = list(silence(availability))
    assert len(beliefs) == probes and beliefs == sorted(beliefs, reverse=True)


def test_a_block_that_answers_is_sent_one_probe_a_round() -> None:
    block = Block(0.5)
    for _ in range(5):
        block.begin_round()
        while block.wants_a_probe:
            assert block.hear(answered=True) == "up"
        assert block.probes == 1


def test_a_block_that_falls_silent_is_down_in_the_same_round_where_its_hosts_answer_often() -> None:
    block = Block(0.5)
    block.begin_round()
    sent = 0
    while block.wants_a_probe:
        block.hear(answered=False)
        sent += 1
    # The first silences leave it up above 0.9, and one probe is enough for a round in which it is.
    assert sent == 1 and state_of(block.belief) == "up"
    rounds = 1
    while state_of(block.belief) != "down":
        block.begin_round()
        rounds += 1
        while block.wants_a_probe:
            block.hear(answered=False)
    assert rounds == 4


def test_no_round_sends_more_than_fourteen_probes() -> None:
    block = Block(0.15, belief=0.85)
    block.begin_round()
    while block.wants_a_probe:
        block.hear(answered=False)
    assert block.probes == MOST_PROBES


def test_one_answer_brings_a_block_back() -> None:
    assert Block(0.5, belief=0.01).hear(answered=True) == "uncertain"
    assert Block(0.5, belief=0.1).hear(answered=True) == "up"
