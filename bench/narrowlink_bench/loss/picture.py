"""Draws loss.json: picture.py RESULTS PICTURE. Runs under the Python that Debian's matplotlib belongs to."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has a picture.py as well

from picture import Figure, label, plt  # noqa: E402

losses = ("0", "1", "5")
looks = {  # title, colour
    "tcp-cubic": ("TCP, CUBIC", "#b5b5b5"),
    "tcp-bbr": ("TCP, BBR", "#8c8c8c"),
    "narrowlink-websocket": ("relay over WebSocket, TCP CUBIC", "#7aa6d6"),
    "narrowlink-websocket-bbr": ("relay over WebSocket, TCP BBR", "#4a7fb8"),
    "narrowlink-udp": ("relay over UDP", "#d9822b"),
    "narrowlink-direct": ("Narrowlink, direct", "#1f5fa8"),
    "narrowlink-direct-cubic": ("the same with CUBIC", "#12365f"),
    "quic-cubic-rfc": ("bare QUIC, CUBIC as in RFC 9002", "#dcd9b0"),
    "quic-cubic": ("bare QUIC, CUBIC as Narrowlink's", "#b5b062"),
    "quic-bbr": ("bare QUIC, BBR", "#88b04b"),
}


class LossFigure(Figure):
    def __init__(self, results: dict):
        self.results = results

    def draw(self, path: Path) -> None:
        figure, axes = plt.subplots(figsize=(12, 5))
        shown = [percent for percent in losses if self.results["medians"].get(f"loss-{percent}/throughput")]
        width = 0.88 / len(looks)
        for index, (subject, (title, colour)) in enumerate(looks.items()):
            values = [self.median(f"loss-{percent}/throughput", subject) for percent in shown]
            if not any(values):
                continue
            at = [group + (index - (len(looks) - 1) / 2) * width for group in range(len(shown))]
            drawn = axes.bar(at, values, width * 0.92, color=colour, label=title)
            axes.bar_label(drawn, [label(value) for value in values], fontsize=7, padding=2)
        axes.set_yscale("log")
        axes.margins(x=0.02)
        self.finish(axes, f"1 stream down, Mbit/s, over {self.results['rate']} Mbit/s and "
                    f"{self.results['round_trip']} ms of round trip (logarithmic)",
                    [f"{percent} % of the packets lost" for percent in shown])
        axes.set_ylim(1, 10 * self.results["rate"])  # room for the legend
        machine = self.results["machine"]
        figure.suptitle(f"Narrowlink {self.results['commit']} on {machine['processors']} x {machine['processor']}, "
                        f"{machine['system']}, {self.results['date']}", fontsize=9)
        figure.tight_layout()
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    LossFigure(json.loads(Path(sys.argv[1]).read_text())).draw(Path(sys.argv[2]))
