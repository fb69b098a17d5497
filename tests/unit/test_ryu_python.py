"""A run under Ryu needs a Python that has it, and says so before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import shutdownlab as sl


def test_a_python_without_ryu_is_refused_with_what_it_lacks_and_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(sl.MachineCannot, match=r"No module named '(ryu|eventlet)'") as refused:
        sl.run("first-shutdown", tmp_path / "out", openflow="ryu", ryu_python=sys.executable)
    assert "scripts/environment ryu" in refused.value.mend
    assert not (tmp_path / "out").exists()


def test_a_python_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sl.MachineCannot, match=r"nowhere/python: No such file or directory"):
        sl.run("first-shutdown", tmp_path / "out", openflow="ryu", ryu_python="nowhere/python")


def test_a_python_for_ryu_without_ryu_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(sl.BadInput, match=r"ryu_python: found .* without openflow ryu"):
        sl.run("first-shutdown", tmp_path / "out", ryu_python=sys.executable)
