"""User-defined apps, from files that a scenario or topology lists.

They are added to the shipped apps, and replace one only where the file names it under `replaces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from shutdownlab.config.beside import document_beside, listed
from shutdownlab.config.document import Document, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.problems import BadInput
from shutdownlab.inspection.apps import App, Catalogue
from shutdownlab.inspection.recognition import installed_recognisers


def own_apps(document: Document, known: Mapping[str, App]) -> Mapping[str, App]:
    """Returns the apps of `known` plus those of the files that `document` lists under `apps`, by name.

    All mistakes are reported to `document`.
    """
    apps = dict(known)
    for path, name in listed(document, "apps"):
        part = document_beside(document, path, name)
        if part is None:
            continue
        if is_another(part, "catalogue"):
            document.problems.take(part.problems)
            continue
        try:
            catalogue = part.validate_as(Catalogue)
        except BadInput:
            # Still define the names, so that references to them are not reported as mistakes too.
            named = part.data.get("apps")
            apps |= {key: App(title=key) for key in (named if isinstance(named, dict) else ()) if key not in apps}
        else:
            _check(part, catalogue, apps)
            apps |= catalogue.apps
        document.problems.take(part.problems)
    return apps


def apps_of_file(document: Document, known: Mapping[str, App]) -> Mapping[str, App]:
    """Returns the apps of one app file, checked against `known`; raises `BadInput` with all its problems."""
    catalogue = document.validate_as(Catalogue)
    _check(document, catalogue, known)
    if document.problems:
        raise BadInput(document.problems)
    return catalogue.apps


def with_files(documents: Iterable[Document], known: Mapping[str, App]) -> Mapping[str, App]:
    """Returns the apps of `known` plus those of app files; raises `BadInput` with the problems of the first bad one."""
    apps = dict(known)
    for document in documents:
        if is_another(document, "catalogue"):
            raise BadInput(document.problems)
        apps |= apps_of_file(document, apps)
    return apps


def _check(part: Document, catalogue: Catalogue, known: Mapping[str, App]) -> None:
    """Reports to `part` apps that replace a known one without being listed under `replaces`, unknown protocols, and
    names, prefixes, fingerprints or protocols that another app already claims."""
    for index, key in enumerate(catalogue.replaces):
        if key not in catalogue.apps or key not in known:
            missing = "this file has no app of that name" if key in known else "there is no such app to replace"
            names = catalogue.apps.keys() & known.keys()
            hint = part.near(key, names) or "leave it out"
            part.report(("replaces", index), f"{quoted(key)}: {missing}", "an app that this file replaces", hint)
    for key in catalogue.apps:
        if key in known and key not in catalogue.replaces:
            found = f"the app {quoted(key)}, which exists already: {known[key].title}"
            hint = f"to replace it: `replaces: [{key}]` at the top of this file"
            part.report(("apps", key), found, "a unique name", hint)
    if any(app.protocols for app in catalogue.apps.values()):
        protocols = installed_recognisers().protocols
        for key, app in catalogue.apps.items():
            for index, name in enumerate(app.protocols):
                if name not in protocols:
                    part.report_unknown(("apps", key, "protocols", index), "protocol", name, protocols)
    others = {key: app for key, app in known.items() if key not in catalogue.apps}
    owners = {claim: key for key, app in others.items() for _, _, claim in _claims(app)}
    for key, app in catalogue.apps.items():
        for field, index, claim in _claims(app):
            if claim in owners:
                found = f"{claim[1]}, which is {owners[claim]}'s"
                hint = f"DPI boxes would no longer find {owners[claim]} by it"
                part.report(("apps", key, field, index), found, "a value that no other app has", hint)
            owners.setdefault(claim, key)


def _claims(app: App) -> Iterator[tuple[str, int, tuple[str, str]]]:
    """Yields each identifier that makes traffic the app's alone, as (field, index, (field, value))."""
    for field in ("suffixes", "prefixes", "fingerprints", "protocols"):
        for index, value in enumerate(getattr(app, field)):
            yield field, index, (field, str(value))
