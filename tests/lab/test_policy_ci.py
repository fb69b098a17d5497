"""The example repository that guards a policy, and the GitHub Action that it uses, step by step in a clean home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/policy-ci"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
ENVIRONMENT = Path(sys.executable).parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example, committed, with a branch of the server's where it began."""
    place = tmp_path / "repository"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    git = ("git", "-c", "user.name=us", "-c", "user.email=us@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "as it was")):
        subprocess.run((*git, *command), cwd=place, check=True)
    subprocess.run(("git", "update-ref", "refs/remotes/origin/main", "HEAD"), cwd=place, check=True)
    return place


def loosen(repository: Path) -> None:
    """Take the bank's exemption away."""
    policy = repository / "policies/ours.yaml"
    text = policy.read_text()
    assert "except: {apps: [kaspi], subscribers" in text
    policy.write_text(text.replace("except: {apps: [kaspi], subscribers", "except: {subscribers"))


def clean(repository: Path, **variables: str) -> dict[str, str]:
    """The surroundings of a job: a home of its own, and nothing of ours but what was installed."""
    home = repository.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return kept | {"HOME": str(home), "PATH": f"{ENVIRONMENT}:/usr/sbin:/usr/bin:/sbin:/bin"} | variables


def bash(script: str, repository: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A step, as a runner starts it."""
    command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
    return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)


def steps(repository: Path, **given: str) -> dict[str, subprocess.CompletedProcess[str]]:
    """What the action's steps do with these inputs, all but the installation; after one that failed there are none."""
    inputs = {name: each["default"] for name, each in ACTION["inputs"].items()} | given
    conditions = {
        None: True,
        "inputs.base != ''": bool(inputs["base"]),
        "inputs.emulate == 'true'": inputs["emulate"] == "true",
        "inputs.emulate != 'true'": inputs["emulate"] != "true",
    }
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for step in ACTION["runs"]["steps"]:
        if step["name"].startswith("Install") or not conditions[step.get("if")]:
            continue
        own = {name: inputs[text[len("${{ inputs.") : -len(" }}")]] for name, text in step["env"].items()}
        summary = str(repository.parent / "summary.md")
        done[step["name"]] = bash(step["run"], repository, clean(repository, GITHUB_STEP_SUMMARY=summary, **own))
        if done[step["name"]].returncode:
            break
    return done


def test_a_policy_that_keeps_its_promises_passes_every_step_and_packets_agree(repository: Path) -> None:
    done = steps(repository, base="origin/main", emulate="true")
    assert [(name, each.returncode) for name, each in done.items()] == [
        ("Check", 0), ("Compare", 0), ("Verify", 0), ("Run", 0),
    ], [each.stderr for each in done.values()]  # fmt: skip
    assert "The model says the same of all 54 cells." in done["Run"].stdout
    results = repository / "shutdownlab-results"
    for name in ("ours.verified.xml", "ours.measured.xml"):
        suites = ElementTree.parse(results / name).getroot()
        assert {suite.get("failures") for suite in suites} == {"0"}
    assert (results / "ours/results.csv").is_file()


def test_the_job_in_the_readme_works_as_written_from_its_checkout_on(repository: Path) -> None:
    """All that follows the installation; the checkout is a clone as deep as the job asks for, of a pull request.

    Of the last step, that its options are known: the test above does what they ask for, with real packets.
    """
    (block,) = re.findall(r"```yaml\n(steps:\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    checkout, setup, *commands = yaml.safe_load(block)["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert setup["run"] == "make setup USERNS=profile"
    depth = checkout.get("with", {}).get("fetch-depth", 1)  # actions/checkout's own default
    place = repository.parent / "checkout"
    deep = [f"--depth={depth}", "--single-branch"] if depth else []
    git = ("git", "-c", "user.name=us", "-c", "user.email=us@example.org")
    subprocess.run((*git, "branch", "-M", "main"), cwd=repository, check=True)
    subprocess.run((*git, "checkout", "-qb", "change"), cwd=repository, check=True)
    subprocess.run((*git, "commit", "-qm", "changed", "--allow-empty"), cwd=repository, check=True)
    subprocess.run((*git, "clone", "-q", *deep, f"file://{repository}", place), check=True)
    (place / ".venv").symlink_to(ENVIRONMENT.parent)
    commands[-1]["run"] += " --help"
    for step in commands:
        done = bash(step["run"], place, clean(repository, GITHUB_STEP_SUMMARY=str(repository.parent / "summary.md")))
        assert done.returncode == 0, (step["run"], done.stdout, done.stderr)
    assert commands[-1]["run"].startswith(".venv/bin/shutdownlab run policies/ours.yaml ")
    assert {suite.get("failures") for suite in ElementTree.parse(place / "verified.xml").getroot()} == {"0"}


def test_a_change_that_breaks_a_promise_is_annotated_with_its_cause_and_fails(repository: Path) -> None:
    loosen(repository)
    done = steps(repository, base="origin/main")
    assert [(name, each.returncode) for name, each in done.items()] == [("Check", 0), ("Compare", 0), ("Verify", 1)]
    annotation = done["Compare"].stdout.splitlines()[0]
    assert annotation.startswith("::warning file=policies/ours.yaml,line=")  # no error: the step allows it
    assert "kaspi.kz: ok → blocked" in annotation
    assert "kaspi.kz: ok → blocked" in (repository.parent / "summary.md").read_text()
    assert "not as expected: bank-only: kaspi.kz from" in done["Verify"].stdout.replace("\n", " ")
    suites = ElementTree.parse(repository / "shutdownlab-results/ours.verified.xml").getroot()
    assert {suite.get("name"): suite.get("failures") for suite in suites}["bank-only"] == "1"


def test_a_scenario_that_is_new_is_compared_with_nothing(repository: Path) -> None:
    (repository / "policies/ours.yaml").rename(repository / "policies/new.yaml")
    done = steps(repository, base="origin/main")
    assert [(name, each.returncode) for name, each in done.items()] == [("Check", 0), ("Compare", 0), ("Verify", 0)]
    assert done["Compare"].stdout == ""


def test_scenarios_of_one_name_in_different_folders_keep_their_results_apart(repository: Path) -> None:
    policies = repository / "policies"
    shutil.copytree(policies, repository / "other")
    loosen(repository)
    done = steps(repository, scenarios="policies/*.yaml ./other/*.yaml")
    assert [(name, each.returncode) for name, each in done.items()] == [("Check", 0), ("Verify", 1)], done
    failures = {
        file.name: sum(int(suite.get("failures", 0)) for suite in ElementTree.parse(file).getroot())
        for file in (repository / "shutdownlab-results").iterdir()
    }
    assert failures.pop("policies+ours.verified.xml") > 0
    assert failures == {"other+ours.verified.xml": 0}


def test_a_base_that_was_not_fetched_is_bad_input_not_a_comparison_with_nothing(repository: Path) -> None:
    done = steps(repository, base="origin/release")
    assert [(name, each.returncode) for name, each in done.items()] == [("Check", 0), ("Compare", 2)]
    (told,) = done["Compare"].stdout.splitlines()
    assert told.startswith("::error::base: found origin/release, which is no revision here; expected one that was")


@pytest.mark.thorough
def test_gitlabs_job_says_the_same(repository: Path) -> None:
    job = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())["policy"]
    (repository.parent / "venv").symlink_to(ENVIRONMENT.parent)
    environment = clean(repository, CI_DEFAULT_BRANCH="main")
    assert [bash(line, repository, environment).returncode for line in job["script"]] == [0, 0, 0]
    loosen(repository)
    assert [bash(line, repository, environment).returncode for line in job["script"]] == [0, 0, 1]
    subprocess.run(("git", "update-ref", "-d", "refs/remotes/origin/main"), cwd=repository, check=True)
    compared = bash(job["script"][1], repository, environment)
    assert (compared.returncode, compared.stdout, compared.stderr) == (0, "", ""), (
        "what is new is compared with nothing"
    )


@pytest.mark.thorough
def test_the_examples_own_tests_pass_with_real_packets(repository: Path) -> None:
    done = bash("pytest -p no:cacheprovider tests", repository, clean(repository))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
