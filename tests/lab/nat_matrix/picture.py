"""The matrix as a picture, an SVG written by hand so that nothing has to be installed."""

from xml.sax.saxutils import escape

from .expectations import KINDS, Technique
from .report import count, number, seconds

SIDE, LEFT, TOP = 62, 84, 96
COLOURS = {
    Technique.observed: "#8fd19e",
    Technique.prediction: "#a8d8ea",
    Technique.block: "#79aee0",
    Technique.birthday: "#c3a6e0",
    Technique.none: "#d8d8d8",
}
WORDS = {
    Technique.observed: "observed address",
    Technique.prediction: "port prediction",
    Technique.block: "block spray",
    Technique.birthday: "birthday",
    Technique.none: "relay, as expected",
}
FAILED = "#d9302c"


def text(x, y, words, size=12, anchor="middle", weight="normal", colour="#222"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{colour}">{escape(words)}</text>')


def square(x, y, summary):
    technique = summary.technique or Technique.none
    failed = not summary.is_good
    border = f'stroke="{FAILED}" stroke-width="4"' if failed else 'stroke="white" stroke-width="2"'
    inset = 2 if failed else 0
    middle = x + SIDE / 2
    parts = [f'<rect x="{x + inset}" y="{y + inset}" width="{SIDE - 2 * inset}" height="{SIDE - 2 * inset}" '
             f'fill="{COLOURS[technique]}" {border}/>',
             text(middle, y + 20, count(summary).strip("*"), 12, weight="bold", colour=FAILED if failed else "#222")]
    if summary.case.expected.direct:
        parts.append(text(middle, y + 36, f'{seconds(summary.median("seconds"))} s', 11))
        parts.append(text(middle, y + 51, number(summary.median("probes")), 10, colour="#555"))
    return parts


def draw(summaries, caption):
    width, height = LEFT + SIDE * len(KINDS) + 20, TOP + SIDE * len(KINDS) + 92
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}" font-family="sans-serif">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             text(LEFT, 28, "Which NATs get a direct path, and how", 18, "start", "bold"),
             text(LEFT, 48, caption, 11, "start", colour="#555"),
             text(LEFT + SIDE * len(KINDS) / 2, 70, "client behind", 12, colour="#555"),
             f'<g transform="translate(20 {TOP + SIDE * len(KINDS) / 2:g}) rotate(-90)">'
             + text(0, 0, "agent behind", 12, colour="#555") + "</g>"]
    for place, kind in enumerate(KINDS):
        parts.append(text(LEFT + SIDE * (place + 0.5), TOP - 8, kind, 13, weight="bold"))
        parts.append(text(LEFT - 8, TOP + SIDE * (place + 0.5) + 5, kind, 13, "end", "bold"))
    for row, agent in enumerate(KINDS):
        for column, client in enumerate(KINDS):
            if summary := summaries.get(f"{agent}/{client}"):
                parts += square(LEFT + SIDE * column, TOP + SIDE * row, summary)
    y = TOP + SIDE * len(KINDS) + 24
    x = LEFT
    for technique, words in WORDS.items():
        parts.append(f'<rect x="{x}" y="{y - 13}" width="16" height="16" fill="{COLOURS[technique]}"/>')
        parts.append(text(x + 22, y, words, 12, "start"))
        x += 40 + 8 * len(words)
    parts.append(f'<rect x="{LEFT + 2}" y="{y + 13}" width="12" height="12" fill="white" stroke="{FAILED}" '
                 'stroke-width="4"/>')
    parts.append(text(LEFT + 22, y + 24, "fewer rounds than expected (all; of birthdays nine of ten)", 12, "start"))
    parts.append(text(LEFT, y + 48, "In a square: rounds that did what is expected, median seconds from the client's "
                      "start to the direct path, median probes of both sides", 11, "start", colour="#555"))
    return "\n".join([*parts, "</svg>", ""])
