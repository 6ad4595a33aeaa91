"""Draws results.json: picture.py RESULTS PICTURE. Runs under the Python that Debian's matplotlib belongs to."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "narrowlink"  # the same numbers give the same file
import matplotlib.pyplot as plt  # noqa: E402

colours = {"narrowlink": "#1f5fa8", "openssh": "#d9822b", "bare": "#b5b5b5"}
titles = {"narrowlink": "Narrowlink", "openssh": "OpenSSH", "bare": "bare loopback"}
parts = {"narrowlink": ("client", "gateway", "agent"), "openssh": ("ssh -L", "sshd", "ssh -R")}
transfers = (("1.up", "1 stream up"), ("1.down", "1 down"), ("16.up", "16 up"), ("16.down", "16 down"))


class Figure:
    def __init__(self, results: dict):
        self.results = results
        self.subjects = [name for name in colours
                         if any(sample["subject"] == name for sample in results["samples"])]
        self.tunnels = [name for name in self.subjects if name in parts]

    def median(self, measure: str, subject: str) -> float:
        return self.results["medians"].get(measure, {}).get(subject, {}).get("median", 0.0)

    def bars(self, axes, title: str, groups: list[tuple[str, str]], subjects: list[str]) -> None:
        """One group of bars per measure, one bar per subject, each with its number."""
        width = 0.8 / max(1, len(subjects))
        for index, subject in enumerate(subjects):
            at = [group + (index - (len(subjects) - 1) / 2) * width for group in range(len(groups))]
            values = [self.median(measure, subject) for measure, _ in groups]
            drawn = axes.bar(at, values, width * 0.92, color=colours[subject], label=titles[subject])
            axes.bar_label(drawn, [label(value) for value in values], fontsize=7, padding=2)
        self.finish(axes, title, [name for _, name in groups])

    def throughput(self, axes) -> None:
        # The bare loopback is so much faster that its bars would leave the others no height: it is told in words.
        def name(variant: str, words: str) -> str:
            bare = self.median(f"throughput.{variant}", "bare")
            return f"{words}\n(bare {label(bare)})" if bare else words
        self.bars(axes, "throughput, Gbit/s", [(f"throughput.{variant}", name(variant, words))
                                               for variant, words in transfers], self.tunnels)

    def stacked_cpu(self, axes) -> None:
        width = 0.8 / max(1, len(self.tunnels))
        for index, subject in enumerate(self.tunnels):
            at = [group + (index - (len(self.tunnels) - 1) / 2) * width for group in range(len(transfers))]
            base = [0.0] * len(transfers)
            for shade, part in zip((1.0, 0.7, 0.45), parts[subject]):
                values = [self.median(f"cpu.{variant}.{part}", subject) for variant, _ in transfers]
                drawn = axes.bar(at, values, width * 0.92, bottom=base, color=colours[subject], alpha=shade,
                                 label=f"{titles[subject]}: {part}")
                base = [below + value for below, value in zip(base, values)]
            axes.bar_label(drawn, [label(value) for value in base], fontsize=7, padding=2)
        axes.axhline(4, color="black", linewidth=0.7, linestyle=":")  # the aim
        self.finish(axes, "CPU seconds per GiB, by process (dotted: the aim)", [name for _, name in transfers])

    @staticmethod
    def finish(axes, title: str, names: list[str]) -> None:
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(y=0.35)  # room for the legend above the bars
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper left")

    def draw(self, path: Path) -> None:
        figure, ((throughput, cpu), (round_trip, first_byte)) = plt.subplots(2, 2, figsize=(11, 7.5))
        self.throughput(throughput)
        self.stacked_cpu(cpu)
        self.bars(round_trip, "round trip of 1 byte, µs",
                  [("round_trip.median", "median"), ("round_trip.p99", "p99")], self.subjects)
        self.bars(first_byte, "time from command to first byte, ms", [("first_byte", "")], self.subjects)
        machine = self.results["machine"]
        figure.suptitle(f"Narrowlink {self.results['commit']} on {machine['processors']} x {machine['processor']}, "
                        f"{machine['system']}, {self.results['date']}", fontsize=9)
        figure.tight_layout()
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=130, metadata=metadata)


def label(value: float) -> str:
    if value == 0:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    Figure(json.loads(Path(sys.argv[1]).read_text())).draw(Path(sys.argv[2]))
