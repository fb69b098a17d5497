"""What steering a country makes of orders, of undoing them, and of the model's predictions. No country is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shutdownlab.country.lab import Lab
from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.library import Shutdown, load
from shutdownlab.web.somebody import subscriber
from shutdownlab.web.steering import Steering, predicted


class Obedient:
    """A lab that is told what to do, and has done it."""

    def __init__(self) -> None:
        loaded = load("first-shutdown")
        self.plan = LabPlan(loaded, loaded.scenario.default_choices(), "baseline", "auto")
        self.phases = [each.phase for each in loaded.scenario.timeline]
        self.at: str | None = "baseline"
        self.active: tuple[str, ...] = ()
        self.broken: tuple[str, ...] = ()

    def phase(self, name: str) -> None:
        self.put_in_force(self.plan.active_in(name), (), name)

    def put_in_force(self, policies: Sequence[str], faults: Sequence[str], phase: str | None) -> None:
        self.active, self.broken, self.at = tuple(policies), tuple(faults), phase


@pytest.fixture
def lab() -> Obedient:
    return Obedient()


@pytest.fixture
def steering(lab: Obedient) -> Iterator[Steering]:
    steered = Steering(cast(Lab, lab))
    yield steered
    steered._seer.shutdown(cancel_futures=True)


def test_undo_after_undo_takes_back_one_order_each_whatever_was_ordered_that_changed_nothing(
    lab: Obedient, steering: Steering
) -> None:
    """To go to the phase that the country was in already could not be undone, nor anything before it."""
    orders: list[tuple[Any, str]] = [("start", "blackout"), ("start", "whatsapp-reset"), ("start", "blackout")]
    orders += [("phase", "baseline"), ("phase", "baseline"), ("phase", "messenger"), ("phase", "messenger")]
    for verb, name in orders:
        steering.order(verb, name)
    found = []
    for _ in range(5):
        steering.order("undo")
        found.append((lab.at, lab.active))
    assert found == [
        ("baseline", ()),
        ("baseline", ("blackout", "whatsapp-reset")),
        ("baseline", ("blackout",)),
        ("baseline", ()),
        ("baseline", ()),
    ]


def test_how_many_a_subscriber_stands_for_is_told_in_as_many_digits_as_are_known() -> None:
    """1.8 million were "1.7999999999999998 million"."""
    loaded = load("kazakhstan-2022")
    lab = cast(Lab, SimpleNamespace(plan=SimpleNamespace(loaded=loaded), node=lambda name: _node_of(loaded, name)))
    told = {str(v.id): subscriber(lab, str(v.id))["millions"] for v in loaded.network.vantages}
    assert any(len(str(each.weight)) > 6 for each in loaded.network.vantages)
    assert max(len(str(millions)) for millions in told.values()) <= 6
    assert all(told[str(v.id)] == pytest.approx(v.weight, rel=0.005) for v in loaded.network.vantages)


def _node_of(loaded: Shutdown, name: str) -> Any:
    return next(loaded.network.subscriber(v.id) for v in loaded.network.vantages if str(v.id) == name)


def test_a_model_that_fails_is_reported_and_probing_goes_on_without_it() -> None:
    coming: Future[Any] = Future()
    assert predicted(coming, 0.0) == (None, ""), "it takes longer"
    coming.set_exception(KeyError("coast"))
    found, failure = predicted(coming, 0.0)
    assert found is None
    assert failure == "a bug: the model fails here, so cells are probed in no particular order: KeyError('coast')"
    assert predicted(None, 0.0) == (None, "")
