"""What steering a country makes of the model's predictions."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from shutdownlab.web.steering import predicted


def test_a_model_that_fails_is_reported_and_probing_goes_on_without_it() -> None:
    coming: Future[Any] = Future()
    assert predicted(coming, 0.0) == (None, ""), "it takes longer"
    coming.set_exception(KeyError("coast"))
    found, failure = predicted(coming, 0.0)
    assert found is None
    assert failure == "a bug: the model fails here, so cells are probed in no particular order: KeyError('coast')"
    assert predicted(None, 0.0) == (None, "")
