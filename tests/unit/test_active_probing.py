"""Blocks that are probed from abroad: what they are, and what is believed of them, probe by probe."""

from __future__ import annotations

from countries import small_country

from shutdownlab.observers.blocks import KNOWN, Block, blocks
from shutdownlab.observers.echo import Ask, EchoResult
from shutdownlab.observers.watched_block import WatchedBlock
from shutdownlab.signals import trinocular


def first_block(seed: int = 7) -> Block:
    return blocks(small_country(), seed)[0]


def test_each_group_of_subscribers_has_a_block_in_each_family_inside_its_subnet() -> None:
    network = small_country()
    found = blocks(network, 7)
    assert {(block.vantage, block.version) for block in found} == {(v.id, n) for v in network.vantages for n in (4, 6)}
    for block in found:
        assert block.subnet in network.subnets[block.vantage]
        assert set(block.awake) <= set(block.known) <= set(block.prefix), "its own node answers for no other address"
        assert len(block.known) == KNOWN and 0.35 <= block.availability <= 1
        assert not {block.control, *network.hosted_on(network.subscriber(block.vantage).name)} & set(block.known)


def test_the_same_seed_draws_the_same_and_each_block_has_its_own_availability() -> None:
    network = small_country()
    assert blocks(network, 7) == blocks(network, 7) != blocks(network, 8)
    assert len({block.availability for block in blocks(network, 7)}) > 5


def rounds(watched: WatchedBlock, answers: object, most: int = 50) -> list[tuple[int, str]]:
    """The probes and the state of each round, until the block is settled; `answers` says whether an address does."""
    assert callable(answers)
    watched.begin_phase()
    found = []
    while len(found) < most:
        watched.begin_round()
        while watched.belief.wants_a_probe:
            if not watched.results:
                watched.take(answers(address) for address in watched.asked_next)
            watched.count()
        found.append((watched.belief.probes, watched.state))
        if watched.is_settled:
            break
    return found


def watched_block() -> WatchedBlock:
    block = first_block()
    return WatchedBlock(block, "here", trinocular.Block(block.availability))


def test_a_block_that_answers_is_up_after_few_probes() -> None:
    watched = watched_block()
    found = rounds(watched, watched.block.awake.__contains__)
    assert found[-1] == (1, "up") or found[-1][1] == "up"
    assert watched.belief.belief == trinocular.HIGHEST
    assert sum(probes for probes, _ in found) <= KNOWN - len(watched.block.awake) + 2


def test_a_block_that_falls_silent_is_believed_down_and_one_that_comes_back_up() -> None:
    watched = watched_block()
    rounds(watched, watched.block.awake.__contains__)
    gone = rounds(watched, lambda _: False)
    assert gone[-1][1] == "down" and watched.belief.belief == trinocular.LOWEST
    assert all(probes <= trinocular.MOST_PROBES for probes, _ in gone)
    assert sum(probes for probes, _ in gone) > KNOWN - len(watched.block.awake), "one that is awake has been asked"
    back = rounds(watched, watched.block.awake.__contains__)
    assert back[-1][1] == "up"


def test_the_same_answers_are_believed_the_same() -> None:
    once, again = watched_block(), watched_block()
    for each in (once, again):
        rounds(each, lambda _: False)
    assert once == again


def asked() -> Ask:
    block = first_block()
    return Ask(block.known[:3], block.control)


def test_silence_counts_only_behind_a_control_that_was_answered() -> None:
    ask = asked()
    ask.decide(1000.0)
    assert ask.result is None, "nothing is known without the control"
    ask.hear(ask.control, 1000.0)
    ask.decide(1000.0)
    assert ask.result is None, "a probe's answer may come just behind"
    ask.decide(1001.0)
    assert ask.result is EchoResult.SILENCE


def test_an_answer_counts_and_is_waited_for_no_longer_than_its_control() -> None:
    ask = asked()
    ask.hear(ask.addresses[1], 1000.0)
    ask.decide(1500.0)
    assert ask.result is None
    ask.hear(ask.control, 1500.0)
    ask.decide(1501.0)
    assert (ask.result, ask.answered) == (EchoResult.ANSWER, {ask.addresses[1]})


def test_when_all_have_answered_no_control_is_waited_for() -> None:
    ask = asked()
    for address in ask.addresses:
        ask.hear(address, 1000.0)
    assert ask.result is EchoResult.ANSWER
