"""Deletes the files of a run so that another can be written in its place; never anything else."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from shutdownlab.results.holding import claim

MANIFEST: Final = "manifest.json"
_WRITTEN = re.compile(
    r"\.?manifest\.json|events\.jsonl|measurements\.(jsonl|draft)|results\.(csv|draft)|selection\.json|(logs|pcap)(-\d+)?"
    r"|readings\.csv(\.draft)?|observations"
)
"""The names of the files that runs write into their directories."""
_SAYS_SO = {"shutdownlab", "scenario", "status"}
"""Keys that the manifests of all versions have, and hardly any other file of that name."""


class NotReplaceable(Exception):
    """The directory does not hold just a finished run of shutdownlab; the text says what it holds."""


def take_away(directory: Path) -> None:
    """Deletes the run in a directory and leaves the directory itself, empty.

    Raises `NotReplaceable`, with nothing deleted, if the directory is not a run's, if the run is still running, or if
    there is any file that runs do not write; `OSError` if a file cannot be deleted. Links are deleted, not followed.
    The manifest, which identifies a run, is deleted last, so that an interrupted deletion can be repeated.
    """
    if not _is_a_run(directory):
        raise NotReplaceable(f"which is not the directory of a run: it has no {MANIFEST} of shutdownlab")
    strange = sorted(path.name for path in directory.iterdir() if not _WRITTEN.fullmatch(path.name))
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise NotReplaceable(f"which holds {strange[0]}{more} too, which is not a file of a run")
    try:
        claimed = claim(directory)
    except BlockingIOError:
        raise NotReplaceable("where a run is still in progress") from None
    with claimed:
        for path in sorted(directory.iterdir(), key=lambda path: path.name == MANIFEST):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _is_a_run(directory: Path) -> bool:
    with suppress(OSError, ValueError):
        manifest = json.loads((directory / MANIFEST).read_bytes())
        return isinstance(manifest, dict) and manifest.keys() >= _SAYS_SO
    return False
