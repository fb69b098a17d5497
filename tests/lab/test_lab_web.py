"""A country at the prompt and on a page at once: what is ordered at one is seen at the other. And a class.

No browser: what the page is sent, and what it would send.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from invocation import shutdownlab as command_of

pytest.importorskip("uvicorn", reason="no uvicorn: pip install 'shutdownlab[web]'")
ROOT = Path(__file__).parents[2]


def heard(link: str) -> Iterator[dict[str, Any]]:
    """What a viewer is told, message after message."""
    where = urlsplit(link)
    connection = http.client.HTTPConnection(where.netloc, timeout=120)
    connection.request("GET", f"{where.path}events")
    answer = connection.getresponse()
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def ordered(link: str, **order: str) -> int:
    """Give an order as the page does; the status of the answer."""
    where = urlsplit(link)
    connection = http.client.HTTPConnection(where.netloc, timeout=120)
    headers = {"content-type": "application/json", "origin": f"http://{where.netloc}"}
    connection.request("POST", f"{where.path}order", json.dumps(order), headers)
    return connection.getresponse().status


def links_of(process: subprocess.Popen[str], number: int) -> dict[str, str]:
    assert process.stdout is not None
    return dict(process.stdout.readline().strip().split(": ", 1) for _ in range(number))


def test_the_prompt_and_the_page_have_the_same_country(tmp_path: Path) -> None:
    argv, env = command_of("same", tmp_path)
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [*argv, "lab", "first-shutdown", "--web"], cwd=ROOT, env=env, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        assert process.stdin is not None
        link = links_of(process, 2)["to steer"]
        process.stdin.write("phase messenger\nprobe southcell/coast whatsapp\n")
        for message in heard(link):
            lines = [line for name, line in message["set"].items() if name.startswith("log/")]
            if any(line["text"] == "To phase messenger (at the prompt)" for line in lines):
                break
        assert ordered(link, do="start", name="blackout") == 200
        process.stdin.write("start nonsense\npolicies\nexit\n")
        process.stdin.close()
        assert process.wait(60) == 0
        said.seek(0)
        assert process.stdout is not None
        text = said.read() + process.stdout.read()
        assert "The web page shows what you do here." in text
        assert "in force: whatsapp-reset, whatsapp-dropped" in text
        assert "blocked (generic_timeout_error)" in text
        assert "found unknown policy 'nonsense'" in text
        assert "* blackout" in text, "ordered on the page"


def test_a_script_and_a_page_are_one_too_many(tmp_path: Path) -> None:
    argv, env = command_of("same", tmp_path)
    (tmp_path / "script").write_text("exit\n")
    done = subprocess.run(
        [*argv, "lab", "first-shutdown", "--web", "--script", str(tmp_path / "script")],
        cwd=ROOT, env=env, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "--web" in done.stderr


@pytest.mark.thorough
def test_each_student_steers_a_country_of_their_own(tmp_path: Path) -> None:
    argv, env = command_of("same", tmp_path)
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [*argv, "web", "first-shutdown", "--students", "2", "--role", "own"],
            cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        try:
            links = links_of(process, 6)
            first, second = links["student 1"], links["student 2"]
            assert ordered(first, do="start", name="blackout") == 200
            assert ordered(links["teacher with student 2"], do="start", name="allowlist") == 200
            assert ordered(links["follower with student 1"], do="start", name="allowlist") == 403
            in_force = []
            for link in (first, second):
                state = next(m["set"]["state"] for m in heard(link) if "state" in m["set"])
                in_force.append([name for name, _, is_in_force in state["policies"] if is_in_force])
            assert in_force == [["blackout"], ["allowlist"]]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
