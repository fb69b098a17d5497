"""What a program passes by mistake is refused like a user's: by the name of the parameter, with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl


def wrong(value: Any) -> Any:
    """What type checkers would refuse."""
    return value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sl.load(wrong(None)), "scenario: found nothing; expected the name of a scenario that ships, the path"),
        (lambda: sl.load(wrong(["a"])), "scenario: found a list; expected the name of a scenario"),
        (lambda: sl.verify("first-shutdown", choose=wrong("x")), "choose: found 'x'; expected the version"),
        (lambda: sl.verify("first-shutdown", at=wrong(3)), "at: found unknown phase 3; expected one of baseline"),
        (lambda: sl.run("first-shutdown", out=""), "out: found an empty name; expected a directory that can be"),
        (lambda: sl.Run.open(""), "'': found an empty name; expected a directory that `shutdownlab run` has written"),
        (lambda: sl.run("first-shutdown", until=wrong(["x"])), "until: found unknown phase a list; expected one"),
        (lambda: sl.lab("first-shutdown", choose=wrong("x")), "choose: found 'x'; expected the version to follow"),
        (lambda: explained(at=None), "at: found unknown phase nothing; expected one of baseline, messenger"),
        (lambda: explained(vantage=None), "vantage: found nothing; expected one of northnet/capital/ordinary"),
        (lambda: explained(target=443), "target: found 443; expected a probe of the scenario, an app, a site"),
        (
            lambda: sl.compare("first-shutdown", wrong(None)),
            "published: found nothing; expected the path of a CSV file",
        ),
        (lambda: sl.compare("first-shutdown", "no.csv"), "published: found no.csv, which does not exist; expected the"),
        (lambda: sl.matrix("first-shutdown", tools="ssh,shh"), "tools: found unknown tool 'shh'; expected one of doh"),
        (lambda: sl.matrix("first-shutdown", at="blackuot"), "at: found unknown phase 'blackuot'; expected one of"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(call: Callable[[], object], message: str) -> None:
    with pytest.raises(sl.BadInput) as refused:
        call()
    assert str(refused.value).startswith(message)


def explained(**changed: Any) -> object:
    given = {"at": "blackout", "vantage": "northnet/coast", "target": "whatsapp"} | changed
    return sl.explain("first-shutdown", **given)


def test_a_published_series_is_read_from_its_path(tmp_path: Path) -> None:
    file = tmp_path / "ioda.csv"
    file.write_text("time,bgp\n2030-05-01T08:00Z,yes\n")
    with pytest.raises(sl.BadInput, match=r"ioda\.csv:2: "):
        sl.compare("first-shutdown", file)


def test_a_phase_or_a_column_that_a_table_does_not_have_is_no_share_of_nobody() -> None:
    table = sl.verify("first-shutdown").table
    assert table["blackout", "WhatsApp"].fraction == 0
    assert table["messenger", "speed"].fraction is None  # not measured in this phase
    with pytest.raises(sl.BadInput, match=r"found unknown column 'Whatsapp'(.|\n)*did you mean 'WhatsApp'\?"):
        table["blackout", "Whatsapp"]
    with pytest.raises(sl.BadInput, match=r"found unknown phase 'blakout'(.|\n)*did you mean 'blackout'\?"):
        table["blakout", "WhatsApp"]
    with pytest.raises(sl.BadInput, match=r"table: found 'blackout'; expected a phase and a column"):
        table[wrong("blackout")]
