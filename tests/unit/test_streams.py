"""Output that cannot be written: nobody reads it, the disk is full, there is none. No command has a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_capture import FORMATS

RUN = Path(__file__).parent.parent / "data/run-0.1"
PRINTING = {
    "list": ["list"],
    "check": ["check", "first-shutdown"],
    "show": ["show", "first-shutdown"],
    "report": ["report", str(RUN)],
    "inspect": ["inspect", "capture.pcap"],
    "inspect --format jsonl": ["inspect", "capture.pcap", "--format", "jsonl"],
    "inspect --summary": ["inspect", "capture.pcap", "--summary"],
    "verify": ["verify", "first-shutdown"],
    "explain": ["explain", "first-shutdown", "--at", "blackout", "--from", "southcell/coast", "--to", "ping"],
    "profiles": ["profiles"],
    "profiles NAME": ["profiles", "perfect"],
    "apps": ["apps"],
    "apps NAME": ["apps", "whatsapp"],
    "schema": ["schema", "event"],
    "--help": ["--help"],
    "run --help": ["run", "--help"],
    "--version": ["--version"],
    "no command": [],
}
"""What prints to standard output, and starts nothing."""
STREAMS = {
    "unread": "os.dup2(unread(), 1)",
    "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
    "closed": "os.closerange(0, 3)",
    "errors full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
}
# One process imports the program, and each case is a fork of it: what it does to its streams, then the command.
_CASES = """
import json, os, sys
import typer.rich_utils
import shutdownlab.inspection.offline, shutdownlab.reporting.inspection
from shutdownlab import library
from shutdownlab.cli import main

library.catalogue()

def unread():
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs

def child(case):
    try:
        os.dup2(os.open('errors', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open('output', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        exec(case['streams'])
        sys.argv[1:] = case['argv']
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    except BaseException as error:
        code = 99
        open('errors', 'w').write(repr(error))
    for stream in (sys.stdout, sys.stderr):  # as at the end of the interpreter
        stream.flush()
    os._exit(code)

sys.argv[0] = 'shutdownlab'
for case in json.load(sys.stdin):
    pid = os.fork()
    if pid == 0:
        child(case)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([status, open('output').read(), open('errors').read()]), flush=True)
"""

Ended = tuple[int, str, str]
"""Exit code, standard output, standard error."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Ended]:
    """How each command ended with each kind of stream."""
    place = tmp_path_factory.mktemp("streams")
    (place / "capture.pcap").write_bytes(FORMATS["pcap"])
    cases = [(command, streams) for command in PRINTING for streams in STREAMS]
    asked = [{"argv": PRINTING[command], "streams": STREAMS[streams]} for command, streams in cases]
    done = subprocess.run(
        [sys.executable, "-c", _CASES],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)},
        input=json.dumps(asked), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(zip(cases, map(tuple, map(json.loads, done.stdout.splitlines())), strict=True))


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_that_nobody_reads_ends_quietly_as_a_shell_reports_sigpipe(
    ended: dict[tuple[str, str], Ended], command: str
) -> None:
    assert ended[command, "unread"] == (141, "", "")


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_whose_output_does_not_fit_says_so_once(ended: dict[tuple[str, str], Ended], command: str) -> None:
    assert ended[command, "full"] == (74, "", "standard output cannot be written: no space left on device\n")


@pytest.mark.parametrize("command", PRINTING)
def test_closed_streams_are_as_good_as_dev_null(ended: dict[tuple[str, str], Ended], command: str) -> None:
    code = 2 if command == "no command" else 0
    assert ended[command, "closed"] == (code, "", "")


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_does_what_it_is_for_without_standard_error(
    ended: dict[tuple[str, str], Ended], command: str
) -> None:
    code, output, errors = ended[command, "errors full"]
    assert (code, errors) == (2 if command == "no command" else 0, "")
    assert output


def program(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    guarded = f"import os, sys\nfrom shutdownlab.system import streams\nstreams.guard_standard_streams()\n{code}"
    argv = [sys.executable, "-c", guarded]
    return subprocess.run(argv, text=True, timeout=60, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_a_file_that_is_opened_later_never_takes_the_place_of_a_closed_stream() -> None:
    code = "import json; number = os.open('/dev/null', os.O_RDONLY); sys.exit(number)"
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", f"""if True:
        import os, sys
        from shutdownlab.system import streams
        streams.guard_standard_streams()
        {code}
    """], check=False)  # fmt: skip
    assert done.returncode >= 3


def test_that_output_was_lost_comes_up_at_the_end_though_somebody_has_caught_it() -> None:
    code = "try:\n    print('x', flush=True)\nexcept streams.OutputLost:\n    pass\nprint('y')\nstreams.finish_output()"
    with Path("/dev/full").open("w") as full:
        done = program(code, stdout=full)
    assert "OutputLost: standard output cannot be written: no space left on device" in done.stderr


def test_a_reader_that_makes_its_pipe_non_blocking_gets_everything() -> None:
    code = "os.set_blocking(1, False)\nprint('x' * 1_000_000)"
    assert program(code, stdout=subprocess.PIPE).stdout == "x" * 1_000_000 + "\n"


def test_a_letter_that_the_terminal_cannot_show_is_no_reason_to_end() -> None:
    done = program("print('\\u2026')", stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.stdout == "\\u2026\n"
