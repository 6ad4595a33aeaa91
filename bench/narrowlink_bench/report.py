"""Medians, ratios, the aims, and the tables that show them."""

import statistics
from dataclasses import dataclass

from .measures import transfer_label, transfers


@dataclass(frozen=True)
class Row:
    measure: str  # of Narrowlink
    label: str
    unit: str
    openssh: str | None = None  # where OpenSSH's part has another name

    def of(self, subject: str) -> str:
        return self.openssh if self.openssh and subject == "openssh" else self.measure


comparison = (
    *(Row(f"throughput.{s}.{d}", f"throughput, {transfer_label(s, d)}", "Gbit/s") for s, d in transfers),
    Row("round_trip.median", "round trip of 1 byte, median", "µs"),
    Row("round_trip.p99", "round trip of 1 byte, p99", "µs"),
    Row("first_byte", "command to first byte", "ms"),
    *(Row(f"cpu.{s}.{d}", f"CPU of all processes, {transfer_label(s, d)}", "s/GiB") for s, d in transfers),
    Row("idle_node.rss", "gateway RSS per idle node", "KiB"),
    Row("idle_node.pss", "gateway PSS per idle node", "KiB"),
    Row("stream.client.rss", "RSS per idle stream, near side", "KiB", "stream.ssh -L.rss"),
    Row("stream.gateway.rss", "RSS per idle stream, middle", "KiB", "stream.sshd.rss"),
    Row("stream.agent.rss", "RSS per idle stream, far side", "KiB", "stream.ssh -R.rss"),
)

parts = {"narrowlink": ("client", "gateway", "agent"), "openssh": ("ssh -L", "sshd", "ssh -R")}
titles = {"narrowlink": "Narrowlink", "openssh": "OpenSSH", "bare": "bare loopback"}


def medians_of(samples: list[dict]) -> dict:
    """By measure and subject; `min` and `max` are the spread."""
    values: dict[str, dict[str, list[float]]] = {}
    for sample in samples:
        values.setdefault(sample["measure"], {}).setdefault(sample["subject"], []).append(sample["value"])
    return {measure: {subject: {"median": statistics.median(found), "min": min(found), "max": max(found),
                                "runs": len(found)}
                      for subject, found in subjects.items()}
            for measure, subjects in values.items()}


def summarise(samples: list[dict]) -> dict:
    """Medians over the runs, ratios of these medians, and how the aims stand."""
    medians = medians_of(samples)

    def median(measure: str, subject: str) -> float | None:
        return medians.get(measure, {}).get(subject, {}).get("median")

    ratios: dict[str, dict[str, float]] = {}
    for row in comparison:
        ours = median(row.measure, "narrowlink")
        for other in ("openssh", "bare"):
            theirs = median(row.of(other), other)
            if ours is not None and theirs is not None and theirs > 0:
                ratios.setdefault(row.measure, {})[other] = ours / theirs
    return {"medians": medians, "ratios": ratios, "aims": judge(medians, ratios)}


def judge(medians: dict, ratios: dict) -> list[dict]:
    def to_openssh(measure: str) -> float | None:
        return ratios.get(measure, {}).get("openssh")

    def of_narrowlink(measure: str) -> float | None:
        return medians.get(measure, {}).get("narrowlink", {}).get("median")

    throughput = [to_openssh(f"throughput.{s}.{d}") for s, d in transfers]
    cpu = [of_narrowlink(f"cpu.{s}.{d}") for s, d in transfers]
    return [
        aim("throughput, the worst of the four, is at least 3 times OpenSSH's", throughput, 3, "x", at_least=True),
        aim("CPU of the three processes together, the worst of the four, is at most 4 s/GiB", cpu, 4, " s/GiB"),
        aim("round trip, median, is at most 1.3 times OpenSSH's", [to_openssh("round_trip.median")], 1.3, "x"),
        aim("gateway memory (RSS) per idle node is at most 64 KiB", [of_narrowlink("idle_node.rss")], 64, " KiB"),
    ]


def aim(text: str, values: list[float | None], limit: float, unit: str, at_least: bool = False) -> dict:
    if None in values:
        return {"aim": text, "state": "not measured", "value": None, "unit": unit}
    worst = min(values) if at_least else max(values)
    met = worst >= limit if at_least else worst <= limit
    return {"aim": text, "state": "met" if met else "MISSED", "value": worst, "unit": unit}


def number(value: float | None) -> str:
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}x"


Table = tuple[list[str], list[list[str]]]  # head, rows


def comparison_table(results: dict) -> Table:
    head = ["measure", "Narrowlink / OpenSSH", "Narrowlink / bare", "Narrowlink", "OpenSSH", "bare", "unit"]
    rows = []
    for row in comparison:
        found = [results["medians"].get(row.of(subject), {}).get(subject, {}).get("median")
                 for subject in ("narrowlink", "openssh", "bare")]
        if any(value is not None for value in found):
            ratios = results["ratios"].get(row.measure, {})
            rows.append([row.label, ratio(ratios.get("openssh")), ratio(ratios.get("bare")), *map(number, found),
                         row.unit])
    return head, rows


def process_table(results: dict) -> Table:
    head = ["CPU s/GiB of", *(transfer_label(s, d) for s, d in transfers)]
    rows = []
    for subject, names in parts.items():
        for part in names:
            found = [results["medians"].get(f"cpu.{s}.{d}.{part}", {}).get(subject, {}).get("median")
                     for s, d in transfers]
            if any(value is not None for value in found):
                rows.append([f"{titles[subject]}: {part}", *map(number, found)])
    return head, rows


def size_table(results: dict) -> Table:
    rows = []
    for role in ("gateway", "agent", "client"):
        found = [results["medians"].get(f"size.{role}.{form}", {}).get("narrowlink", {}).get("median")
                 for form in ("built", "stripped")]
        if any(value is not None for value in found):
            rows.append([f"narrowlink-{role}", *map(number, found)])
    return ["binary, MiB", "as built", "stripped"], rows


def aims_table(results: dict) -> Table:
    rows = [[entry["state"], "–" if entry["value"] is None else number(entry["value"]) + entry["unit"], entry["aim"]]
            for entry in results["aims"]]
    return ["state", "measured", "aim"], rows


def tables(results: dict) -> list[Table]:
    found = [aims_table(results), comparison_table(results), process_table(results), size_table(results)]
    return [table for table in found if table[1]]


def machine_lines(results: dict) -> list[str]:
    machine = results["machine"]
    return [f"{machine['processors']} x {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}, "
            f"{machine['kernel']}; everything on this one machine, {machine['network']}",
            f"command: {results['command']}; commit {results['commit']}; {results['date']}"]


def disturbance_line(results: dict) -> str:
    machine = results["machine"]
    return (f"other processes took {machine['other_processes']:.0%} of the processors during the run, the hypervisor "
            f"{machine['stolen']:.0%}")


def circumstances(results: dict) -> list[str]:
    plan = results["plan"]
    lines = [*machine_lines(results),
             f"medians of {plan['runs']} interleaved run(s) of {plan['seconds']:g} s ({plan['first_bytes']} for the "
             f"first byte); {plan['rounds']:,} round trips a run; {plan['idle_nodes']:,} idle nodes "
             f"(OpenSSH {plan['ssh_idle_nodes']}); {plan['streams']} idle streams",
             disturbance_line(results)]
    if results["openssh"]:
        lines.append(f"OpenSSH: {results['openssh']['version']}, its default cipher {results['openssh']['cipher']}; "
                     "ssh -R and ssh -L meet in one sshd")
    return lines


def format_text(lines_above: list[str], shown: list[Table], failures: list[str]) -> str:
    blocks = ["\n".join(lines_above)]
    for head, rows in shown:
        widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
        lines = [head, ["-" * width for width in widths], *rows]
        blocks.append("\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                                for line in lines))
    if failures:
        blocks.append("\n".join(["FAILED", *failures]))
    return "\n\n".join(blocks)
