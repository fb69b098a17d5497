"""Judges measurements again by OONI's rules, from their raw observations, and finds where the file differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from shutdownlab.ooni.apps import JUDGES, NEWEST
from shutdownlab.ooni.records import Keys, PublishedMeasurement, host_of, is_tagged, version_of
from shutdownlab.ooni.rules import BY_NAME, OURS, RULE_SETS, VerdictRules, rules_of
from shutdownlab.ooni.verdict import WEB_FIELDS, OoniVerdict

_WEB: Final = "web_connectivity"
TESTS: Final = (_WEB, *JUDGES)
_MEASURED: Final = msgspec.json.Decoder(PublishedMeasurement)
_KEYS: Final = msgspec.json.Decoder(Keys)
_CLAIMS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder()


class NotJudged(Exception):
    """A measurement can't be judged: what was found, and what was expected.

    kind: whether there are no rules for its test or version; a file may have many of these. ours: whether it is one of
    shutdownlab's own tests, which is not an error in the file.
    """

    def __init__(self, found: str, expected: str, *, kind: bool = False, ours: bool = False) -> None:
        super().__init__(f"found {found}; expected {expected}")
        self.found = found
        self.expected = expected
        self.kind = kind
        self.ours = ours


class Difference(NamedTuple):
    """A field whose value in the file differs from the one by the rules."""

    field: str
    file: Any
    judged: Any
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on a measurement by OONI's rules.

    `rules`: name of the rule set, or of the test for apps; `v0.5` if the steps lack the tags that `v0.5.27` needs.
    `fields`: the test's verdict fields, recomputed; for a website `blocking`, `accessible`, `dns_consistency`,
        `dns_experiment_failure` and `http_experiment_failure`. `why`: the reason for each.
    `assumed`: fields that the raw observations don't decide, copied from the file, and what is missing.
    `line`: line number in the file, from 1. `element`: its place in the array that begins in that line, from 1; 0 if it
        is in none.
    """

    test_name: str
    test_version: str
    input: str | None
    rules: str
    fields: Mapping[str, Any]
    why: Mapping[str, str]
    differs: tuple[Difference, ...]
    assumed: Mapping[str, str]
    line: int = 0
    element: int = 0

    @property
    def is_anomaly(self) -> bool:
        """Whether OONI's apps would show an anomaly: the website, or any part of the app, is blocked."""
        if self.test_name == _WEB:
            return bool(self.fields["blocking"])
        return any(
            value == "blocked" or (value is True and name.endswith("_blocking")) for name, value in self.fields.items()
        )


def judge_one(data: bytes | str, rules: VerdictRules | None = None, line: int = 0, element: int = 0) -> Judged:
    """Judges a measurement, a JSON object in OONI's data format 0.2.0. Raises `NotJudged`.

    `rules`: rules for websites; None for those of the measurement's own version. `line`, `element`: where
    it is in the file, as in `Judged`.
    """
    measured = _decoded(_MEASURED, data, "")
    if measured.test_name not in TESTS:
        ours = measured.software_name == OURS
        raise NotJudged(f"a measurement of {measured.test_name!r}", f"one of {', '.join(TESTS)}", kind=True, ours=ours)
    keys = _decoded(_KEYS, measured.test_keys, ".test_keys")
    raw = _decoded(_CLAIMS, measured.test_keys, ".test_keys")
    if measured.test_name == _WEB:
        name, verdict = _judge_web(measured, keys, raw, rules)
    elif not (keys.queries or keys.tcp_connect or keys.tls_handshakes or keys.requests):
        raise NotJudged("a measurement without raw observations", "queries, tcp_connect, tls_handshakes or requests")
    else:
        claims = {key: _VALUE.decode(value) for key, value in raw.items() if key.startswith(("facebook_", "whatsapp_"))}
        version = None if measured.software_name == OURS else version_of(measured.test_version)
        name, verdict = measured.test_name, JUDGES[measured.test_name](keys, claims, version or NEWEST)
    return Judged(
        measured.test_name,
        measured.test_version,
        measured.input,
        name,
        verdict.fields,
        verdict.why,
        tuple(_differences(verdict, raw)),
        verdict.assumed,
        line,
        element,
    )


def _judge_web(
    measured: PublishedMeasurement, keys: Keys, raw: Mapping[str, msgspec.Raw], rules: VerdictRules | None
) -> tuple[str, OoniVerdict]:
    chosen = rules or rules_of(measured.test_version, measured.software_name)
    if chosen is None:
        known = f"{RULE_SETS[0].versions.partition(' ')[0]} to before {RULE_SETS[-1].versions.rpartition(' ')[2]}"
        raise NotJudged(f"web_connectivity of version {measured.test_version!r}", f"{known}, or --rules", kind=True)
    if chosen.needs_tags and not is_tagged(keys):
        chosen = BY_NAME["v0.5"]
    if not measured.input or not host_of(measured.input):
        raise NotJudged(f"the input {measured.input!r}", "the URL of the website")
    return chosen.name, chosen.judge(measured.input, keys, _claimed(raw, "dns_consistency"))


def _differences(verdict: OoniVerdict, raw: Mapping[str, msgspec.Raw]) -> Iterator[Difference]:
    for field, judged in verdict.fields.items():
        claimed = _claimed(raw, field)
        if isinstance(claimed, list):
            claimed = sorted(map(str, claimed))
        agrees = claimed == judged and type(claimed) is type(judged)
        if not agrees and not (isinstance(claimed, str) and claimed in verdict.either.get(field, ())):
            yield Difference(field, claimed, judged, verdict.why.get(field, ""))


def _claimed(raw: Mapping[str, msgspec.Raw], field: str) -> Any:
    """Returns a field's value in the file; None if it is missing, or is "" for one of `WEB_FIELDS`."""
    value = raw.get(field)
    decoded = None if value is None else _VALUE.decode(value)
    return None if decoded == "" and field in WEB_FIELDS else decoded


def _decoded(decoder: Any, data: Any, where: str) -> Any:
    """Decodes `data`. Raises `NotJudged`; `where`: path of the data, for the message."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _not_a_measurement(str(error), where) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Which of them is raised for invalid UTF-8 depends on msgspec's version.
        not_text = isinstance(error, UnicodeDecodeError) or "UTF-8" in str(error)
        found = "a line that is not UTF-8" if not_text else f"a line that is not JSON ({error})"
        raise NotJudged(found, "a measurement, one JSON object") from None


_MISTAKE: Final = re.compile(r"Expected `(?P<expected>.+?)`, got `(?P<found>.+?)`(?: - at `\$(?P<path>.*)`)?")


def _not_a_measurement(mistake: str, where: str) -> NotJudged:
    """Converts the decoder's message about data of the wrong type."""
    known = _MISTAKE.fullmatch(mistake)
    if known is None:
        return NotJudged(f"a JSON object of another kind ({mistake})", "a measurement in OONI's data format 0.2.0")
    place = f"{where}{known['path'] or ''}"
    return NotJudged(f"{known['found']} at {place.lstrip('.')}" if place else known["found"], known["expected"])
