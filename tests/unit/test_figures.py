"""Figures for papers: what they show is the run's, they are as wide as asked, and their letters are in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.reporting.figure import sheet
from shutdownlab.reporting.svg import width_of
from shutdownlab.results.reading import Reading, write_readings

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(flagship: Path) -> Path:
    return flagship


def drawn(run: Path, out: Path, **options: object) -> ElementTree.Element:
    sl.plot(run, out, **options)  # type: ignore[arg-type]
    return ElementTree.fromstring(out.read_text())


def texts(figure: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in figure.iter(f"{SVG}text")]


def test_reach_has_a_row_for_each_service_as_high_as_the_share_that_got_through(run: Path, tmp_path: Path) -> None:
    figure = drawn(run, tmp_path / "reach.svg")
    table = sl.Run.open(run).table
    assert [text for text in texts(figure) if text in table.columns] == list(table.columns)
    bars = [r for r in figure.iter(f"{SVG}rect") if r.get("fill") in {sheet.LOST, sheet.REACHED, sheet.SLOW}]
    whatsapp = table.columns.index("WhatsApp")
    tops = sorted({float(bar.get("y", 0)) for bar in bars if bar.get("stroke") is None})
    first_row = [bar for bar in bars if bar.get("stroke") is None and float(bar.get("y", 0)) < 12.1 + 10.5 * whatsapp]
    lost = [float(bar.get("height", 0)) / 8 for bar in first_row if bar.get("fill") == sheet.LOST]
    shares = [table[name, "WhatsApp"].fraction for name, _ in table.phases]
    assert lost == pytest.approx([1 - share for share in shares if share is not None and share < 1], abs=0.002)
    assert tops[0] == 4


def test_a_figure_is_as_wide_as_a_column_and_a_page_if_asked(run: Path, tmp_path: Path) -> None:
    assert drawn(run, tmp_path / "a.svg").get("width") == "240.94pt", "85 mm"
    assert drawn(run, tmp_path / "b.svg", width=170.0).get("width") == "481.89pt"
    assert drawn(run, tmp_path / "c.svg", what="map", width=50.0).get("width") == "141.73pt"


@pytest.mark.parametrize("what", ["reach", "map"])
def test_a_pdf_has_its_letters_embedded_and_the_size_of_its_column(run: Path, tmp_path: Path, what: str) -> None:
    pytest.importorskip("vl_convert")
    sl.plot(run, tmp_path / "figure.pdf", what=what)  # type: ignore[arg-type]
    made = (tmp_path / "figure.pdf").read_bytes()
    assert made.startswith(b"%PDF")
    assert re.search(rb"/MediaBox \[0 0 240\.9", made)
    assert b"/FontFile2" in made


def test_a_png_has_300_dots_an_inch(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    sl.plot(run, tmp_path / "figure.png")
    made = (tmp_path / "figure.png").read_bytes()
    assert int.from_bytes(made[16:20], "big") == pytest.approx(85 / 25.4 * 300, abs=2)


def test_the_map_is_of_the_worst_phase_or_of_the_one_asked_for(run: Path, tmp_path: Path) -> None:
    worst = drawn(run, tmp_path / "worst.svg", what="map")
    assert texts(worst)[0] == "All operators, phase blackout, from 05 Jan 2022 10:30 UTC"
    quiet = drawn(run, tmp_path / "quiet.svg", what="map", at="baseline")
    assert texts(quiet)[0].startswith("All operators, phase baseline")

    def coloured(figure: ElementTree.Element) -> set[str | None]:
        return {shape.get("fill") for shape in figure.iter(f"{SVG}circle")}

    assert coloured(quiet) == {sheet.LEVELS[5], sheet.LAND}, "all got through; Transtelecom is not everywhere"
    assert sheet.LEVELS[5] not in coloured(worst)


def test_the_names_on_a_map_can_be_read_on_land_of_any_colour(run: Path, tmp_path: Path) -> None:
    names = {each.text: each for each in drawn(run, tmp_path / "map.svg", what="map").iter(f"{SVG}text")}
    assert (names["Mangystau"].get("stroke"), names["Mangystau"].get("paint-order")) == ("#ffffff", "stroke")
    assert names["Kcell"].get("stroke") is None, "it stands on white"


def test_a_country_without_outlines_has_tiles(tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    figure = drawn(tmp_path / "run", tmp_path / "tiles.svg", what="map")
    assert texts(figure).count("Capital") == 3
    assert not list(figure.iter(f"{SVG}path"))


@pytest.mark.parametrize(
    "name",
    [
        "a-network-of-a-very-long-name-{}",
        "移动通信集团有限公司与其子公司 {}",
        "WWW@WWW@WWW@WWW {}",
        "\u202e\u2028\u202e\u2028 {}",
    ],
)
def test_long_names_can_be_told_apart_and_end_before_the_share_beside_them(name: str) -> None:
    """They lost their ends, by which they differ, and a wide letter was taken for one of average width."""
    for room in (40.0, 60.0, 110.0):
        found = [sheet.shortened(name.format(number), room) for number in range(10, 50)]
        assert len(set(found)) == 40, found[:2]
        assert max(width_of(each, sheet.BODY) for each in found) <= room
    parts, _ = sheet.legend([("#fff", "not measured")] * 5, 0, 10, 150)
    at = [(float(x[1]), x[2]) for part in parts if (x := re.search(r'<text x="([0-9.]+)".*>(.*)</text>', str(part)))]
    assert all(x + width_of(words, sheet.SMALL) <= 150 for x, words in at)


def test_signals_are_drawn_as_they_were_read(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    phases = [name for name, _ in sl.Run.open(run).table.phases]
    write_readings(
        tmp_path / "run",
        [
            Reading("bgp", phase, "country", "", "ipv4", 0.5 if phase == "blackout" else 1.0, "share", "measured")
            for phase in phases
        ]
        + [Reading("cdn", phases[0], "country", "", "both", 1.0, "share", "modelled")]
        + [Reading("bgp", phases[0], "operator", "kcell", "ipv6", 1.0, "share", "measured")],
    )
    figure = drawn(tmp_path / "run", tmp_path / "signals.svg", what="signals")
    assert {"BGP", "IPv4, 0 to 100%", "CDN volume"} <= set(texts(figure))
    assert "dashed: modelled or held, not measured" in texts(figure)
    bgp, cdn = [path for path in figure.iter(f"{SVG}path") if path.get("fill") == "none"]
    assert (bgp.get("stroke-dasharray"), cdn.get("stroke-dasharray")) == (None, sheet.DASHED)
    heights = [float(y) for y in re.findall(r"V([\d.]+)h", bgp.get("d", ""))]
    assert [h - min(heights) > 9 for h in heights] == [phase == "blackout" for phase in phases]


def test_signals_of_which_none_was_measured_are_not_dashed_and_said_to_be_modelled(run: Path, tmp_path: Path) -> None:
    figure = drawn(run, tmp_path / "signals.svg", what="signals")
    curves = [path for path in figure.iter(f"{SVG}path") if path.get("fill") == "none"]
    assert len(curves) > 10
    assert not any(path.get("stroke-dasharray") for path in curves)
    assert "modelled, not measured" in texts(figure)


def test_no_name_of_a_signal_is_cut_short(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    phases = [name for name, _ in sl.Run.open(run).table.phases]
    seen = [Reading("atlas-datacentre", phase, "country", "", "both", 1.0, "share", "measured") for phase in phases]
    write_readings(tmp_path / "run", seen)
    assert "Atlas in data centres" in texts(drawn(tmp_path / "run", tmp_path / "signals.svg", what="signals"))


def test_the_figures_colours_are_the_report_s() -> None:
    style = (ROOT / "shutdownlab/reporting/page/page.css").read_text().split("@media")[0]
    names = ["lost", "slow", "reached", "down", *(f"l{place}" for place in range(6)), "ink", "soft", "rule", "land"]
    colours = [sheet.LOST, sheet.SLOW, sheet.REACHED, sheet.DOWN, *sheet.LEVELS]
    colours += [sheet.INK, sheet.SOFT, sheet.RULE, sheet.LAND]
    assert {name: re.findall(rf"--{name}: (#\w+)", style) for name in names} == {
        name: [colour] for name, colour in zip(names, colours, strict=True)
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "a.gif"], "-o: found 'a.gif'; expected a name that ends in .pdf, .svg or .png"),
        (["-o", "a.svg", "--what", "map", "--at", "blackuot"], "hint: did you mean 'blackout'?"),
        (["-o", "a.svg", "--at", "blackout"], "--at: found a phase for `reach`, which shows all phases"),
        (["-o", "a.svg", "--width", "5"], "--width: found 5; expected millimetres from 50 to 420"),
        (["-o", "a.svg", "--what", "signals"], "which has no readings.csv: nobody looked at it from outside"),
        (["-o", "no/such/a.svg"], "-o: found no/such/a.svg, which cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_can(
    run: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    (run / "readings.csv").unlink()  # as of a run without --observe
    done = CliRunner().invoke(app, ["plot", str(run), *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_the_command_draws(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "reach.svg"
    done = CliRunner().invoke(app, ["plot", str(run), "-o", str(out)])
    assert done.exit_code == 0, done.output
    sl.plot(run, tmp_path / "same.svg")
    assert out.read_text() == (tmp_path / "same.svg").read_text()
