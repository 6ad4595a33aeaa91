"""Keeps the measured part of a page of docs/ up to date; what people wrote around it stays."""

from dataclasses import dataclass
from pathlib import Path

from . import machine, report

begin, end = "<!-- bench/run begins -->", "<!-- bench/run ends -->"


@dataclass(frozen=True)
class Page:
    """A page with a picture beside it; `introduction` is how a new one begins."""

    path: Path
    introduction: str

    @property
    def picture(self) -> Path:
        return self.path.with_suffix(".svg")

    def write(self, lines_above: list[str], tables: list[report.Table], failures: list[str]) -> None:
        text = self.path.read_text() if self.path.exists() else f"{self.introduction}\n{begin}\n{end}\n"
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found or not found_end:
            raise ValueError(f"{self.path.name} has lost its marks {begin} and {end}")
        measured = format_markdown(lines_above, self.picture.name, tables, failures)
        self.path.write_text(f"{before}{begin}\n{measured}\n{end}{after}")


relay = Page(machine.repository / "docs" / "benchmarks.md", """\
# Benchmarks

Narrowlink's relay beside what people use today (OpenSSH: `ssh -R` at the far side, `ssh -L` at the near side, one
`sshd` in the middle) and beside the bare loopback, measured in one run. The ratios are the result; the absolute
numbers belong to one machine. How they are measured, and how to read them: [bench/README.md](../bench/README.md).
""")

direct = Page(machine.repository / "docs" / "benchmarks-direct.md", """\
# Benchmarks of direct paths

What a direct path moves and costs beside bare QUIC, TCP and WireGuard on the same wire; the two relays beside each other;
how long it takes until a path is direct; and how long a stream stands still when its path changes. The ratios are the result;
the absolute numbers belong to one machine. How they are measured, and how to read them:
[bench/README.md](../bench/README.md#direct-paths). The relay beside OpenSSH: [benchmarks.md](benchmarks.md).
""")

loss = Page(machine.repository / "docs" / "benchmarks-loss.md", """\
# Benchmarks of lossy links

What the relay over WebSocket, the relay over UDP and a direct path move over a link that loses single packets, beside
TCP and bare QUIC on the same link. The ratios are the result; the absolute numbers belong to one machine. How they are
measured, and how to read them: [bench/README.md](../bench/README.md#lossy-links). Without losses:
[benchmarks-direct.md](benchmarks-direct.md).
""")


def format_markdown(lines_above: list[str], picture: str, tables: list[report.Table], failures: list[str]) -> str:
    blocks = ["\n".join(f"- {line}" for line in lines_above), f"![chart]({picture})"]
    for head, rows in tables:
        lines = [head, ["---"] + ["---:" if is_number_column(rows, i) else "---" for i in range(1, len(head))], *rows]
        blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    if failures:
        blocks.append("Not everything could be measured:\n\n" + "\n".join(f"- {line}" for line in failures))
    return "\n\n".join(blocks)


def is_number_column(rows: list[list[str]], column: int) -> bool:
    return all(row[column][0].isdigit() or row[column][0] in "–-" for row in rows)
