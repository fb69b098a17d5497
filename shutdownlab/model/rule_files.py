"""Rules of DPI boxes in separate files, in the format that `shutdownlab inspect --policy` takes.

A scenario's policy takes the file's `rules`. The file's other keys are for captures (`inside`, `classes`, `asns`) or
are the scenario's to set (`profile`, and `utc_offset`, which must not differ).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

from shutdownlab.config.beside import document_beside
from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.condition_files import add_listed, resolve_files
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.vocabulary import check_rules
from shutdownlab.model.targets import LISTS


def include_files(document: Document, apps: Collection[str], classes: Collection[str], asns: Collection[int]) -> None:
    """Replaces every `inspect: FILE` of a scenario's policies with the file's rules, and list files with their
    contents.

    `classes` (of subscribers) and `asns`: those that rules may name. Problems of the files are reported to `document`.
    """
    policies = document.data.get("policies")
    for name, policy in policies.items() if isinstance(policies, dict) else ():
        path: Path = ("policies", name, "inspect")
        for place, targets in _with_lists(policy):
            for listing, target in LISTS.items():
                add_listed(document, ("policies", name, *place), targets, listing, target)
        inspect = policy.get("inspect") if isinstance(policy, dict) else None
        if isinstance(inspect, list):
            resolve_files(document, path)
        elif isinstance(inspect, str):
            part = document_beside(document, path, inspect)
            if part is not None and _are_sound(part, document, apps, classes, asns):
                document.include(path, part, ("rules",))
            else:
                policy["inspect"] = []  # reported already


def forget_files(policy: object) -> None:
    """Drops the list files that a policy names, when they are not read."""
    for _, targets in _with_lists(policy):
        for listing in LISTS:
            targets.pop(listing, None)


def _with_lists(policy: object) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields the parts of a policy, as plain data, that may name sites and addresses, with their path in it."""
    for key in ("block", "only", "except"):
        targets = policy.get(key) if isinstance(policy, dict) else None
        if isinstance(targets, dict):
            yield (key,), targets
    allowed = policy.get("allow") if isinstance(policy, dict) else None
    for index, allowance in enumerate(allowed if isinstance(allowed, list) else ()):
        if isinstance(allowance, dict):
            yield ("allow", index), allowance


def _are_sound(
    part: Document, document: Document, apps: Collection[str], classes: Collection[str], asns: Collection[int]
) -> bool:
    """Returns whether a file is a valid file of rules; its problems are reported to `document`."""
    if is_another(part, "policy"):
        document.problems.take(part.problems)
        return False
    resolve_files(part, ("rules",))
    check_rules(part, ("rules",), apps, classes, asns)
    if "rules" not in part.data:
        part.report((), "no 'rules'", "the key 'rules'", "rules such as `shutdownlab inspect --policy` takes")
    offset, own = (where.data.get("utc_offset", "+00:00") for where in (document, part))
    if "utc_offset" in part.data and own != offset:
        found = f"{quoted(own)}, but {quoted(offset)} in the scenario"
        part.report(("utc_offset",), found, "the same `utc_offset` in both", "leave it out here")
    with suppress(BadInput):  # reported to `part`, like everything else
        part.validate_as(InspectionPolicy)
    document.problems.take(part.problems)
    return not part.problems
