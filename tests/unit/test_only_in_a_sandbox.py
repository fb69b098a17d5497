"""Nothing of a country is ever put up on the machine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.country.assembly import build
from shutdownlab.country.plan import Plan


def test_a_country_is_built_in_a_sandbox_only(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="in a sandbox only"):
        build(Plan(library.network("two-operators"), {}, {}, tmp_path / "files"))
    assert list(tmp_path.iterdir()) == []
