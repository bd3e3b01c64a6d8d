#!/usr/bin/env python3
"""Draws the plots of docs/benchmarks.md from the tables of that page.

python scripts/benchmark_plots.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"

WIDTH, LABELS, RIGHT, TOP, BAR, GAP = 720, 170, 60, 64, 16, 12
"""Pixels: the picture, the column of labels, the margin on the right, the head, and the height of a bar."""
COLOURS = ("#3b82f6", "#e08a1e")
"""Of the series; both can be told from white and from black."""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 }
.axis { stroke: #888 }
.range { stroke: #333; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .range { stroke: #ddd } }
"""


@dataclass(frozen=True)
class Bar:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """Groups of bars, one bar in each for every series. `line`: the value at which a line is drawn."""

    title: str
    series: Sequence[str]
    groups: Mapping[str, Sequence[Bar]]
    line: float | None


def plots(page: str) -> dict[str, str]:
    """The name and the SVG text of each plot of `page`."""
    ratios = ("beside llama.cpp at its defaults", "beside llama.cpp at its best")
    return {
        "speed.svg": svg(
            Chart("Speed with AVX-512, in multiples of llama.cpp's", ratios, _by_type(table(page, "AVX-512 (`")), 1)
        ),
        "experts.svg": svg(
            Chart(
                "GLM-4.7-Flash: speed with AVX-512, in multiples of llama.cpp's",
                ratios,
                _by_measure(table(page, "**With AVX-512**")),
                1,
            )
        ),
        "depth.svg": svg(
            Chart(
                "GLM-4.7-Flash: ms for a token in one layer's attention, by depth",
                ("chatglm-server", "llama.cpp"),
                _by_depth(table(page, "**Attention alone**")),
                None,
            )
        ),
    }


def table(page: str, before: str) -> list[list[str]]:
    """The cells of the first table behind the line that begins with `before`, without its head."""
    _, found, rest = page.partition(f"\n{before}")
    match = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert found and match, f"{PAGE} has no table behind {before!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in match[0].splitlines()[2:]]


def _by_type(rows: Sequence[Sequence[str]]) -> dict[str, Sequence[Bar]]:
    """Prompts and single answers by type of weights, which a row names in bold if it is the first of its type."""
    groups: dict[str, Sequence[Bar]] = {}
    kind = ""
    for label, *cells in rows:
        name = re.match(r"\*\*(\w+)\*\*", label)
        kind = name[1] if name else kind
        if "prefill" in label or label == "decode, one sequence":
            groups[f"{kind}, {'prompt' if 'prefill' in label else 'answer'}"] = _ratios(cells)
    return groups


def _by_measure(rows: Sequence[Sequence[str]]) -> dict[str, Sequence[Bar]]:
    names = {"prefill, 512 tokens": "prompt", "decode, one sequence": "answer"}
    names["decode, four sequences, in total"] = "four answers"
    return {names[label]: _ratios(cells) for label, *cells in rows}


def _by_depth(rows: Sequence[Sequence[str]]) -> dict[str, Sequence[Bar]]:
    """The table has three columns of prompts, and then those of one token."""
    return {f"after {row[0]} tokens": [_milliseconds(row[4]), _milliseconds(row[5])] for row in rows}


def _ratios(cells: Sequence[str]) -> list[Bar]:
    """The cells that are a median and its range: 1.81 (1.72-1.95)."""
    found = [re.fullmatch(r"([\d.]+) \(([\d.]+)-([\d.]+)\)", cell) for cell in cells]
    return [Bar(*map(float, match.groups())) for match in found if match]


def _milliseconds(cell: str) -> Bar:
    value = float(cell.strip("*").removesuffix(" ms"))
    return Bar(value, value, value)


def svg(chart: Chart) -> str:
    """`chart` as an SVG picture, in the colours of the reader's system, light or dark."""
    step = BAR * len(chart.series) + GAP
    height = TOP + step * len(chart.groups) + GAP
    most = max(bar.high for bars in chart.groups.values() for bar in bars)
    scale = (WIDTH - LABELS - RIGHT) / most
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", role="img")
    SubElement(root, "title").text = chart.title
    SubElement(root, "style").text = STYLE
    _text(root, 0, 18, chart.title, weight="bold")
    for number, name in enumerate(chart.series):
        left = LABELS + number * (WIDTH - LABELS) // len(chart.series)
        _bar(root, left, 32, 12, COLOURS[number])
        _text(root, left + 18, 43, name)
    for place, (label, bars) in enumerate(chart.groups.items()):
        top = TOP + place * step
        _text(root, LABELS - 10, top + (step - GAP) / 2 + 4, label, anchor="end")
        for number, bar in enumerate(bars):
            _bar(root, LABELS, top + number * BAR, bar.value * scale, COLOURS[number])
            middle = top + number * BAR + BAR / 2 - 1
            if bar.low < bar.high:
                _line(root, "range", LABELS + bar.low * scale, middle, LABELS + bar.high * scale, middle)
            _text(root, LABELS + bar.high * scale + 6, middle + 4, f"{bar.value:g}")
    for value in (0, chart.line):
        if value is not None:
            across = LABELS + value * scale
            _line(root, "axis", across, TOP - 6, across, height - GAP)
    indent(root, space="")
    return tostring(root, encoding="unicode") + "\n"


def _text(parent: Element, x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> None:
    attributes = {"x": f"{x:.0f}", "y": f"{y:.0f}", "text-anchor": anchor, "style": f"font-weight: {weight}"}
    SubElement(parent, "text", attributes).text = text


def _bar(parent: Element, x: float, y: float, width: float, colour: str) -> None:
    SubElement(parent, "rect", x=f"{x:.0f}", y=f"{y:.0f}", width=f"{width:.0f}", height=f"{BAR - 2}", fill=colour)


def _line(parent: Element, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(parent, "line", {"class": kind, **{name: f"{value:.0f}" for name, value in ends.items()}})


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, picture in plots(PAGE.read_text(encoding="utf-8")).items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
