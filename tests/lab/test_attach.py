"""`shutdownlab attach` and `run --keep`: a second terminal in a country that runs."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import invocation
import outside
import pytest
from invocation import Done, Record, small

from shutdownlab.system import polling

_LONGEST_S = 60.0


class FirstTerminal:
    """A `lab`, or a kept run, whose command line reads what the test types."""

    def __init__(self, place: Path, *arguments: object, user: str = "same") -> None:
        self.place, self.user = place, user
        self.output = place / "output"
        argv, env = invocation.shutdownlab(user, place)
        self.env = {**env, "TMPDIR": str(place)}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*argv, *map(str, arguments)],
                cwd=place, env=self.env, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True,
            )  # fmt: skip

    @property
    def told(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        def there() -> bool:
            if text not in self.told and self.process.poll() is not None:
                pytest.fail(f"ended with {self.process.returncode} before {text!r}: {self.told}")
            return text in self.told

        outside.wait_until(there, f"{text!r} in {self.told}", _LONGEST_S)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def attach(self, *arguments: object, stdin: str = "") -> Done:
        return invocation.invoke(
            self.place, "attach", *arguments, stdin=stdin, user=self.user, env={"TMPDIR": str(self.place)}
        )

    def end(self) -> Done:
        self.process.communicate("exit\n", timeout=_LONGEST_S)
        return Done(self.process.returncode, self.told)


@contextmanager
def opened(place: Path, *arguments: object, user: str = "same") -> Iterator[FirstTerminal]:
    first = FirstTerminal(place, *arguments, user=user)
    try:
        first.wait_for("`shutdownlab attach`")
        yield first
    finally:
        first.process.kill()
        first.process.communicate()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstTerminal]:
    with opened(tmp_path_factory.mktemp("lab"), "lab", "first-shutdown") as first:
        yield first


def test_what_is_done_in_one_terminal_is_in_force_in_the_other(lab: FirstTerminal) -> None:
    done = lab.attach(
        stdin="phase blackout\nprobe southcell/coast whatsapp\nstop blackout\nprobe southcell/coast whatsapp\n"
    )
    assert done.code == 0
    lines = done.output.replace("mininet> ", "").splitlines()
    told = [line for line in lines if line.startswith(("in force", "blocked", "ok"))]
    assert [line.partition(", in ")[0] for line in told] == [
        "in force: blackout", "blocked (generic_timeout_error)", "in force: no policy", "ok",
    ]  # fmt: skip
    lab.type("start allowlist")
    lab.wait_for("in force: allowlist")
    assert re.search(r"^(mininet> )?\* allowlist ", lab.attach(stdin="policies\n").output, re.MULTILINE)


def test_mininet_s_commands_work_in_a_second_terminal_and_no_mistake_ends_it(lab: FirstTerminal) -> None:
    script = (
        "stop allowlist\nnosuch\nprobe nowhere whatsapp\npy northnet-capital.IP()\nnorthnet-coast hostname -I\nexit\n"
    )
    told = lab.attach(stdin=script).output
    for part in ("unknown command 'nosuch'", "unknown vantage point 'nowhere'", "100.64.1.10", "100.64.4.10 "):
        assert part in told


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["northnet-coast", "--", "hostname", "-I"], 0, "100.64.4.10 "),
        (["northnet/coast", "--", "sh", "-c", "exit 7"], 7, ""),
        (["northnet-coast", "--", "no-such-program"], 127, "no-such-program: command not found"),
        (["northnet-border", "--", "birdc", "show", "protocols"], 0, "Established"),
        (["northnet-cost"], 2, "did you mean 'northnet-coast'?"),
        (["--lab", "another"], 2, "--lab: found unknown lab 'another'; expected one of "),
    ],
)
def test_a_command_runs_on_a_node_and_its_exit_code_is_the_command_s(
    lab: FirstTerminal, arguments: list[str], code: int, said: str
) -> None:
    done = lab.attach(*arguments)
    assert (done.code, said in done.output) == (code, True), done.output


class SecondTerminal:
    """`attach` at a terminal of 30 rows and 100 columns."""

    def __init__(self, first: FirstTerminal, *arguments: str) -> None:
        argv, env = invocation.shutdownlab("same", first.place)
        self.told = b""
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(first.place)
            os.execvpe("sh", ["sh", "-c", 'stty rows 30 cols 100; exec "$@"', "sh", *argv, "attach", *arguments], {
                **env, "TMPDIR": str(first.place), "TERM": "xterm",
            })  # fmt: skip
        self.pid = pid

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + _LONGEST_S
        while text not in self.told.decode(errors="replace"):
            if not self._read(end):
                pytest.fail(f"ended before {text!r}: {self.told!r}")

    def _read(self, end: float) -> bool:
        """Take what is shown next; False at the end of `attach`."""
        left = end - time.monotonic()
        assert left > 0 and polling.wait([self.terminal], seconds=left), f"nothing comes after {self.told!r}"
        try:
            self.told += os.read(self.terminal, 1 << 16)
        except OSError:
            return False
        return True

    def end(self) -> int:
        end = time.monotonic() + _LONGEST_S
        while self._read(end):
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_shell_on_a_node_has_a_terminal_of_its_own_with_job_control_and_the_size_outside(lab: FirstTerminal) -> None:
    second = SecondTerminal(lab, "northnet-coast", "--", "bash", "--norc")
    for typed, shown in (
        ("echo size $(stty size) $(tty)\n", "size 30 100 /dev/pts/"),
        ("sh -c 'echo running; exec sleep 1000'\n", "running\r\n"),
        ("\x03", "^C"),  # for the program inside, not for `attach`
        ("echo code $? $((40 + 2))\n", "code 130 42\r\n"),
        ("exit 5\n", "exit\r\n"),
    ):
        if not shown.startswith("^C"):
            second.wait_for("# ")  # what is typed before its prompt bash may drop
        second.told = b""
        second.type(typed)
        second.wait_for(shown)
    assert second.end() == 5


def test_ctrl_c_in_the_second_command_line_ends_neither(lab: FirstTerminal) -> None:
    second = SecondTerminal(lab)
    second.wait_for("mininet> ")
    second.type("northnet-capital ping 100.64.4.10\n")
    second.wait_for("icmp_seq=2")
    second.told = b""
    second.type("\x03")
    second.wait_for("mininet> ")
    assert b"packets transmitted" in second.told
    second.type("\x04")
    assert second.end() == 0
    lab.type("northnet-capital echo still here")
    lab.wait_for("still here")


def test_an_attached_terminal_that_goes_takes_what_it_runs_with_it(lab: FirstTerminal) -> None:
    second = SecondTerminal(lab, "northnet-coast", "--", "sleep", "4242")

    def is_asleep() -> bool:
        return "sleep 4242" in lab.attach("northnet-coast", "--", "ps", "-eo", "args").output

    outside.wait_until(is_asleep, "the command to run", _LONGEST_S)
    os.kill(second.pid, 9)
    second.end()
    outside.wait_until(lambda: not is_asleep(), "the command to have ended", _LONGEST_S)


@pytest.mark.thorough
@pytest.mark.parametrize("user", ["same", "ordinary"])
def test_where_the_lab_ends_the_second_terminal_ends_too_and_says_so(tmp_path: Path, user: str) -> None:
    with opened(tmp_path, "lab", "two-operators", user=user) as first:
        argv, env = invocation.shutdownlab(user, tmp_path)
        second = subprocess.Popen(
            [*argv, "attach", "northnet-coast", "--", "sh", "-c", "echo in; sleep 1000"],
            cwd=tmp_path, env={**env, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert second.stdout is not None
        assert second.stdout.readline() == "in\n"
        assert first.end().code == 0
        _, said = second.communicate(timeout=_LONGEST_S)
        assert (second.returncode, said) == (3, f"The lab {first.process.pid} (two-operators) has ended.\n")


@pytest.mark.thorough
def test_a_kept_run_stays_open_at_its_last_phase_after_its_table(tmp_path: Path) -> None:
    arguments = ("run", small(tmp_path), "--until", "blackout", "--out", "run", "--keep", "--pcap")
    with opened(tmp_path, *arguments) as first:
        told = first.told
        assert told.index("expectations met") < told.index("nodes of"), "the run is told before the command line begins"
        assert "with the policies of blackout." in told
        assert Record(tmp_path / "run").manifest["status"] == "finished"
        before = (tmp_path / "run/pcap/gateway.pcapng").stat().st_size
        done = first.attach(stdin="probe northnet/coast ping\nphase baseline\nprobe northnet/coast kaspi.kz\n")
        outcomes = re.findall(r"^(?:mininet> )*(ok|blocked \(\w+\)), in ", done.output, re.MULTILINE)
        assert outcomes == ["blocked (generic_timeout_error)", "ok"]
        assert first.end().code == 0
        assert (tmp_path / "run/pcap/gateway.pcapng").stat().st_size > before, "captures go on"
        assert len(Record(tmp_path / "run").rows) == 36, "what is measured by hand is none of the run's"
