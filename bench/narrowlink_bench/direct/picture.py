"""Draws direct.json: picture.py RESULTS PICTURE. Runs under the Python that Debian's matplotlib belongs to."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this folder, which has a picture.py as well

from picture import Figure, label, plt  # noqa: E402

DIRECT = "narrowlink-direct"
colours = {DIRECT: "#1f5fa8", "quic": "#6b6b6b", "wireguard": "#88b04b", "tcp": "#b5b5b5",
           "narrowlink-websocket": "#7aa6d6", "narrowlink-udp": "#d9822b"}
titles = {DIRECT: "Narrowlink, direct", "quic": "bare QUIC", "wireguard": "wireguard-go", "tcp": "TCP",
          "narrowlink-websocket": "relay over WebSocket", "narrowlink-udp": "relay over UDP"}
places = (("veth-1500/", "veth\n1500"), ("veth-9000/", "veth\n9000"), ("loopback-1500/", "loopback\n1500"),
          ("loopback-9000/", "loopback\n9000"), ("loopback-65536/", "loopback\n65536"), ("relays/", "relays"))
delays = (0, 20, 100)
stalls = (("relay_to_direct", "to\ndirect", 1), ("udp_cut", "UDP\ncut", 3), ("relay_to_direct_again", "back", 1),
          ("nat_reboot", "NATs\nreboot", 3), ("nat_reboot_other_ports", "other\nports", 3),
          ("roaming", "client\nroams", 3), ("agent_roaming", "agent\nroams", 3),
          ("agent_suspended", "agent\nstopped", 3), ("slow_path", "slow\npath", 3), ("flapping", "UDP\nflaps", 3),
          ("gateway_kill", "gate-\nway\nkilled", 1),
          ("relay_to_udp", "to\nUDP\nrelay", 1), ("udp_relay_cut", "UDP\ncut", 3), ("relay_to_udp_again", "back", 1))


class DirectFigure(Figure):
    def __init__(self, results: dict):
        self.results = results

    def largest(self, measure: str) -> float:
        return self.results["medians"].get(measure, {}).get("narrowlink", {}).get("max", 0.0)

    def groups(self, axes, title: str, kind: str) -> None:
        """One group of bars per place, one bar per subject that was measured there."""
        named, at = set(), []
        for group, (place, _) in enumerate(places):
            measure = f"{place}{kind}.1.up"
            found = [subject for subject in colours if subject != "tcp" and self.median(measure, subject)]
            width = 0.8 / max(1, len(found))
            for index, subject in enumerate(found):
                value = self.median(measure, subject)
                drawn = axes.bar([group + (index - (len(found) - 1) / 2) * width], [value], width * 0.92,
                                 color=colours[subject], label=None if subject in named else titles[subject])
                axes.bar_label(drawn, [label(value)], fontsize=7, padding=2)
                named.add(subject)
            tcp = self.median(measure, "tcp")
            at.append(places[group][1] + (f"\n(TCP {label(tcp)})" if tcp else ""))
        self.finish(axes, title, at)

    def time_to_direct(self, axes) -> None:
        names = [f"{delay} ms one way" for delay in delays]
        first = [self.median(f"delay-{delay}/first_byte", "narrowlink") for delay in delays]
        rest = [self.median(f"delay-{delay}/relay_to_direct", "narrowlink") for delay in delays]
        axes.bar(names, first, 0.5, color=colours["narrowlink-websocket"], label="first byte, by the relay")
        drawn = axes.bar(names, rest, 0.5, bottom=first, color=colours[DIRECT], label="until the path is direct")
        axes.bar_label(drawn, [label(one + other) for one, other in zip(first, rest)], fontsize=7, padding=2)
        self.finish(axes, "time from the command, ms, medians", names)

    def longest_gaps(self, axes) -> None:
        values = [self.largest(f"stall/{name}") for name, _, _ in stalls]
        drawn = axes.bar(range(len(stalls)), values, 0.6, color=colours[DIRECT])
        axes.bar_label(drawn, [label(value) for value in values], fontsize=7, padding=2)
        for index, (_, _, limit) in enumerate(stalls):
            axes.plot([index - 0.4, index + 0.4], [limit, limit], color="black", linewidth=0.7, linestyle=":")
        self.finish(axes, "longest gap of a live stream, s, the worst run (dotted: the aim)",
                    [name for _, name, _ in stalls])
        axes.tick_params(axis="x", labelsize=6.5)

    def draw(self, path: Path) -> None:
        figure, ((throughput, cpu), (time, gaps)) = plt.subplots(2, 2, figsize=(12, 8))
        self.groups(throughput, "throughput of 1 stream up, Gbit/s", "throughput")
        self.groups(cpu, "CPU seconds per GiB of 1 stream up, all processes", "cpu")
        self.time_to_direct(time)
        self.longest_gaps(gaps)
        machine = self.results["machine"]
        figure.suptitle(f"Narrowlink {self.results['commit']} on {machine['processors']} x {machine['processor']}, "
                        f"{machine['system']}, {self.results['date']}", fontsize=9)
        figure.tight_layout()
        figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    DirectFigure(json.loads(Path(sys.argv[1]).read_text())).draw(Path(sys.argv[2]))
