"""`shutdownlab diff`: for whom what has changed, in a few lines, and since which line of the policy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from readme import block_with
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.comparison import diff
from shutdownlab.config.problems import BadInput
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.reporting.compared import agreement_lines, line_of, phases_text, who_text
from shutdownlab.reporting.junit import of_run
from shutdownlab.results.cells import Cell
from shutdownlab.results.result import Result
from shutdownlab.verifier.causes import Cause, causes_of
from shutdownlab.verifier.compare import CellChange, compare
from shutdownlab.verifier.verify import Verified, verify

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "scenarios/first-shutdown.yaml"


def written(folder: Path, old: str, new: str, source: Path = FIRST, name: str = "mine.yaml") -> Path:
    """A scenario with one text replaced, once."""
    text = source.read_text()
    assert old in text
    file = folder / name
    file.write_text(text.replace(old, new, 1))
    return file


def test_a_hole_that_is_closed_is_reported_as_the_readme_has_it_with_the_lines_of_policies_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = CliRunner().invoke(app, ["show", "kazakhstan-2022"]).output
    Path("my.yaml").write_text(text.replace("ports: [179, 3785, 5060]", "ports: [179, 5060]"))
    done = CliRunner().invoke(app, ["diff", "kazakhstan-2022", "my.yaml"])
    assert done.exit_code == 1
    command, *first, cut, total = block_with("ok → blocked, since").splitlines()
    assert (command, cut) == ("$ shutdownlab diff kazakhstan-2022 my.yaml", "…")
    said = done.output.splitlines()
    assert (said[: len(first)], said[-1]) == (first, total)
    assert "`blackout-elsewhere`" not in done.output, "it is in force by another account alone"


def test_the_three_causes_of_the_most_phases_are_reported() -> None:
    def cause(name: str, *phases: str) -> Cause:
        return Cause(name, f"`{name}` has gone", "", frozenset(phases))

    ok, blocked = (Outcome.OK, ""), (Outcome.BLOCKED, "")
    change = CellChange(ok, blocked, ("web",), ("one", "two", "three"), (), (), ("ipv4",), 3)
    given = [cause("a", "one"), cause("b", "four"), cause("c", "two", "three"), cause("d"), cause("e", "two")]
    causes = tuple(map(str, causes_of(change, given)))
    assert causes == ("`d` has gone", "`c` has gone", "`a` has gone", "`e` has gone")
    line = line_of(replace(change, causes=causes), ["one", "two", "three", "four"])
    assert line.endswith(": web: ok → blocked, since `d` has gone; `c` has gone; `a` has gone; and 1 more")


def test_each_of_two_differences_of_a_policy_is_named_for_what_it_alone_changed(tmp_path: Path) -> None:
    before = "    except: {subscribers: [government], ports: [tcp/179]}"
    found = diff(FIRST, written(tmp_path, before, "    except: {sites: [www.bbc.com], ports: [tcp/179]}"))
    told = {(change.kind, *(cause.partition(", ")[0] for cause in change.causes)) for change in found.changes}
    assert told == {
        ("blocked", "`blackout` no longer excepts subscribers government"),
        ("allowed", "`blackout` excepts www.bbc.com now"),
    }


def test_exceptions_where_there_were_none_are_reported_one_by_one(tmp_path: Path) -> None:
    left_out = written(tmp_path, "    except: {subscribers: [government], ports: [tcp/179]}\n", "")
    for old, new, told in (
        (left_out, FIRST, ("`blackout` excepts tcp/179 now", "`blackout` excepts subscribers government now")),
        (
            FIRST,
            left_out,
            ("`blackout` no longer excepts tcp/179", "`blackout` no longer excepts subscribers government"),
        ),
    ):
        said = {cause.partition(", ")[0] for change in diff(old, new).changes for cause in change.causes}
        assert said == set(told)


def test_of_one_list_what_has_come_and_what_has_gone_are_reported_each_of_its_own(tmp_path: Path) -> None:
    another = written(tmp_path, "block: {apps: [whatsapp]}", "block: {apps: [telegram]}")
    everybody = written(tmp_path, "[northnet], subscribers: [ordinary]}", "[northnet]}", another)
    found = diff(FIRST, everybody)
    assert {change.targets: [each.partition(",")[0] for each in change.causes] for change in found.changes} == {
        ("telegram",): [
            "`whatsapp-reset` blocks telegram now",
            "`whatsapp-reset` has another `where`: subscribers all",
        ],
        ("whatsapp",): ["`whatsapp-reset` no longer blocks whatsapp"],
    }


def test_of_two_policies_that_each_suffice_both_are_reported(tmp_path: Path) -> None:
    block = "title: Telegram too, block: {apps: [telegram]}, by: dpi, source: EXAMPLE"
    both = f"  one: {{{block}}}\n  two: {{{block}}}\n\nprobes:\n"
    mine = written(tmp_path, "\nprobes:\n", both)
    started = written(tmp_path, "whatsapp-dropped]", "whatsapp-dropped, one, two]", mine)
    telegram = [change for change in diff(FIRST, started).changes if change.targets == ("telegram",)]
    assert telegram
    for change in telegram:
        assert [cause.partition(" there")[0] for cause in change.causes] == ["`one` is in force", "`two` is in force"]


def test_two_versions_that_come_out_alike_are_no_change(tmp_path: Path) -> None:
    mine = written(tmp_path, "title: A first shutdown\n", "title: The first one\n")
    done = CliRunner().invoke(app, ["diff", "first-shutdown", str(mine)])
    assert (done.exit_code, done.output) == (0, "No change: 454 cells come out as before.\n")


def test_phases_of_the_same_orders_are_worked_out_once_and_nothing_is_reported_otherwise_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = written(tmp_path, "subscribers: [government], ports: [tcp/179]}", "subscribers: [government]}")
    whole = compare(verify(FIRST).results, verify(mine).results)
    worked_out: list[tuple[str, str]] = []
    of_phase = Verified.of_phase

    def noted(self: Verified, phase: Phase) -> Iterator[tuple[Cell, Result]]:
        worked_out.append((Path(self.shutdown.source).name, phase.phase))
        return of_phase(self, phase)

    monkeypatch.setattr(Verified, "of_phase", noted)
    found = diff(FIRST, mine)
    assert [phase for file, phase in worked_out if file == mine.name] == ["blackout"]
    assert found.changes and all(change.causes for change in found.changes)
    assert replace(found, changes=tuple(replace(change, causes=()) for change in found.changes)) == whole


def test_newly_allowed_cells_and_other_failures_are_distinguished(tmp_path: Path) -> None:
    mine = written(tmp_path, "    action: drop  # the app waits", "    action: reset  # the app fails")
    otherwise = diff(FIRST, mine)
    assert [(change.kind, change.cells) for change in otherwise.changes] == [("otherwise", 2)]
    allowed = diff(
        FIRST,
        written(
            tmp_path,
            "    except: {subscribers: [government], ports: [tcp/179]}",
            "    except: {subscribers: [government, ordinary], ports: [tcp/179]}",
        ),
    )
    assert {change.kind for change in allowed.changes} == {"allowed"}
    assert all("`blackout` excepts subscribers ordinary now" in change.causes[0] for change in allowed.changes)


def test_a_run_that_measured_no_phase_to_its_end_is_told_from_one_of_another_country(tmp_path: Path) -> None:
    verify(FIRST).write(tmp_path / "run")
    results = tmp_path / "run/results.csv"
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:9]))  # as of a disk that was full
    for sides, which in (((tmp_path / "run", FIRST), "OLD"), ((FIRST, tmp_path / "run"), "NEW")):
        with pytest.raises(BadInput, match=f"{which}: found a run without any result of a complete phase"):
            diff(*sides)


def test_a_verified_directory_is_compared_with_a_scenario(tmp_path: Path) -> None:
    verify(FIRST).write(tmp_path / "run")
    assert diff(tmp_path / "run", FIRST).changes == ()
    mine = written(tmp_path, "    throttle: 512kbit", "    throttle: 20mbit")
    found = diff(tmp_path / "run", mine)
    assert [(c.targets, c.phases, c.kind) for c in found.changes] == [(("speed",), ("mobile-throttled",), "faster")]
    assert found.changes[0].causes == ()


def test_a_revision_of_git_is_read_with_all_that_stood_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def git(*arguments: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    topology = (ROOT / "topologies/two-operators.yaml").read_text()
    (tmp_path / "country.yaml").write_text(topology)
    written(tmp_path, "topology: two-operators", "topology: ./country.yaml")
    written(tmp_path, "topology: ./country.yaml", "topology: ../country.yaml", tmp_path / "mine.yaml")
    policies = tmp_path / "policies"
    policies.mkdir()
    mine = (tmp_path / "mine.yaml").rename(policies / "mine.yaml")
    (tmp_path / ".gitattributes").write_text("country.yaml export-ignore\n")  # which is about archives alone
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    index = (tmp_path / ".git/index").read_bytes()
    written(policies, "    throttle: 512kbit", "    throttle: 20mbit", mine)
    for inside, file, old in (
        (tmp_path, "policies/mine.yaml", ("HEAD:policies/mine.yaml", "HEAD")),
        (policies, "mine.yaml", ("HEAD:mine.yaml", "HEAD", "HEAD:../policies/mine.yaml")),
    ):
        monkeypatch.chdir(inside)
        assert [diff(each, file).changed for each in old] == [1] * len(old)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / ".git/index").read_bytes() == index


@pytest.mark.parametrize(
    ("old", "found"),
    [
        ("nothing:scenarios/first-shutdown.yaml", "OLD: found the revision 'nothing'"),
        ("HEAD:scenarios/none.yaml", "OLD: found 'scenarios/none.yaml', which HEAD does not have"),
        ("HEAD:../../../../etc/passwd", "OLD: found '../../../../etc/passwd', which HEAD does not have"),
        ("none.yaml", "none.yaml: found no such file"),
        ("HEAX", "OLD: found 'HEAX', which is neither a file, nor a shipped scenario, nor a git revision here"),
        ("kazakstan-2022", "did you mean 'kazakhstan-2022'?"),
    ],
)
def test_a_side_that_is_not_there_is_bad_input(old: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["diff", old, "scenarios/first-shutdown.yaml"])
    assert done.exit_code == 2
    assert found in done.output.replace("\n", " ")


def test_without_git_there_are_no_revisions_and_all_else_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(app, ["diff", "HEAD", str(FIRST)])
    assert (done.exit_code, "nor a git revision here" in done.output) == (2, True)
    done = CliRunner().invoke(app, ["diff", "HEAD:mine.yaml", str(FIRST)])
    assert (done.exit_code, "found a revision, but no git" in done.output) == (2, True)
    assert diff("first-shutdown", FIRST).changed == 0


def test_markdown_json_and_githubs_annotations_say_the_same(tmp_path: Path) -> None:
    mine = written(
        tmp_path, "ports: [tcp/179]}\n    source: EXAMPLE\n  allowlist", "}\n    source: EXAMPLE\n  allowlist"
    )
    runner = CliRunner()
    done = runner.invoke(app, ["diff", str(FIRST), str(mine)])
    plain = done.output.splitlines()
    assert done.exit_code == 1
    assert runner.invoke(app, ["diff", str(FIRST), str(mine), "--allow"]).exit_code == 0
    markdown = runner.invoke(app, ["diff", str(FIRST), str(mine), "--format", "markdown"]).output
    assert markdown.startswith(f"**{plain[-1]}**\n\n- {plain[0]}")
    told = json.loads(runner.invoke(app, ["diff", str(FIRST), str(mine), "--format", "json"]).output)
    assert (told["compared"], told["changed"]) == (454, 5)
    summary = tmp_path / "summary.md"
    annotated = runner.invoke(
        app, ["diff", str(FIRST), str(mine), "--format", "github"], env={"GITHUB_STEP_SUMMARY": str(summary)}
    ).output
    assert annotated.startswith(f"::error file={mine},line=")
    assert summary.read_text() == markdown
    done = runner.invoke(app, ["diff", str(FIRST), str(mine), "--format", "github", "--allow"])
    assert (done.exit_code, done.output) == (0, annotated.replace("::error", "::warning")), (
        "what is allowed is no error"
    )


def test_a_summary_that_cannot_be_written_is_reported_after_the_annotations(tmp_path: Path) -> None:
    mine = written(tmp_path, "ports: [tcp/179]", "ports: [tcp/180]")
    done = CliRunner().invoke(
        app, ["diff", str(FIRST), str(mine), "--format", "github"], env={"GITHUB_STEP_SUMMARY": str(tmp_path)}
    )
    assert done.exit_code == 2
    assert done.stdout.startswith(f"::error file={mine},line=")
    found = f"found {tmp_path}, which cannot be written (is a directory)"
    assert f"GITHUB_STEP_SUMMARY: {found}" in done.stderr.replace("\n", " ")


def test_junit_has_a_failed_test_for_each_target_that_changed_in_a_phase(tmp_path: Path) -> None:
    mine = written(tmp_path, "ports: [tcp/179]", "ports: [tcp/180]")
    done = CliRunner().invoke(app, ["diff", str(FIRST), str(mine), "--format", "junit"])
    assert done.exit_code == 1
    root = ElementTree.fromstring(done.output)
    tests = {suite.get("name"): suite.get("tests") for suite in root}
    assert tests == dict.fromkeys(tests, "0") | {"blackout": "1"}
    (case,) = root.iter("testcase")
    assert (case.get("classname"), case.get("name")) == ("diff.blackout", "bridge-179")
    assert [each.tag for each in case] == ["failure"]
    assert "bridge-179: ok → blocked, since `blackout`" in (case[0].text or "")


def test_where_packets_did_other_than_the_model_says_it_is_reported_for_whom() -> None:
    said = verify("first-shutdown", at="blackout").results
    did = [each.model_copy(update={"outcome": Outcome.OK}) if each.target == "ping" else each for each in said]
    lines = list(agreement_lines(compare(said, did)))
    assert lines == [
        "the model says → packets did: all operators, datacentre, ordinary, `blackout`: ping: blocked → ok",
        f"Packets differed from the model in 5 of {len(said)} cells.",
    ]
    assert list(agreement_lines(compare(said, said))) == [f"The model says the same of all {len(said)} cells."]
    assert list(agreement_lines(compare([], []))) == [
        "No cell was measured: there is nothing to compare with the model."
    ]
    unsure = [each.model_copy(update={"outcome": Outcome.UNKNOWN}) if each.target == "ping" else each for each in said]
    (line,) = agreement_lines(compare(said, unsure))
    assert line.endswith(f"all {len(said) - 6} cells; 6 were decided by only one of them.")


def test_a_measured_cell_without_a_verdict_is_an_error_and_one_that_is_not_as_expected_a_failure() -> None:
    found = verify("first-shutdown", at="blackout").results
    changes = {"ping": {"outcome": Outcome.UNKNOWN, "failure": "unknown_failure: busy"}, "dns": {"outcome": Outcome.OK}}
    root = ElementTree.fromstring(of_run("mine", [each.model_copy(update=changes.get(each.target)) for each in found]))
    told = {case.get("name"): [each.tag for each in case] for case in root.iter("testcase")}
    assert {name: kinds for name, kinds in told.items() if kinds} == {"ping": ["error"], "dns": ["failure"]}
    assert {key: root[0].get(key) for key in ("failures", "errors", "skipped")} == {
        "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip


def test_vantage_points_are_reported_by_what_they_have_in_common() -> None:
    def who(operator: str, region: str, access: str = "fixed") -> tuple[str, str, str, str, str]:
        return operator, region, "ordinary", access, "ordinary"

    asked = [who(o, r, "mobile" if o == "b" else "fixed") for o in "abc" for r in ("coast", "hills", "plain")]
    assert who_text(asked, asked) == "everybody"
    assert who_text([each for each in asked if each[1] != "plain"], asked) == "all operators, coast, hills"
    assert who_text([each for each in asked if each[0] == "b"], asked) == "b"
    assert who_text(asked[:2], asked) == "a, coast, hills"
    assert who_text([asked[0], asked[4], asked[8]], asked) == "a/coast/ordinary, b/hills/ordinary, c/plain/ordinary"
    staff = [("a", "coast", "staff", "fixed", "ordinary"), ("a", "coast", "ordinary", "fixed", "staff")]
    assert who_text(asked, [*asked, *staff]) == "all operators, ordinary"


def test_phases_in_a_row_are_a_span() -> None:
    timeline = ["one", "two", "three", "four", "five"]
    assert phases_text(["one", "two", "three"], timeline) == "`one` to `three`"
    assert phases_text(["one", "two", "five"], timeline) == "`one`, `two`, `five`"
    assert phases_text(timeline, timeline) == "all phases"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one scenario, in a folder of its own, where the test is."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/ours.yaml").write_text(FIRST.read_text())
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "policies")
    return tmp_path


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["diff", *arguments])
    assert done.exit_code == 2
    return " ".join(done.output.split())


@pytest.mark.parametrize("old", ["HEAD", "HEAD:ours.yaml"])
@pytest.mark.usefixtures("repository")
def test_a_repository_that_git_does_not_trust_is_reported_with_what_makes_it(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, as if somebody else had cloned it
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # its user may trust every repository
    said = refused(old, "ours.yaml")
    assert "OLD: found a git repository of another user, which git does not read" in said
    assert "hint: git config --global --add safe.directory " in said


@pytest.mark.usefixtures("repository")
def test_a_path_from_the_top_and_a_misspelt_one_are_reported_with_the_file_that_is_meant() -> None:
    assert "hint: from this directory it is ours.yaml" in refused("HEAD:policies/ours.yaml", "ours.yaml")
    assert "hint: did you mean 'ours.yaml'?" in refused("HEAD:our.yaml", "ours.yaml")


@pytest.mark.parametrize("elsewhere", ["no repository", "another repository"])
def test_a_revision_is_that_of_the_file_s_own_repository_wherever_it_is_asked_from(
    elsewhere: str, repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = repository / "policies/ours.yaml"
    ours.write_text(FIRST.read_text().replace("    throttle: 512kbit", "    throttle: 20mbit", 1))
    here = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here.parent))
    if elsewhere == "another repository":
        (here / "other.yaml").write_text("format: 1\n")
        for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "other"]):
            author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
            subprocess.run(["git", *author, *arguments], cwd=here, check=True, capture_output=True)
    monkeypatch.chdir(here)
    changed = diff(FIRST, ours).changed
    assert changed
    for old in ("HEAD:policies/ours.yaml", "HEAD", f"HEAD:{ours}"):
        assert diff(old, ours).changed == changed, old
    assert diff(ours, "HEAD:policies/ours.yaml").changed == changed
    assert diff(FIRST, f"HEAD:{ours}").changed == 0
    said = refused("HEAD:policies/none.yaml", str(ours))
    assert f"nor is it in the repository of the other side, {repository}, from its top" in said
    said = refused(f"HEAD:{repository}/gone/none.yaml", str(ours))
    assert "found 'gone/none.yaml', which HEAD does not have" in said


def test_a_revision_where_there_is_no_repository_is_reported_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    said = refused("HEAD:ours.yaml", str(FIRST))
    assert "OLD: found the revision 'HEAD', and no git repository here; expected a file that is here" in said
