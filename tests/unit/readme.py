"""The code blocks of the README, and of the pages that go on with it, as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = "".join((ROOT / page).read_text() for page in ("docs/language.md", "docs/outside.md", "README.md"))


def blocks(language: str = "") -> list[str]:
    """The code blocks of a language, in order."""
    return [
        text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) if name == language
    ]


def block_with(words: str) -> str:
    """The one block of shell that has these words."""
    [found] = [block for block in blocks() if words in block]
    return found


def in_a_shell(script: str, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run lines as a reader would, with `shutdownlab` on the path; stops at the first that fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{before}\n{script}"],
        cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
