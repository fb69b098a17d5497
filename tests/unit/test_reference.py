"""docs/reference: it says of every key what the models say, as they are now, with an example that is valid."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shutdownlab import library
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import load_profile
from shutdownlab.schemas import library_page
from shutdownlab.schemas.kinds import KINDS
from shutdownlab.schemas.markdown import ROOT, flow, shown, table
from shutdownlab.schemas.outline import Section, pages
from shutdownlab.schemas.reference import FOLDER, examples_of, rendered
from shutdownlab.schemas.shipped import shipped

FILES = ["README.md", *(page.file for page in pages())]
SECTIONS = [
    pytest.param(part.kind, section, id=f"{part.kind}-{section.name or 'file'}")
    for page in pages()
    for part in page.parts
    for section in part.sections
]


@cache
def texts() -> dict[str, str]:
    """The pages by their files' names: seconds of work, which no worker that only collects the tests should do."""
    return rendered()


def definition(kind: str, name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(shipped(kind))
    part = schema["$defs"][name] if name != ROOT else schema
    return next((option for option in part.get("anyOf", ()) if "properties" in option), part)


@pytest.mark.parametrize("file", FILES)
def test_the_page_is_made_from_the_models_as_they_are(file: str) -> None:
    assert (FOLDER / file).read_text() == texts()[file], "a model or an example has changed: `make reference`"


@pytest.mark.parametrize(("kind", "section"), SECTIONS)
def test_every_key_has_a_row_and_an_example(kind: str, section: Section) -> None:
    examples, text = examples_of(kind), "\n".join(texts().values())
    common = definition(kind, section.common)["properties"] if section.common else {}
    for key in definition(kind, section.name)["properties"].keys() - common.keys():
        assert f"| `{key}` |" in text
        if KINDS[kind].mode == "validation":
            assert (section.name, key) in examples, f"no example of {key}: add one to docs/reference/examples"


@pytest.mark.parametrize("kind", KINDS)
def test_everything_with_keys_has_a_section(kind: str) -> None:
    told = {section.name for page in pages() for part in page.parts for section in part.sections}
    told.add("Result")  # a row of results.csv
    schema = json.loads(shipped(kind))
    keyed = {name for name in schema.get("$defs", {}) if "properties" in definition(kind, name)}
    assert keyed <= told


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_described_twice_on_a_page(file: str) -> None:
    headings = [line for line in texts()[file].splitlines() if line.startswith("#")]
    assert [heading for heading, times in Counter(headings).items() if times > 1] == []


def test_the_examples_are_valid() -> None:
    examples = FOLDER / "examples"
    library.check(str(examples / "every-run.yaml"))
    library.check(str(examples / "country.yaml"))
    load_policy((examples / "rules.yaml").read_bytes(), str(examples / "rules.yaml"))
    load_profile((examples / "box.yaml").read_bytes(), str(examples / "box.yaml"))
    for name, file in (("event", "events.jsonl"), ("measurement", "measurements.jsonl"), ("manifest", "manifest.json")):
        text = (examples / "run" / file).read_text()
        for line in text.splitlines() if file.endswith("l") else [text]:
            Draft202012Validator(of_any_version(json.loads(shipped(name)))).validate(json.loads(line))


def of_any_version(schema: Any) -> Any:
    """A schema of what a run of an earlier version, too, has written: later ones write more."""
    if isinstance(schema, list):
        return [of_any_version(part) for part in schema]
    if isinstance(schema, dict):
        return {key: of_any_version(part) for key, part in schema.items() if key != "required"}
    return schema


def test_every_page_is_among_those_that_are_compared() -> None:
    assert list(texts()) == FILES


def test_links_lead_to_a_heading_or_a_file_that_is_there() -> None:
    anchors = {
        file: {re.sub(r"[^\w\- ]", "", line.strip("# \n").lower()).replace(" ", "-") for line in text.splitlines()}
        for file, text in texts().items()
    }
    for file, text in texts().items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path, _, anchor = target.partition("#")
            if path.startswith(".."):
                assert (FOLDER / path).resolve().is_file(), target
            else:
                assert not anchor or anchor in anchors[path or file], target


@pytest.mark.parametrize("key", ["utc_offset", "hours", "at", "only", "groups", "delays", "inspect", "name_file"])
def test_keys_that_were_nowhere_described_are(key: str) -> None:
    rows = [line for text in texts().values() for line in text.splitlines() if line.startswith(f"| `{key}` |")]
    assert rows
    assert all(len(row.split(" | ")[3]) > 20 for row in rows)


def test_a_row_says_type_bounds_default_and_what_choices_mean() -> None:
    schema = {
        "properties": {
            "rate": {"type": "number", "minimum": 0, "maximum": 0.5, "default": 0.0, "description": "How much."},
            "by": {"$ref": "#/$defs/Means", "default": "dpi"},
            "names": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        },
        "required": ["names"],
    }
    means = {"Means": {"enum": ["dpi", "address"], "description": "How."}}
    text = table(schema, means, ROOT, {(ROOT, "names"): ["a|b"]}, lambda name: name, reads=True)
    assert text.splitlines()[2:] == [
        "| `rate` | number, 0 to 0.5 | `0.0` | How much. |  |",
        "| `by` | `dpi`, `address` | `dpi` | How. |  |",
        "| `names` | text, or a list | **needed** |  | `[a\\|b]` |",
    ]


def test_long_examples_show_their_beginning() -> None:
    assert flow({"apps": ["a"]}) == "{apps: [a]}"
    assert shown("word " * 30).endswith("…")
    assert shown({"first": {"k": "v" * 80}, "second": 1}) == "{first: {…}, …}"
    assert shown([{"name": "n", "k": "v" * 80}]) == "[{name: n, …}, …]"


def test_the_page_of_the_library_is_made_from_the_scenarios_as_they_are() -> None:
    assert (FOLDER.parent / "library.md").read_text() == library_page.rendered()
