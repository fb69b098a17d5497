"""A run as data for other tools: what other tools read from it is what the run found, and typed."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.results.reading import Reading, write_readings
from shutdownlab.results.result import COLUMNS

EXAMPLE = Path(__file__).parents[2] / "docs/reference/examples/run"
TABLES = {"readings", "results", "phases", "orders", "measurements"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    sl.verify("first-shutdown").write(folder)
    return folder


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A run with a measurement: the reference's example, whose phase is made whole."""
    folder = tmp_path / "measured"
    shutil.copytree(EXAMPLE, folder)
    manifest = json.loads((folder / "manifest.json").read_text())

    (folder / "manifest.json").write_text(json.dumps(manifest | {"rows": {"messenger": 1, "mobile-throttled": 1}}))
    return folder


def test_parquet_has_moments_categories_and_the_meaning_of_each_column(run: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="no pyarrow: pip install '.[data]'")
    folder = sl.export(run, "parquet", tmp_path / "out")
    assert {file.stem for file in folder.iterdir()} == TABLES
    table = parquet.read_table(folder / "results.parquet")
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("outcome").type).startswith("dictionary<values=string")
    assert str(table.schema.field("weight").type) == "double"
    for field in table.schema:
        assert field.metadata[b"description"].endswith(b"."), field.name
    results = sl.Run.open(run).results
    assert table.column("outcome").to_pylist() == [result.outcome.value for result in results]
    assert table.column("time").to_pylist() == [result.time for result in results]
    assert table.column("failure").to_pylist() == [result.failure for result in results]
    assert table.column("met").to_pylist() == [result.met for result in results]


def test_duckdb_answers_questions_about_the_run(run: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="no duckdb: pip install '.[data]'")
    file = sl.export(run, "duckdb", tmp_path / "run.duckdb")
    with duckdb.connect(str(file), read_only=True) as database:
        shares = database.execute("""
            SELECT place, sum(weight) FILTER (outcome IN ('ok', 'throttled')) / sum(weight), hours
            FROM results JOIN phases USING (phase)
            WHERE "column" = 'WhatsApp' AND weight > 0 GROUP BY ALL ORDER BY place""").fetchall()
        table = sl.Run.open(run).table
        expected = [table[name, "WhatsApp"].fraction for name, _ in table.phases]
        assert [share or 0.0 for _, share, _ in shares] == pytest.approx(expected)
        comments = database.execute("SELECT comment FROM duckdb_columns() WHERE table_name = 'results'").fetchall()
        assert len(comments) == len(COLUMNS) + 1 and all(comment for (comment,) in comments)
        types = dict(database.execute("SELECT column_name, data_type FROM duckdb_columns()").fetchall())
        assert types["begins"] == "TIMESTAMP WITH TIME ZONE"
        assert types["outcome"].startswith("ENUM(")
        (order,) = database.execute("SELECT \"order\" FROM orders WHERE phase = 'messenger' LIMIT 1").fetchone()
        assert order == "whatsapp-reset"


def test_csv_comes_with_a_data_package_that_says_what_each_column_is(run: Path, tmp_path: Path) -> None:
    folder = sl.export(run, "csv", tmp_path / "out")
    package = json.loads((folder / "datapackage.json").read_text())
    assert {resource["name"] for resource in package["resources"]} == TABLES
    for resource in package["resources"]:
        with (folder / resource["path"]).open(newline="") as file:
            rows = list(csv.DictReader(file))
        fields = resource["schema"]["fields"]
        if rows:
            assert list(rows[0]) == [field["name"] for field in fields]
        for field in fields:
            values = {row[field["name"]] for row in rows} - {""}
            assert field["description"]
            if "constraints" in field:
                assert values == set(field["constraints"]["enum"])
            if field["type"] == "datetime":
                assert all(datetime.fromisoformat(value).tzinfo == UTC for value in values)
            if field["type"] in {"number", "integer"}:
                assert all(float(value) >= 0 for value in values)


def test_readings_are_a_table_where_there_are_any(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    write_readings(tmp_path / "run", [Reading("bgp", "blackout", "country", "", "ipv4", 0.25, "share", "measured")])
    folder = sl.export(tmp_path / "run", "csv", tmp_path / "out")
    assert (folder / "readings.csv").read_text().splitlines()[1] == "bgp,blackout,country,,ipv4,0.25,share,measured"


def test_ooni_has_the_measurements_as_they_were_taken(measured: Path, tmp_path: Path) -> None:
    file = sl.export(measured, "ooni", tmp_path / "run.jsonl.gz")
    exported = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert exported == list(sl.Run.open(measured).measurements()) != []


def test_measurements_keep_their_line_and_their_moment(measured: Path, tmp_path: Path) -> None:
    folder = sl.export(measured, "csv", tmp_path / "out")
    [row] = csv.DictReader((folder / "measurements.csv").open(newline=""))
    assert (row["line"], row["started"], row["target"]) == ("1", "2030-05-01T12:00:00Z", "whatsapp")
    assert row["measured_at"] == "2026-11-29T14:43:31Z"


def test_mrt_has_the_tables_that_a_collector_wrote_and_nothing_else(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/observers/bgp").mkdir(parents=True)
    for name in ("rib.20300501.1200.mrt", "updates.20300501.1200.mrt", "tables.mrt"):
        (tmp_path / "run/observers/bgp" / name).write_bytes(name.encode())
    folder = sl.export(tmp_path / "run", "mrt", tmp_path / "out")
    assert sorted(file.name for file in folder.iterdir()) == ["rib.20300501.1200.mrt", "updates.20300501.1200.mrt"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_an_export_that_is_killed_leaves_nothing_that_looks_whole_and_the_next_one_writes_it(
    kind: str, run: Path, tmp_path: Path
) -> None:
    for package in ("pyarrow", "duckdb"):
        pytest.importorskip(package, reason=f"no {package}: pip install '.[data]'")
    out = tmp_path / ("out.duckdb" if kind == "duckdb" else "out")
    killed = f"""
import os
from shutdownlab.reporting.export import exporting, tables
import shutdownlab as sl

made = tables.DataTable.values
def values(self, place):
    if self.name == "orders":
        os.kill(os.getpid(), 9)
    return made(self, place)
tables.DataTable.values = values
sl.export({str(run)!r}, {kind!r}, {str(out)!r})
"""
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists(), "half of the tables look like an export"
    assert list(tmp_path.iterdir()), "it was killed before it wrote anything"
    assert sl.export(run, kind, out) == out  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "what the killed one left is still there"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "mrt"], "in which no collector wrote its table; expected a run whose routes were observed"),
        (["--to", "ooni", "-o", "a.jsonl.gz"], "which has no measurements of a whole phase"),
        (["--to", "ooni", "-o", "a.json"], "-o: found 'a.json'; expected a name that ends in .jsonl.gz"),
        (["--to", "csv", "-o", "no/such/out"], "-o: found no/such/out, in a folder that does not exist"),
        (["--to", "csv", "-o", "/"], "-o: found /, which exists already"),
    ],
)
def test_what_cannot_be_exported_is_refused(run: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["export", str(run), *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_without_the_packages_it_says_which_are_missing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutdownlab.reporting.export.exporting.find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["export", str(run), "--to", "duckdb"])
    assert done.exit_code == 2
    assert "without duckdb and pyarrow" in done.output and "pip install 'shutdownlab[data]'" in done.output


def test_the_command_writes(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(run), "--to", "csv", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/results.csv").exists()
