"""The page of a steered country tells what was in force and when, of moments too short to be measured, too."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import shutdownlab as sl
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import cells_of
from shutdownlab.web.history import Moment, as_shutdown
from shutdownlab.web.ledger import Ledger
from shutdownlab.web.parts import VIEW
from shutdownlab.web.steered_view import SteeredView

BEGIN = datetime(2026, 5, 1, 8, tzinfo=UTC)
GIVEN = (
    ("messenger", 0, ("whatsapp-reset",), True),
    ("start-blackout", 40, ("whatsapp-reset", "blackout"), False),
    ("stop-blackout", 43, ("whatsapp-reset",), False),
    ("undo", 48, ("whatsapp-reset", "blackout"), False),
    ("allowlist", 50, ("allowlist",), True),
)
"""Name, seconds since the first, the policies in force, whether any cell was measured."""


def test_what_was_in_force_between_two_measured_moments_is_told_with_its_own_times() -> None:
    base = sl.load("first-shutdown")
    assert isinstance(base, Shutdown)
    ledger, choices = Ledger(60), base.scenario.default_choices()
    for name, seconds, policies, measured in GIVEN:
        ledger.begin(Moment(name, name, BEGIN + timedelta(seconds=seconds), policies, (), None, whole=False))
        shutdown = as_shutdown(base, choices, ledger.moments, datetime.now(UTC))
        for cell in list(cells_of(shutdown, shutdown.scenario.phase(name)))[: 1 if measured else 0]:
            found = LabMeasurement(Outcome.OK, None, "certain", None, "", 0.1, {})
            ledger.take(shutdown, ledger.newest, cell, found)
    parts = SteeredView(base, choices, ledger).view()
    orders = str(parts[f"{VIEW}orders"])
    rows = {
        row[1]: re.findall(r"<li>(.*?)</li>", row[0])
        for row in re.finditer(r"<tr>.*?<code>([\w-]+)</code>.*?</tr>", orders, re.DOTALL)
    }
    assert rows["whatsapp-reset"] == ["01 May 08:00, 50 s"]
    assert rows["blackout"] == ["01 May 08:00:40, 3 s", "01 May 08:00:48, 2 s"]
