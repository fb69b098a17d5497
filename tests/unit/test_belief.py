"""What is believed of a cell, by its tries and its controls."""

from __future__ import annotations

from shutdownlab.measure.belief import Try, judge
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Proof

FIRST, SECOND = Try(Outcome.BLOCKED, 0.0, 1.0), Try(Outcome.BLOCKED, 2.0, 3.0)


def proof(began: float, ended: float, failure: str | None = None) -> Proof:
    return Proof("path", began, ended, failure)


def believed(*proofs: Proof, tries: tuple[Try, ...] = (FIRST, SECOND)) -> bool:
    return judge(tries, ["path"], {"path": proofs}).believed


def test_two_tries_alike_are_believed_where_the_control_between_them_succeeded() -> None:
    judgement = judge([FIRST, SECOND], ["path"], {"path": [proof(1.2, 1.4)]})
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


def test_every_control_that_the_cell_needs_must_vouch() -> None:
    history = {"path": [proof(1.2, 1.4)]}
    assert not judge([FIRST, SECOND], ["path", "server"], history).believed


def test_tries_that_came_out_differently_are_no_verdict() -> None:
    throttled = Try(Outcome.THROTTLED, 2.0, 3.0)
    assert not believed(proof(1.2, 1.4), tries=(FIRST, throttled))


def test_only_the_last_two_tries_count() -> None:
    third = Try(Outcome.BLOCKED, 5.0, 6.0)
    assert not believed(proof(1.2, 1.4), tries=(FIRST, SECOND, third))
    assert believed(proof(3.2, 3.4), tries=(FIRST, SECOND, third))


def test_a_success_and_that_the_probe_failed_or_its_agent_was_lost_are_believed_at_once() -> None:
    for outcome in (Outcome.OK, Outcome.ERROR, Outcome.UNKNOWN):
        assert judge([Try(outcome, 0.0, 1.0)], ["path"], {}).believed


def test_a_success_that_something_else_could_have_caused_takes_a_second_one_but_no_control() -> None:
    doubtful = Try(Outcome.OK, 0.0, 1.0, doubtful=True)
    assert judge([doubtful], ["path"], {}) == judge([doubtful], [], {})
    assert not judge([doubtful], ["path"], {}).believed
    assert judge([doubtful, doubtful], ["path"], {}).believed


def test_before_the_next_try_the_controls_begun_after_the_last_one_are_missing() -> None:
    assert judge([FIRST], ["path", "server"], {"path": [proof(1.0, 1.1)]}).missing == ("server",)
    assert judge([FIRST, SECOND], ["path"], {"path": [proof(1.2, 1.4)]}).missing == ("path",)
