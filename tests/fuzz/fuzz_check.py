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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzz_documents import Documents

from shutdownlab import library
from shutdownlab.config.document import MAX_TOLD, BadInput

STALL = 2.0
"""Seconds of processor time a file may take."""
HANG = 20.0
"""Seconds of processor time after which it is broken off."""
MEMORY = 300 << 10
"""KiB of resident memory."""
ROOM = 2 << 30
"""Bytes of address space: beyond, Python raises MemoryError."""
_WAIT = 120
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


def fuzz(files: int, seed: int, folder: Path) -> dict[str, float]:
    """Check so many files in this process; raises `Failure`. Returns figures of the run."""
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
        if spent > STALL:
            raise Failure(number, f"took {spent:.2f} s")
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if used > MEMORY:
            raise Failure(number, f"{used >> 10} MiB are in use")
    return {
        "files": files,
        "seed": seed,
        "refused": refused,
        "seconds": round(time.perf_counter() - start, 1),
        "slowest_ms": round(1000 * slowest),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def fuzz_command(files: int, seed: int, folder: Path) -> dict[str, float]:
    """The same through the command: it exits with 0 or 2, and standard error has messages and nothing else."""
    documents = Documents(seed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    refused, start = 0, time.perf_counter()
    for number in range(files):
        write(documents.files(), folder)
        argv = (sys.executable, "-m", "shutdownlab", "check", "main.yaml")
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, timeout=_WAIT)
        *lines, last = done.stderr.decode().rstrip("\n").split("\n")
        told = all(map(_LINE.fullmatch, lines)) and re.fullmatch(r"[\d,]+ problems?; nothing was run[.]", last)
        if done.returncode not in (0, 2) or (done.returncode == 2 and not told) or (done.returncode == 0 and last):
            raise Failure(number, f"status {done.returncode}: {done.stderr.decode()[-3000:]}")
        refused += done.returncode == 2
    return {"files": files, "seed": seed, "refused": refused, "seconds": round(time.perf_counter() - start, 1)}


def _worker(arguments: tuple[bool, int, int, str]) -> dict[str, float] | str:
    through_command, files, seed, kept = arguments
    folder = Path(tempfile.mkdtemp(prefix=f"check-{seed}-", dir=kept))
    if not through_command:
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    try:
        return (fuzz_command if through_command else fuzz)(files, seed, folder)
    except Failure as failure:
        return f"{folder}, seed {seed}: {failure}"
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
    kept = options.keep or tempfile.mkdtemp(prefix="shutdownlab-fuzz-")
    share = -(-(options.command or options.files) // options.workers)
    work = [(bool(options.command), share, options.seed + number, kept) for number in range(options.workers)]
    with multiprocessing.Pool(options.workers) as pool:
        reports = pool.map(_worker, work)
    failures = [report for report in reports if isinstance(report, str)]
    print(json.dumps({"runs": [r for r in reports if not isinstance(r, str)], "failures": len(failures)}, indent=1))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
