# A notebook that reads a run with DuckDB and finds in it what the README says of the flagship. As a program:
# `python examples/notebook.py`; to look at and change: `marimo edit examples/notebook.py`; for Jupyter: notebook.ipynb.
# Needs `pip install 'shutdownlab[data]' marimo`. RUN names a run directory; left out, the shutdown is worked out here.

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _(mo):
    mo.md("""
    # Kazakhstan, January 2022, from its data

    A run of `kazakhstan-2022`, exported to DuckDB: who could reach what, when, for how long, and what outsiders saw.
    """)
    return


@app.cell
def _():
    import os
    import tempfile
    from pathlib import Path

    import duckdb

    import shutdownlab as sl

    scratch = tempfile.TemporaryDirectory(prefix="notebook-")  # goes with the notebook
    folder = Path(scratch.name)
    run = Path(os.environ.get("RUN", folder / "run"))
    if "RUN" not in os.environ:
        sl.verify("kazakhstan-2022").write(run)
    database = duckdb.connect(str(sl.export(run, "duckdb", folder / "run.duckdb")), read_only=True)
    return database, run, sl


@app.cell
def _(database):
    # The table of the README: the share of ordinary subscribers who got through, by phase and service.
    shares = database.sql("""
        SELECT place, phase, "column" AS service, hours,
               coalesce(sum(weight) FILTER (outcome IN ('ok', 'throttled')), 0) / sum(weight) AS share
        FROM results JOIN phases USING (phase)
        WHERE weight > 0 AND outcome NOT IN ('error', 'unknown')
        GROUP BY ALL ORDER BY place
    """)
    table = database.sql("PIVOT shares ON service USING first(round(100 * share)) GROUP BY place, phase ORDER BY place")
    print(table)
    return (shares,)


@app.cell
def _(database, shares):
    # For how long did nobody in the country reach a service?
    nobody = dict(
        database.sql(
            "SELECT service, sum(hours) FROM shares WHERE share = 0 GROUP BY service ORDER BY 2 DESC"
        ).fetchall()
    )
    print("hours in which nobody got through:", nobody)
    return (nobody,)


@app.cell
def _(database):
    # In the blackout, what was left? The forgotten ports, and calls and SMS where they were not cut.
    left = dict(
        database.sql("""
            SELECT "column", round(100 * sum(weight) FILTER (outcome = 'ok') / sum(weight))::INT AS percent
            FROM results WHERE phase = 'blackout' AND weight > 0 AND region <> ''
            GROUP BY 1 HAVING percent > 0 ORDER BY 2 DESC
        """).fetchall()
    )
    print("left in the blackout, in percent:", left)
    return (left,)


@app.cell
def _(database):
    # What outsiders saw by BGP: were the routes of any operator gone in any phase?
    [(gone,)] = database.sql("""
        SELECT count(*) FROM results WHERE "column" = 'BGP' AND region = '' AND outcome <> 'ok'
    """).fetchall()
    print("routes that were gone:", gone)
    return (gone,)


@app.cell
def _(database):
    # How many windows were there in the blackout, and how long were they?
    windows = database.sql("""
        SELECT phase, hours FROM phases WHERE phase::VARCHAR LIKE 'window-_' ORDER BY place
    """).fetchall()
    print("windows:", windows)
    return (windows,)


@app.cell
def _(run, sl):
    # What it cost, by three methods, where the scenario or its topology says what an economy it is.
    try:
        cost = {method: round(amount.value / 1e6) for method, amount in sl.cost(run).amounts.items()}
        print("cost, in millions of dollars:", cost)
    except sl.BadInput as unknown:
        cost = {}
        print("cost: not known;", unknown)
    return (cost,)


if __name__ == "__main__":
    app.run()
