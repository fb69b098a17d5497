"""What differs between two scenarios, two runs, or a scenario and a run: `sl.diff`. Reads files, and asks git."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shutdownlab.config.document import quoted
from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import choices_of, refuse
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.verifier.causes import with_causes
from shutdownlab.verifier.compare import Comparison, compare
from shutdownlab.verifier.verify import verify

_REVISION = re.compile(r"(?P<revision>[^:\s]{2,}):(?P<path>[^:]+)")
_GIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Side:
    results: list[Result]
    shutdown: Shutdown | None = None
    choices: Mapping[str, str] | None = None


def diff(
    old: Shutdown | str | Path | Mapping[str, Any],
    new: Shutdown | str | Path | Mapping[str, Any],
    *,
    choose: Mapping[str, str] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
) -> Comparison:
    """What has changed between two sets of results, grouped, with the causes where both are scenarios.

    Each is what `sl.load` takes or returned, `REVISION:PATH` (a scenario as it was in git), or the directory of a run
    or of verified results. What a run holds it has not measured: it is not compared. `choose`: where sources disagree,
    the version to follow. set: values of the new scenario that are another, by path (see `sl.load`). Raises `BadInput`.
    """
    with ExitStack() as files:
        before, after = (
            files.enter_context(_side(where, given, choose or {}, values or {}))
            for where, given, values in (("OLD", old, None), ("NEW", new, set))
        )
        found = compare(before.results, after.results)
        if not found.compared:
            refuse("NEW", "no cell that OLD has too", "a scenario, or results, of the same country and phases")
        if before.shutdown is None or after.shutdown is None:
            return found
        return with_causes(found, (before.shutdown, before.choices or {}), (after.shutdown, after.choices or {}))


@contextmanager
def _side(
    where: str,
    given: Shutdown | str | Path | Mapping[str, Any],
    choose: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Iterator[_Side]:
    is_run = isinstance(given, str | Path) and (Path(given).is_dir() or (Path(given) / "manifest.json").exists())
    if settings and (is_run or isinstance(given, Shutdown)):
        refuse("--set", "results, or a scenario that is loaded", "the name or path of a scenario, as NEW")
    if isinstance(given, Shutdown):
        yield _verified(given, choose)
        return
    if is_run:
        assert not isinstance(given, Mapping), "a run is a directory"
        yield _Side([result for result in Run.open(given).results if not result.held])
        return
    revision = _REVISION.fullmatch(str(given)) if not isinstance(given, Mapping) else None
    if revision is None or Path(str(given)).exists():
        yield _verified(load(given, set=settings), choose)
        return
    with _checked_out(where, revision["revision"], revision["path"]) as path:
        yield _verified(load(path, set=settings), choose)


def _verified(shutdown: Shutdown, choose: Mapping[str, str]) -> _Side:
    known = {name: option for name, option in choose.items() if name in shutdown.scenario.accounts}
    found = verify(shutdown, choose=known if known != choose and known else choose)
    return _Side(found.results, shutdown, choices_of(shutdown.scenario, found.choices, "choose"))


@contextmanager
def _checked_out(where: str, revision: str, path: str) -> Iterator[Path]:
    """A file as it was in a revision, among all that stood there beside it, in a directory that goes again."""
    archive = _git(where, revision, "archive", "--format=tar", revision)
    inside = _git(where, revision, "rev-parse", "--show-prefix").decode().strip()
    with tempfile.TemporaryDirectory(prefix="shutdownlab-") as directory:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(directory, filter="data")
        file = Path(directory) / inside / path
        if not file.is_file():
            refuse(where, f"{quoted(path)}, which {revision} does not have", "a file of that revision")
        yield file


def _git(where: str, revision: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(("git", *arguments), capture_output=True, timeout=_GIT_SECONDS, check=False)
    except OSError as error:
        refuse(where, f"a revision, but no git ({error.strerror})", "a file, or a git revision and its path")
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
        refuse(
            where,
            f"the revision {quoted(revision)}: {why[-1]}",
            "a revision of this git repository",
            "`git log --oneline` names some",
        )
    return done.stdout
