"""Compares two scenarios, two runs, or a scenario and a run: `sl.diff`. Reads files, and runs git."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shutdownlab.config.beside import at_home, is_file
from shutdownlab.config.document import did_you_mean, quoted
from shutdownlab.config.problems import BadInput
from shutdownlab.library import Shutdown, load, shipped
from shutdownlab.model.lookup import choices_of, refuse
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.results.selection import Selection, measured_of
from shutdownlab.verifier.causes import with_causes
from shutdownlab.verifier.compare import Comparison, compare, key_of
from shutdownlab.verifier.remembering import may_remember
from shutdownlab.verifier.selecting import select
from shutdownlab.verifier.verify import Verified, verify

_REVISION = re.compile(r"(?P<revision>[^:\s-][^:\s]+):(?P<path>[^:]+)")  # a leading hyphen would be an option of git
_REVISION_ALONE = re.compile(r"(?!-)[\w./~^@{}-]+")
_GIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Side:
    results: list[Result]
    shutdown: Shutdown | None = None
    choices: Mapping[str, str] | None = None
    verified: Verified | None = None


def diff(
    old: Shutdown | str | Path | Mapping[str, Any],
    new: Shutdown | str | Path | Mapping[str, Any],
    *,
    choose: Mapping[str, str] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
) -> Comparison:
    """Returns what has changed between two sets of results, grouped, with the causes if both are scenarios.

    Each side is what `sl.load` takes or returned, `REVISION:PATH` (a scenario as it was in git; for `old`, REVISION
    alone means `new` as it was then), or the directory of a run or of verified results. PATH is relative to the current
    directory in its repository, or else to the top of the repository of the other side's file; an absolute PATH is in
    its own repository. Cells that a run did not measure but took from the model are not compared. `choose`: the version
    to follow where sources disagree. `set`: values of the new scenario to replace, by path (see `sl.load`). Raises
    `BadInput`.
    """
    if isinstance(old, str | Path):
        old = _as_it_was("OLD", old, new.source if isinstance(new, Shutdown) else new)
    with ExitStack() as files:
        before = files.enter_context(_side("OLD", old, choose or {}, {}, beside=_file_of(new)))
        after = files.enter_context(
            _side("NEW", new, choose or {}, set or {}, like=before.verified, beside=_file_of(old))
        )
        found = compare(before.results, after.results)
        if not found.compared:
            for where, side in (("OLD", before), ("NEW", after)):
                if not side.results:
                    refuse(where, "a run without any result of a complete phase", "a run that measured a whole phase")
            refuse("NEW", "no cell that OLD has too", "a scenario, or results, of the same country and phases")
        if before.shutdown is None or after.shutdown is None:
            return found
        sides = (before.shutdown, before.choices or {}), (after.shutdown, after.choices or {})
        verifier = after.verified.verifier if after.verified is not None else None
        return with_causes(found, *sides, verifier=verifier)


def changed_since(
    old: str | Path,
    new: Shutdown,
    choices: Mapping[str, str],
    phases: Sequence[str],
    *,
    sample: float,
    seed: int,
) -> tuple[Selection, dict[str, dict[str, Result]]]:
    """Returns which cells of some phases to measure with real packets to see what has changed, and the results of the
    others.

    `old`: as for `diff`, or a git revision alone, which means the same file as it was then. `sample`: the share of
    unchanged cells to measure as well, drawn by `seed`. Raises `BadInput`.
    """
    verified = verify(new, choose=choices)
    with _side(
        "changed_since", _as_it_was("changed_since", old, new.source), choices, {},
        known=True, like=verified, beside=_file_of(new),
    ) as before:  # fmt: skip
        if {*map(key_of, before.results)}.isdisjoint(map(key_of, verified.results)):
            expected = "a scenario, or results, of the same country and phases"
            refuse("changed_since", "no cell that the scenario has too", expected)
        chosen = select(before.results, verified.results, phases, since=str(old), sample=sample, seed=seed)
    return chosen, held_of(chosen, verified, phases)


def agreement(
    scenario: Shutdown | str | Path | Mapping[str, Any], measured: Run, *, choose: Mapping[str, str] | None = None
) -> Comparison:
    """Compares what a run has measured with what the model predicts. Raises `BadInput`."""
    found = measured_of(measured.results)
    of_phases, model = {result.phase for result in found}, verify(scenario, choose=choose)
    timeline = tuple(phase for phase in model.timeline if phase.phase in of_phases)
    return compare(replace(model, timeline=timeline).results, found)


def held_of(selection: Selection, verified: Verified, phases: Sequence[str]) -> dict[str, dict[str, Result]]:
    """Returns the model's results for the cells of some phases that are not measured, by phase and cell."""
    return {
        phase.phase: {
            cell.id: result.held_by_the_model()
            for number, (cell, result) in enumerate(verified.of_phase(phase))
            if number not in selection.of(phase.phase)
        }
        for phase in verified.timeline
        if phase.phase in phases
    }


def _as_it_was(where: str, old: str | Path, new: str | Path | Mapping[str, Any]) -> str | Path:
    """Returns `REVISION:PATH` of the new scenario's own file for a revision alone; anything else unchanged. Raises
    `BadInput` if it is neither a revision nor the misspelt name of something else."""
    text, names = str(old), dict(shipped("scenarios"))
    if not _REVISION_ALONE.fullmatch(text) or Path(text).exists() or text in names:
        return old
    if isinstance(new, Mapping) or not new or not is_file(at_home(str(new))):
        return old
    file = at_home(str(new))
    folder = file.parent.resolve()
    if _is_revision(where, text, folder):
        return f"{text}:{folder / file.name}"
    if not text.endswith((".yaml", ".yml")) and not did_you_mean(text, names):
        found = f"{quoted(text)}, which is neither a file, nor a shipped scenario, nor a git revision here"
        refuse(where, found, "one of these, or the directory of a run", "`git log --oneline` names revisions")
    return old


def _is_revision(where: str, text: str, at: Path) -> bool:
    try:
        done = _asked_git(at, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}")
    except (OSError, subprocess.TimeoutExpired):  # without git there are no revisions
        return False
    _refuse_what_git_does_not_trust(where, done.stderr)
    return done.returncode == 0


@contextmanager
def _side(
    where: str,
    given: Shutdown | str | Path | Mapping[str, Any],
    choose: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    known: bool = False,
    like: Verified | None = None,
    beside: Path | None = None,
) -> Iterator[_Side]:
    """Yields one side of a comparison.

    `known`: the choices were checked against the other side, so that options unknown here are no mistake. `like`: the
    other side's verified results, to reuse for phases that are the same here. `beside`: the file or directory of the
    other side.
    """
    # As a Path, an empty name is the current directory.
    is_run = (
        isinstance(given, str | Path)
        and given != ""
        and (Path(given).is_dir() or (Path(given) / "manifest.json").exists())
    )
    if settings and (is_run or isinstance(given, Shutdown)):
        refuse("--set", "results, or a scenario that is loaded", "the name or path of a scenario, as NEW")
    if isinstance(given, Shutdown):
        yield _verified(given, choose, known=known, like=like)
        return
    if is_run:
        assert not isinstance(given, Mapping), "a run is a directory"
        yield _Side([result for result in Run.open(given).results if not result.held])
        return
    revision = _REVISION.fullmatch(str(given)) if not isinstance(given, Mapping) else None
    if revision is None or Path(str(given)).exists():
        yield _verified(load(given, set=settings), choose, known=known, like=like)
        return
    with _checked_out(where, revision["revision"], revision["path"], beside) as path:
        yield _verified(load(path, set=settings), choose, known=known, like=like)


def _verified(shutdown: Shutdown, choose: Mapping[str, str], *, known: bool, like: Verified | None = None) -> _Side:
    accounts = shutdown.scenario.accounts
    known_choices = {name: option for name, option in choose.items() if name in accounts}
    if known:
        known_choices = {name: option for name, option in known_choices.items() if option in accounts[name].options}
    found = verify(shutdown, choose=known_choices if known or known_choices else choose)
    alike = set(_alike(found, like)) if like is not None else set[str]()
    if like is not None and alike:
        rows: dict[str, list[Result]] = {}
        for result in like.results:
            rows.setdefault(result.phase, []).append(result)
        results: list[Result] = []
        for phase in found.timeline:
            results += rows[phase.phase] if phase.phase in alike else [result for _, result in found.of_phase(phase)]
    else:
        results = found.results  # cached in `found`, for another side with the same phases
    return _Side(results, shutdown, choices_of(shutdown.scenario, found.choices, "choose"), found)


def _alike(one: Verified, other: Verified) -> Iterator[str]:
    """Yields the phases that cannot differ between two shutdowns: the same probes in the same country at the same local
    time, while the same policies are in force."""
    a, b = one.shutdown, other.shutdown
    same = all(getattr(a, name) == getattr(b, name) for name in ("topology", "apps", "profiles", "controllers"))
    fields = ("probes", "observations", "throttled_below")
    same = same and all(getattr(a.scenario, name) == getattr(b.scenario, name) for name in fields)
    same = same and a.scenario.mode(one.choices) is b.scenario.mode(other.choices)
    # Faults, and what boxes remember, can make a phase depend on those before it.
    if not same or a.scenario.faults or b.scenario.faults or may_remember(a) or may_remember(b):
        return
    by_name = {phase.phase: phase for phase in b.scenario.timeline}
    for phase in a.scenario.timeline:
        twin = by_name.get(phase.phase)
        if twin is None or phase.obey or twin.obey:
            continue
        own = list(a.scenario.active(phase.phase, one.choices).items())  # first match wins, so order counts
        its = list(b.scenario.active(twin.phase, other.choices).items())
        if own == its and a.scenario.local_time(phase) == b.scenario.local_time(twin):
            yield phase.phase


def _file_of(side: Shutdown | str | Path | Mapping[str, Any]) -> Path | None:
    """Returns the file or directory that a side is, or None."""
    given = side.source if isinstance(side, Shutdown) else side
    path = at_home(str(given)) if isinstance(given, str | Path) and given else None
    return path if path is not None and path.exists() else None


@contextmanager
def _checked_out(where: str, revision: str, path: str, beside: Path | None) -> Iterator[Path]:
    """Yields a file as it was in a revision, checked out with everything beside it into a temporary directory.

    The repository is the current directory's, or else the one of the other side's file, where the path is relative to
    its top; an absolute path is looked up in the repository that contains it.
    """
    with tempfile.TemporaryDirectory(prefix="shutdownlab-") as directory:
        if Path(path).is_absolute():
            at = next(folder for folder in Path(path).parents if folder.is_dir())
            yield _file_in(at, where, revision, os.path.relpath(path, at), Path(directory))
            return
        try:
            file = _file_in(Path(), where, revision, path, Path(directory))
        except BadInput as mistake:
            top = _top(beside)
            if top is None or top == _top(Path()):
                raise
            try:
                file = _file_in(top, where, revision, path, Path(directory))
            except BadInput:
                also = f"nor is it in the repository of the other side, {top}, from its top"
                raise BadInput(
                    replace(each, hint="; ".join(filter(None, (each.hint, also)))) for each in mistake.problems
                ) from None
        yield file


def _top(at: Path | None) -> Path | None:
    """Returns the top of the working tree that a file or directory is in, or None."""
    if at is None:
        return None
    folder = at.resolve() if at.is_dir() else at.resolve().parent
    try:
        done = _asked_git(folder, "rev-parse", "--show-toplevel")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(os.fsdecode(done.stdout).removesuffix("\n")) if done.returncode == 0 else None


def _file_in(at: Path, where: str, revision: str, path: str, directory: Path) -> Path:
    """Checks out a revision of the repository at `at` into `directory`, and returns the file at `path`, relative to
    `at`."""
    inside = _git(at, where, revision, "rev-parse", "--show-prefix").removesuffix("\n")
    git_dir = _git(at, where, revision, "rev-parse", "--absolute-git-dir").removesuffix("\n")
    tree = Path(tempfile.mkdtemp(dir=directory))
    index = {"GIT_INDEX_FILE": str(tree.with_suffix(".index"))}  # leaves the repository's own index unchanged
    aside = (f"--git-dir={git_dir}", f"--work-tree={tree}")
    _git(at, where, revision, *aside, "read-tree", revision, **index)
    _git(at, where, revision, *aside, "checkout-index", "--all", **index)
    file = tree / inside / path
    if not file.is_file() or not Path(os.path.normpath(file)).is_relative_to(tree):
        refuse(where, f"{quoted(path)}, which {revision} does not have", "a file of that revision",
               _near(tree, tree / inside, path))  # fmt: skip
    return file


def _near(tree: Path, directory: Path, path: str) -> str:
    """Returns a hint at the file that may be meant: its path from the top, as git itself has it, or a misspelt name."""
    from_top = Path(os.path.normpath(tree / path))
    if from_top.is_relative_to(tree) and from_top.is_file():
        return f"from this directory it is {os.path.relpath(from_top, directory)}"
    folder = Path(os.path.normpath((directory / path).parent))
    if not folder.is_relative_to(tree) or not folder.is_dir():
        return ""
    return did_you_mean(path, (os.path.relpath(file, directory) for file in sorted(folder.iterdir()) if file.is_file()))


def _git(at: Path, where: str, revision: str, *arguments: str, **environment: str) -> str:
    """Returns git's output in a directory, about a revision that `where` names. Raises `BadInput`."""
    try:
        done = _asked_git(at, *arguments, **environment)
    except OSError as error:
        refuse(where, f"a revision, but no git ({error.strerror})", "a file, or a git revision and its path")
    except subprocess.TimeoutExpired:
        expected = "one that git reads within a minute"
        refuse(where, f"the revision {quoted(revision)}, which git has not read in {_GIT_SECONDS:.0f} s", expected)
    if done.returncode:
        _refuse_what_git_does_not_trust(where, done.stderr)
        complaints = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
        why = next((line.removeprefix("fatal: ") for line in complaints if line.startswith("fatal: ")), complaints[-1])
        if why.startswith("not a git repository"):
            place = "here" if at == Path() else f"in {at}"
            refuse(where, f"the revision {quoted(revision)}, and no git repository {place}", "a file that is here")
        hint = "`git log --oneline` names some"
        refuse(where, f"the revision {quoted(revision)}: {why}", "a revision of this git repository", hint)
    return os.fsdecode(done.stdout)


def _asked_git(at: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs git in a directory, with messages in English.

    Raises `OSError` if git is not installed, `TimeoutExpired` if it does not finish in time.
    """
    env = {**os.environ, "LC_ALL": "C", **environment}
    return subprocess.run(("git", *arguments), cwd=at, env=env, capture_output=True, timeout=_GIT_SECONDS, check=False)


def _refuse_what_git_does_not_trust(where: str, stderr: bytes) -> None:
    """Refuses another user's repository, as in containers of a CI: git does not read it, and says how to allow it."""
    if (found := re.search(rb"(git config --global --add safe\.directory .+)", stderr)) is not None:
        hint = os.fsdecode(found[1]).strip()
        refuse(where, "a git repository of another user, which git does not read", "one of your own", hint)
