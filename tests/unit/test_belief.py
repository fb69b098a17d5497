"""What is believed of a cell, by its tries and its controls."""

from __future__ import annotations

from dataclasses import replace

from shutdownlab.measure.belief import Try, judge
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Proof


def failed(began: float, ended: float, needs: tuple[str, ...] = ("path",), outcome: Outcome = Outcome.BLOCKED) -> Try:
    return Try(outcome, began, ended, needs=needs)


FIRST, SECOND = failed(0.0, 1.0), failed(2.0, 3.0)


def proof(began: float, ended: float, failure: str | None = None) -> Proof:
    return Proof("path", began, ended, failure)


def believed(*proofs: Proof, tries: tuple[Try, ...] = (FIRST, SECOND)) -> bool:
    return judge(tries, {"path": proofs}).believed


def test_two_tries_alike_are_believed_where_the_control_between_them_succeeded() -> None:
    judgement = judge([FIRST, SECOND], {"path": [proof(1.2, 1.4)]})
    assert judgement.believed
    assert judgement.proofs == (proof(1.2, 1.4),)


def test_a_control_vouches_only_if_it_began_after_the_first_try_and_ended_before_the_second() -> None:
    assert not believed()
    assert not believed(proof(0.9, 1.4)), "what had stalled the first try may have ended before the control did"
    assert not believed(proof(1.6, 2.1)), "it may have been answered only after the second try began"


def test_a_control_that_failed_beside_the_tries_refutes_them() -> None:
    assert not believed(proof(1.1, 1.2, "generic_timeout_error"), proof(1.3, 1.4))
    assert not believed(proof(1.3, 1.4), proof(2.5, 2.9, "generic_timeout_error"))
    assert believed(proof(-5.0, -4.0, "generic_timeout_error"), proof(1.3, 1.4)), "it was over when they began"


def test_tries_are_refuted_by_what_failed_beside_or_after_them() -> None:
    third = failed(5.0, 6.0)
    for began, refuted in ((0.5, 1), (1.2, 1), (2.5, 2), (4.0, 2), (6.5, 3)):
        history = {"path": [proof(began, began + 0.1, "generic_timeout_error")]}
        assert judge([FIRST, SECOND, third], history).refuted == refuted


def test_a_try_during_which_something_had_no_processor_says_nothing() -> None:
    for tries in ((replace(FIRST, void=True), SECOND), (FIRST, replace(SECOND, void=True))):
        judgement = judge(tries, {"path": [proof(1.2, 1.4)]})
        assert (judgement.believed, judgement.refuted) == (False, 1)
        failing = {"path": [proof(1.2, 1.4, "generic_timeout_error")]}
        assert not judge(tries, failing, excused={"path"}).believed, "nor that a fault has taken something away"
    third = failed(5.0, 6.0)
    assert believed(proof(1.2, 1.4), proof(3.2, 3.4), tries=(replace(FIRST, void=True), SECOND, third))


def test_a_try_that_says_nothing_is_passed_over_wherever_it_comes() -> None:
    third, fourth = failed(5.0, 6.0), failed(8.0, 9.0)
    for nothing in (replace(SECOND, void=True), failed(2.0, 3.0, outcome=Outcome.UNKNOWN)):
        nothing = replace(nothing, doubtful=True)
        assert believed(proof(1.2, 1.4), tries=(FIRST, nothing, third)), "it would take a round more"
        assert believed(proof(1.2, 1.4), tries=(FIRST, nothing, replace(third, void=True), fourth))
        assert not believed(proof(0.5, 0.6), tries=(FIRST, nothing, third))
        assert not believed(proof(1.2, 1.4), proof(2.5, 2.6, "generic_timeout_error"), tries=(FIRST, nothing, third))
        judgement = judge([FIRST, nothing], {"path": [proof(1.2, 1.4)]})
        assert (judgement.believed, judgement.missing, judgement.refuted) == (False, (), 1)
        taken = judge([FIRST, nothing, third], {"path": [proof(1.2, 1.4, "host_unreachable")]}, excused={"path"})
        assert (taken.believed, taken.taken) == (True, True)
        waiting = judge([FIRST, nothing], {"path": [proof(1.2, 1.4, "host_unreachable")]}, excused={"path"})
        assert (waiting.believed, waiting.refuted) == (False, 1)
        assert judge([nothing], {}).missing == ()


def test_only_a_try_that_counts_needs_controls_before_the_next() -> None:
    assert judge([FIRST], {}).missing == ("path",)
    assert judge([replace(FIRST, void=True)], {}).missing == ()


def test_every_control_that_either_try_needs_must_vouch() -> None:
    both = {"path": [proof(1.2, 1.4)], "server": [proof(1.2, 1.4)]}
    for tries in ([failed(0, 1, ("path", "server")), SECOND], [FIRST, failed(2, 3, ("path", "server"))]):
        assert not judge(tries, {"path": both["path"]}).believed
        assert judge(tries, both).believed


def test_tries_that_came_out_differently_are_no_verdict() -> None:
    throttled = failed(2.0, 3.0, outcome=Outcome.THROTTLED)
    assert not believed(proof(1.2, 1.4), tries=(FIRST, throttled))


def test_only_the_last_two_tries_count() -> None:
    third = failed(5.0, 6.0)
    assert not believed(proof(1.2, 1.4), tries=(FIRST, SECOND, third))
    assert believed(proof(3.2, 3.4), tries=(FIRST, SECOND, third))


def test_a_success_and_that_the_probe_failed_or_its_agent_was_lost_are_believed_at_once() -> None:
    for outcome in (Outcome.OK, Outcome.ERROR, Outcome.UNKNOWN):
        assert judge([failed(0.0, 1.0, outcome=outcome)], {}).believed


def test_a_success_that_something_else_could_have_caused_takes_a_second_one_but_no_control() -> None:
    doubtful = Try(Outcome.OK, 0.0, 1.0, doubtful=True)
    assert judge([doubtful], {}) == judge([doubtful], {})
    assert not judge([doubtful], {}).believed
    assert judge([doubtful, doubtful], {}).believed


def test_before_the_next_try_the_controls_begun_after_the_last_one_are_missing() -> None:
    assert judge([failed(0, 1, ("path", "server"))], {"path": [proof(1.0, 1.1)]}).missing == ("server",)
    assert judge([FIRST, SECOND], {"path": [proof(1.2, 1.4)]}).missing == ("path",)
