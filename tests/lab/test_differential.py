"""What `verify` says is what real packets find, whatever is ordered: `make differential` does it at length."""

from __future__ import annotations

from pathlib import Path

import pytest
from differential import compared


def test_a_made_up_shutdown_is_measured_as_it_is_verified(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells, differ = compared(1, 2, tmp_path / "run")
    assert differ == 0, capfd.readouterr().out
    assert cells == 3 * 64
