"""What breaks under a run is told in a few lines."""

from __future__ import annotations

import sysconfig
from types import SimpleNamespace
from typing import cast

import pytest

from shutdownlab.control.processes import ControlError
from shutdownlab.country import breakage
from shutdownlab.country.breakage import brief, in_one_line, lines_of
from shutdownlab.country.country import Country
from shutdownlab.country.examination import _complaints
from shutdownlab.protocol.messages import Failure
from shutdownlab.servers.start import ServicesNotReady

TRACEBACK = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
    f()
    ~^^
KeyError: 'x'"""


def test_only_the_end_of_a_traceback_is_reported() -> None:
    assert brief(f"box: it failed:\n{TRACEBACK}\nand so on") == "box: it failed:\nKeyError: 'x'\nand so on"


def test_what_stands_before_a_traceback_on_its_line_is_kept() -> None:
    assert brief(f"box: {TRACEBACK}") == "box: KeyError: 'x'"


def test_two_tracebacks_one_after_the_other_are_two_lines() -> None:
    assert (
        brief(f"{TRACEBACK}\n\nDuring handling of it:\n\n{TRACEBACK}")
        == "KeyError: 'x'\nDuring handling of it:\nKeyError: 'x'"
    )


def test_a_crash_in_a_file_of_the_users_own_is_reported_with_its_place_there() -> None:
    ours = f'  File "{breakage.__file__}", line 9, in load\n    run()\n'
    theirs = '  File "/home/me/my isp.py", line 26, in obey\n    nonesuch()\n'
    text = f"Traceback (most recent call last):\n{ours}{theirs}{ours}NameError: nonesuch\nand so on"
    assert brief(text) == "NameError: nonesuch (/home/me/my isp.py, line 26)\nand so on"
    assert brief(f"Traceback (most recent call last):\n{ours}NameError: nonesuch") == "NameError: nonesuch"


def test_a_crash_in_an_installed_package_that_extends_this_one_is_reported_with_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = sysconfig.get_path("purelib")
    theirs = f'  File "{site}/finger/recogniser.py", line 26, in recognise\n    nonesuch()\n'
    others = f'  File "{site}/numpy/core.py", line 3, in load\n    nonesuch()\n'
    monkeypatch.setattr(breakage, "modules_of_others", lambda: {"finger": "dpi-finger"})
    text = f"Traceback (most recent call last):\n{theirs}{others}NameError: nonesuch"
    assert brief(text) == f"NameError: nonesuch ({site}/finger/recogniser.py, line 26)"


def test_what_a_dpi_box_complains_of_voids_a_phase_in_one_line() -> None:
    """It becomes the `failure` of every cell of the phase: the traceback was there whole, thousands of times."""
    complaint = Failure("northnet-box", f"its engine failed:\n{TRACEBACK}")
    box = SimpleNamespace(receive=list)
    country = SimpleNamespace(aside=[complaint, complaint], others=[box])
    assert _complaints(cast("Country", country)) == ["northnet-box: its engine failed: KeyError: 'x'"]
    assert in_one_line(f"{TRACEBACK}\n\n(others are only counted)") == "KeyError: 'x' (others are only counted)"


def test_text_without_a_traceback_stays() -> None:
    assert brief("one\n  two") == "one\n  two"


def test_every_server_that_is_not_ready_has_its_line() -> None:
    assert lines_of(ServicesNotReady(["bird: no route", "nginx: not listening"])) == [
        "bird: no route",
        "nginx: not listening",
    ]


def test_an_error_without_words_is_named() -> None:
    assert lines_of(BrokenPipeError()) == ["BrokenPipeError()"]
    assert lines_of(ControlError("lost")) == ["lost"]
