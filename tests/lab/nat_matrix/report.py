"""The page that shows the results, in words and tables."""

import statistics
from collections import Counter
from dataclasses import dataclass

from .cases import CASES
from .expectations import KINDS, Technique

MARKS = {Technique.observed: "obs", Technique.prediction: "pred", Technique.block: "block",
         Technique.birthday: "bday", Technique.none: "relay"}


@dataclass(frozen=True)
class Summary:
    """What the rounds of one case came to."""

    case: object
    results: list

    @property
    def rounds(self):
        return len(self.results)

    @property
    def successes(self):
        return sum(result["ok"] for result in self.results)

    @property
    def is_good(self):
        return self.successes >= self.case.expected.share * self.rounds

    def median(self, key, among_all=False):
        values = [result[key] for result in self.results if key in result and (result["ok"] or among_all)]
        return statistics.median(values) if values else None

    @property
    def technique(self):
        """The one that most rounds saw."""
        seen = Counter(result["technique"] for result in self.results if "technique" in result)
        return Technique(seen.most_common(1)[0][0]) if seen else None

    @property
    def reason(self):
        seen = Counter(result["reason"] for result in self.results if "reason" in result)
        return seen.most_common(1)[0][0] if seen else ""


def summarise(results):
    by_case = {}
    for result in results:
        by_case.setdefault(result["case"], []).append(result)
    return {name: Summary(case, by_case[name]) for name, case in CASES.items() if name in by_case}


def seconds(value):
    return "–" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def number(value):
    return "–" if value is None else f"{value:,.0f}"


def count(summary):
    text = f"{summary.successes}/{summary.rounds}"
    return text if summary.is_good else f"**{text}**"


def cell(summary):
    if summary is None:
        return ""
    parts = [f'{MARKS[summary.technique] if summary.technique else "–"} {count(summary)}']
    if summary.case.expected.direct:
        parts.append(f'{seconds(summary.median("seconds"))} s')
    return "<br>".join([*parts, number(summary.median("probes"))])


def matrix_table(summaries):
    lines = ["| agent \\ client | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for agent in KINDS:
        cells = (cell(summaries.get(f"{agent}/{client}")) for client in KINDS)
        lines.append(f"| **{agent}** | " + " | ".join(cells) + " |")
    return lines


def special_table(summaries):
    lines = ["| Case | Outcome | Rounds | Seconds | Probes | Stall, s | After the change |", "|---" * 7 + "|"]
    for name, summary in summaries.items():
        if summary.case.is_cell:
            continue
        case, technique = summary.case, summary.technique
        outcome = "–" if technique is None else technique.value if technique is not Technique.none else "relay"
        if not case.expected.direct and summary.reason:
            outcome += f": {summary.reason}"
        then = ""
        if case.change:
            then = (f'{"direct" if case.then.direct else "relay"} after '
                    f'{seconds(summary.median("change_seconds"))} s, '
                    f'the stream stood for {seconds(summary.median("change_stall"))} s')
        lines.append(f'| `{name}`: {case.title} | {outcome} | {count(summary)} | {seconds(summary.median("seconds"))} '
                     f'| {number(summary.median("probes"))} | {seconds(summary.median("stall"))} | {then} |')
    return lines


def failures(summaries):
    lines = []
    for name, summary in summaries.items():
        errors = Counter(result.get("error", "?") for result in summary.results if not result["ok"])
        lines += [f"- `{name}`, {times} of {summary.rounds}: {error}" for error, times in errors.items()]
    return lines


def reasons(summaries):
    found = {}
    for name, summary in summaries.items():
        if summary.case.is_cell and summary.reason and not summary.case.expected.direct:
            found.setdefault(summary.reason, []).append(name)
    return [f'- "{reason}": {", ".join(names)}' for reason, names in found.items()]


def speed_lines(summaries):
    """How soon the cells are direct that need nothing but what the gateway has seen."""
    cells = [summary for summary in summaries.values() if summary.case.is_cell and summary.case.expected.aim
             and summary.median("after_relay") is not None]
    if not cells:
        return []
    since_start, after_relay = (statistics.median(summary.median(key) for summary in cells)
                                for key in ("seconds", "after_relay"))
    missed = [summary.case.name for summary in cells if summary.median("after_relay") > summary.case.expected.aim]
    aim = cells[0].case.expected.aim
    slowest = max(cells, key=lambda summary: summary.median("after_relay"))
    return ["", f"In the {len(cells)} cells that need neither prediction nor sprays the direct path is there "
                f"{seconds(since_start)} s after the client's",
            f"start, and {seconds(after_relay)} s after the first round trip over the relay was measured; the slowest is "
            f"{slowest.case.name} with {seconds(slowest.median('after_relay'))} s. The aim is",
            f"{seconds(aim)} s after the relay works (three round trips, which take no time here, and 300 ms): met in "
            f"{len(cells) - len(missed)} of {len(cells)} cells"
            + (f", not in {', '.join(missed)}." if missed else ".") + " (Medians of each cell's rounds.)"]


def page(about, results, picture):
    summaries = summarise(results)
    cells = [summary for summary in summaries.values() if summary.case.is_cell]
    special = [summary for summary in summaries.values() if not summary.case.is_cell]
    rounds = sum(summary.rounds for summary in summaries.values())
    good = sum(summary.successes for summary in summaries.values())
    lines = [
        "# Which NATs get a direct path",
        "",
        "Made by `tests/lab/matrix`, do not edit. The real programs, real traffic, every kind of router in network",
        "namespaces on one machine ([the laboratory](../tests/lab/README.md)).",
        "",
        f"![Every pair of NATs and how it gets a direct path]({picture})",
        "",
        f"{sum(summary.is_good for summary in cells)} of {len(cells)} cells and "
        f"{sum(summary.is_good for summary in special)} of {len(special)} other cases do what is expected of them in every",
        f"round, birthdays in nine of ten, address pools in four of ten; {good} of {rounds} rounds.",
        *speed_lines(summaries),
        "",
        "## The pairs",
        "",
        "Rows are the agent's NAT, columns the client's. In each cell: technique and rounds that did what is expected of",
        "the cell (bold: too few), seconds from the client's start to the direct path, and probes that both sides sent",
        "until a moment later, the first answers of the MTU search among them; both are medians of successful rounds.",
        "",
        *matrix_table(summaries),
        "",
        "| | Mapping, filtering, ports ([kind](../tests/lab/README.md)) |",
        "|---|---|",
        *(f"| {short} | `{kind}` |" for short, kind in KINDS.items()),
        "",
        "Where a pair stays on the relay, this is what the client says (agent/client):",
        "",
        *reasons(summaries),
        "",
        "## What else happens in networks",
        "",
        "Seconds are counted from the client's start to the direct path, or until the reason was shown. Stall is the",
        "longest pause of a live stream while it moved from the relay to the direct path.",
        "",
        *special_table(summaries),
        "",
        "## What failed",
        "",
        *(failures(summaries) or ["Nothing."]),
        "",
        "## How it was run",
        "",
        f"`{about['command']}`, {about['date']}, commit {about['commit']}; {about['jobs']} cases at once on {about['machine']};",
        f"{about['minutes']:g} minutes.",
        "",
        "Each round starts gateway, agent and client anew, behind routers that have forgotten everything, and a stream",
        "through the tunnel whose bytes are compared, 50 chunks a second in each direction, from the relay on. A path",
        "counts as direct when a second of the stream passes between the two sites (counted in the core of the network,",
        "or at the agent where the two meet before) while the bytes of the gateway's link stand still, and `status` and",
        "the log say so; as relayed when it is the other way round for as long as is watched. Which technique it was is",
        "concluded from the number of ports that probes came from and went to: 256 sockets are a birthday, 16 or hundreds",
        "of remote ports a block spray. Where two look alike because of luck with the first packets, the expected one is",
        "named. A round fails when outcome, reason or time limit is missed, when the technique is a costlier one than",
        "expected, and when a byte is lost. Expectations and limits stand in `tests/lab/nat_matrix/`.",
        "",
    ]
    return "\n".join(lines)
