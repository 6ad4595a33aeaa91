"""Keeps the measured part of docs/benchmarks.md up to date; what people wrote around it stays."""

from . import machine, report

page = machine.repository / "docs" / "benchmarks.md"
picture = machine.repository / "docs" / "benchmarks.svg"
begin, end = "<!-- bench/run begins -->", "<!-- bench/run ends -->"

introduction = f"""\
# Benchmarks

Narrowlink's relay beside what people use today (OpenSSH: `ssh -R` at the far side, `ssh -L` at the near side, one
`sshd` in the middle) and beside the bare loopback, measured in one run. The ratios are the result; the absolute
numbers belong to one machine. How they are measured, and how to read them: [bench/README.md](../bench/README.md).

{begin}
{end}
"""


def write(results: dict) -> None:
    text = page.read_text() if page.exists() else introduction
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page.name} has lost its marks {begin} and {end}")
    page.write_text(f"{before}{begin}\n{format_markdown(results)}\n{end}{after}")


def format_markdown(results: dict) -> str:
    blocks = ["\n".join(f"- {line}" for line in report.circumstances(results)), f"![chart]({picture.name})"]
    for head, rows in report.tables(results):
        lines = [head, ["---"] + ["---:" if is_number_column(rows, i) else "---" for i in range(1, len(head))], *rows]
        blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    if results["failures"]:
        blocks.append("Not everything could be measured:\n\n" + "\n".join(f"- {line}" for line in results["failures"]))
    return "\n\n".join(blocks)


def is_number_column(rows: list[list[str]], column: int) -> bool:
    return all(row[column][0].isdigit() or row[column][0] in "–-" for row in rows)
