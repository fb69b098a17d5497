"""Exports a run for other tools: `sl.export` and `shutdownlab export RUN --to KIND`."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, get_args

from shutdownlab.config.document import did_you_mean, one_of
from shutdownlab.config.wording import quoted, with_ending
from shutdownlab.model.lookup import refuse
from shutdownlab.reporting.export import tables as made
from shutdownlab.reporting.export.columnar import write_duckdb, write_parquet
from shutdownlab.reporting.export.columns import DataTable
from shutdownlab.reporting.export.plain import write_csv
from shutdownlab.reporting.page.report import account_of, orders_and_faults
from shutdownlab.results.reading import read_readings
from shutdownlab.results.run import Run

Format = Literal["parquet", "csv", "duckdb", "ooni", "mrt"]
_SUFFIXES: Final = {"duckdb": ".duckdb", "ooni": ".jsonl.gz"}
"""The suffixes of formats that are one file; the others are folders."""
_NEEDS: Final = {"parquet": ("pyarrow",), "duckdb": ("duckdb", "pyarrow")}
_MRT: Final = ("rib.*.mrt", "updates.*.mrt")


def export(run: str | Path | Run, to: Format, out: str | Path | None = None) -> Path:
    """Exports a run as data for other tools; returns the path of the file or folder written.

    run: a run directory, or a `Run`; if the run broke off, only its complete phases are exported. to: `parquet`, `csv`
    (with a Data Package) and `duckdb` have the tables results, phases, orders, measurements and, if outside signals
    were observed, readings, each column typed and described; `ooni` has the measurements as OONI publishes them; `mrt`
    has the routing tables and messages that a collector abroad wrote. out: a new folder, or a new file FILE.duckdb or
    FILE.jsonl.gz, which appears only once it is complete; None: named after the run, in the working directory. Raises
    `BadInput`.
    """
    if to not in get_args(Format):
        refuse("to", quoted(str(to)), one_of(get_args(Format)), did_you_mean(str(to), get_args(Format)))
    missing = [name for name in _NEEDS.get(to, ()) if find_spec(name) is None]
    if missing:
        refuse("to", f"{to}, without {' and '.join(missing)}", "both installed", "pip install 'shutdownlab[data]'")
    opened = run if isinstance(run, Run) else Run.open(run)
    suffix = _SUFFIXES.get(to, "")
    target = Path(out) if out is not None else Path(f"{opened.path.resolve().name}{suffix or f'-{to}'}")
    if suffix and not target.name.endswith(suffix):
        hint = f"name it {with_ending(target, suffix, opened.path.resolve().name).name}"
        refuse("out", quoted(str(target)), f"a name that ends in {suffix}", hint)
    if not target.parent.is_dir():
        refuse("out", f"{target}, in a folder that does not exist", "an existing folder", "name another folder")
    if target.exists():
        refuse("out", f"{target}, which exists already", "a new file or folder", "name another, or remove it")
    # Under another name until it is whole: an export that is killed leaves no folder that reads like a finished one.
    drafts = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(drafts, ignore_errors=True)
        drafts.mkdir()
        _write(opened, to, drafts / target.name)
        (drafts / target.name).rename(target)
    except OSError as error:
        found = f"{target}, which cannot be written ({(error.strerror or str(error)).lower()})"
        refuse("out", found, "a place that can be written", "name another folder")
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
    return target


def _write(run: Run, to: Format, target: Path) -> None:
    if to == "ooni":
        records = list(_records(run))
        if not records:
            found = f"{run.path}, which has no measurements of a whole phase"
            refuse("run", found, "a run that was measured, with real packets", "`verify` measures nothing")
        with gzip.GzipFile(target, "wb", mtime=0) as packed:
            packed.writelines(json.dumps(record, ensure_ascii=False).encode() + b"\n" for _, record in records)
        return
    if to == "mrt":
        files = sorted(file for pattern in _MRT for file in run.path.rglob(pattern))
        if not files:
            expected = "a run whose routes were observed from abroad"
            refuse(
                "run",
                f"{run.path}, in which no collector wrote its table",
                expected,
                "`shutdownlab run --observe` does",
            )
        target.mkdir()
        for file in files:
            shutil.copyfile(file, target / file.name)
        return
    title, tables = str(run.manifest.get("title", "")), list(_tables(run))
    if to == "duckdb":
        write_duckdb(target, title, tables)
        return
    target.mkdir()
    (write_csv if to == "csv" else write_parquet)(target, title, tables)


def _tables(run: Run) -> Iterator[DataTable]:
    account = account_of(run)
    yield made.results_table(account)
    yield made.phases_table(account)
    yield made.orders_table(account, orders_and_faults(run, account))
    yield made.measurements_table(list(_records(run)))
    readings = read_readings(run.path)
    if readings:
        yield made.readings_table(readings)


def _records(run: Run) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the measurements of complete phases with their line numbers; the last one of a cell measured again."""
    whole = {result.phase for result in run.results}
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, record in enumerate(run.measurements(), 1):
        if (record.get("annotations") or {}).get("phase") in whole:
            key = str((record.get("test_keys") or {}).get("x_id") or line)
            found.pop(key, None)
            found[key] = line, record
    yield from found.values()
