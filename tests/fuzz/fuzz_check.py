"""Fuzz `shutdownlab check`: files bent from what ships and made up from the models, through the library.

    python tests/fuzz/fuzz_check.py --files 100000 [--seed 1] [--workers 2] [--keep DIR]
    python tests/fuzz/fuzz_check.py --command 1000      # through the command, a process each

Anything but a checked file or `BadInput`, more than `STALL` seconds of processor time for a file, a message that is no
message, or more than `MEMORY` in all ends the run with status 1, the file kept. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fuzz_documents import Documents

from shutdownlab import library
from shutdownlab.config.problems import MAX_TOLD, BadInput

STALL = 2.0
"""Seconds of processor time a file may take."""
HANG = 20.0
"""Seconds of processor time after which it is broken off."""
MEMORY = 300 << 10
"""KiB of resident memory."""
ROOM = 2 << 30
"""Bytes of address space: beyond, Python raises MemoryError."""
_WAIT = 120
Figures = dict[str, float]
"""Of a run: files, how many were refused, seconds, the slowest one's milliseconds, memory."""
_LINE = re.compile(r"    hint: .+|and [\d,]+ more problems|.+: found .+; expected .+")


class Failure(Exception):
    """What went wrong with which files."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"file {number}: {what}")


class Hang(Exception):
    """A file has taken too long."""


def _hung(*_: object) -> None:
    raise Hang


@contextmanager
def limited() -> Iterator[None]:
    """A file's limit of time; the process' of memory."""
    before = signal.signal(signal.SIGPROF, _hung)
    signal.setitimer(signal.ITIMER_PROF, HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def check_message(error: BadInput) -> None:
    """What holds for every refusal."""
    lines = list(error.lines())
    assert lines and error.count >= 1
    assert len(lines) <= MAX_TOLD + 1
    for line in "\n".join(lines).split("\n"):
        assert _LINE.fullmatch(line), line
        assert line.isprintable(), line
        assert len(line) <= 1100, len(line)


def write(made: dict[str, bytes], folder: Path) -> None:
    for name in ("own.yaml", "main.yaml"):
        (folder / name).unlink(missing_ok=True)
    for name, text in made.items():
        (folder / name).write_bytes(text)


def _most_memory() -> int:
    """The most that this program has had, in KiB. Not getrusage's: that of what has executed it counts there."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def fuzz(files: int, seed: int, folder: Path, stall: float = STALL) -> Figures:
    """Check so many files in this process, in at most `stall` seconds of processor time each; raises `Failure`."""
    documents = Documents(seed)
    os.chdir(folder)
    start, slowest, refused = time.perf_counter(), 0.0, 0
    for number in range(files):
        write(documents.files(), folder)
        began = time.process_time()
        try:
            with limited():
                library.check("main.yaml")
        except BadInput as error:
            refused += 1
            try:
                check_message(error)
            except AssertionError as wrong:
                raise Failure(number, f"the message {str(wrong)[:500]!r}") from None
        except Exception as error:
            raise Failure(number, "".join(traceback.format_exception(error))) from None
        spent = time.process_time() - began
        slowest = max(slowest, spent)
        if spent > stall:
            raise Failure(number, f"took {spent:.2f} s")
        used = _most_memory()
        if used > MEMORY:
            raise Failure(number, f"{used >> 10} MiB are in use")
    return {
        "files": files,
        "seed": seed,
        "refused": refused,
        "seconds": round(time.perf_counter() - start, 1),
        "slowest_ms": round(1000 * slowest),
        "memory_mib": _most_memory() >> 10,
    }


def fuzz_command(files: int, seed: int, folder: Path) -> Figures:
    """The same through the command: it exits with 0 or 2, and standard error has messages and nothing else."""
    documents = Documents(seed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    refused, start = 0, time.perf_counter()
    for number in range(files):
        write(documents.files(), folder)
        argv = (sys.executable, "-m", "shutdownlab", "check", "main.yaml")
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, timeout=_WAIT)
        *lines, last = done.stderr.decode().rstrip("\n").split("\n")
        told = all(map(_LINE.fullmatch, lines)) and re.fullmatch(
            r"[\d,]+ problems? found; the command stopped[.]", last
        )
        if done.returncode not in (0, 2) or (done.returncode == 2 and not told) or (done.returncode == 0 and last):
            raise Failure(number, f"status {done.returncode}: {done.stderr.decode()[-3000:]}")
        refused += done.returncode == 2
    return {"files": files, "seed": seed, "refused": refused, "seconds": round(time.perf_counter() - start, 1)}


@dataclass(frozen=True)
class Share:
    """What one process is given to do."""

    files: int
    seed: int
    kept: Path
    """Where the files are."""
    stall: float = STALL
    through_command: bool = False


def in_processes(shares: Sequence[Share]) -> list[Figures | str]:
    """Do them at once, in a new process each: the memory that it has used is that of checking. Figures, or failures."""
    with multiprocessing.get_context("spawn").Pool(len(shares)) as pool:
        return pool.map(_do, shares)


def _do(share: Share) -> Figures | str:
    folder = Path(tempfile.mkdtemp(prefix=f"check-{share.seed}-", dir=share.kept))
    try:
        if share.through_command:
            return fuzz_command(share.files, share.seed, folder)
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
        return fuzz(share.files, share.seed, folder, share.stall)
    except Failure as failure:
        return f"{folder}, seed {share.seed}: {failure}"
    except Exception as error:  # must travel between processes as text
        return "".join(traceback.format_exception(error))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--command", type=int, default=0, help="so many files through the command instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", metavar="DIR", help="where the files are (default: a new temporary directory)")
    options = parser.parse_args()
    kept = Path(options.keep or tempfile.mkdtemp(prefix="shutdownlab-fuzz-"))
    kept.mkdir(parents=True, exist_ok=True)
    files = -(-(options.command or options.files) // options.workers)
    seeds = range(options.seed, options.seed + options.workers)
    reports = in_processes([Share(files, seed, kept, through_command=bool(options.command)) for seed in seeds])
    failures = [report for report in reports if isinstance(report, str)]
    print(json.dumps({"runs": [r for r in reports if not isinstance(r, str)], "failures": len(failures)}, indent=1))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
