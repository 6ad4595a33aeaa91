"""The tables that show what was measured over a lossy link. There is no aim."""

from ..direct.report import Figures
from ..report import Table, disturbance_line, machine_lines, medians_of, ratio

losses = ("0", "1", "5")  # percent, in each direction
subjects = {
    "tcp-cubic": "TCP with CUBIC (iperf3)",
    "tcp-bbr": "TCP with BBR (iperf3)",
    "narrowlink-websocket": "relay over WebSocket, its TCP with CUBIC",
    "narrowlink-websocket-bbr": "relay over WebSocket, its TCP with BBR",
    "narrowlink-udp": "relay over UDP",
    "narrowlink-direct": "direct",
    "narrowlink-direct-cubic": "direct, with `congestion_control: cubic` at both ends",
    "quic-cubic-rfc": "bare QUIC with CUBIC as in RFC 9002",
    "quic-cubic": "bare QUIC with CUBIC as with `congestion_control: cubic`",
    "quic-bbr": "bare QUIC with BBR, else as in the product",
}
ratios = (
    ("narrowlink-udp", "narrowlink-websocket", "relay over UDP / over WebSocket with CUBIC"),
    ("narrowlink-udp", "narrowlink-websocket-bbr", "relay over UDP / over WebSocket with BBR"),
    ("narrowlink-direct", "narrowlink-websocket", "direct / relay over WebSocket with CUBIC"),
    ("narrowlink-direct", "narrowlink-websocket-bbr", "direct / relay over WebSocket with BBR"),
    ("narrowlink-direct", "narrowlink-direct-cubic", "direct with BBR / with CUBIC"),
    ("narrowlink-direct", "tcp-cubic", "direct / TCP with CUBIC"),
    ("narrowlink-direct", "quic-cubic-rfc", "direct / bare QUIC with CUBIC as in RFC 9002"),
    ("narrowlink-direct", "quic-cubic", "direct / bare QUIC with CUBIC as with `congestion_control: cubic`"),
    ("quic-bbr", "quic-cubic", "bare QUIC with BBR / with CUBIC as with `congestion_control: cubic`"),
)


def summarise(samples: list[dict]) -> dict:
    return {"medians": medians_of(samples)}


def measure(percent: str) -> str:
    return f"loss-{percent}/throughput"


def measured_losses(figures: Figures) -> list[str]:
    return [percent for percent in losses if figures.medians.get(measure(percent))]


def throughput_table(figures: Figures) -> Table:
    shown = measured_losses(figures)
    rows = [[title, *(figures.spread(measure(percent), subject) for percent in shown)]
            for subject, title in subjects.items()
            if any(figures.get(measure(percent), subject) is not None for percent in shown)]
    return ["1 stream down, Mbit/s", *(f"{percent} % loss" for percent in shown)], rows


def ratio_table(figures: Figures) -> Table:
    shown = measured_losses(figures)
    rows = []
    for ours, theirs, title in ratios:
        found = [figures.against(measure(percent), ours, theirs) for percent in shown]
        if any(value is not None for value in found):
            rows.append([title, *(ratio(value) for value in found)])
    return ["ratio", *(f"{percent} % loss" for percent in shown)], rows


def link_table(links: dict) -> Table:
    """What the router has counted on the client's link, all transfers together."""
    head = ["counted on the link", "packets to the client", "of these lost", "packets from the client", "of these lost",
            "longer than the MTU",
            "lost by the delay line"]
    rows = []
    for percent, counted in links.items():
        row = [f"{percent} % loss"]
        for direction in ("down", "up"):
            packets, lost = counted[f"packets.{direction}"], counted[f"lost.{direction}"]
            row += [f"{packets:,}", f"{100 * lost / packets:.2f} %" if packets else "–"]
        rows.append([*row, str(counted["trains"]), str(counted["overflow"])])
    return head, rows


def tables(results: dict) -> list[Table]:
    figures = Figures(results["medians"])
    found = [throughput_table(figures), ratio_table(figures), link_table(results["links"])]
    return [table for table in found if table[1]]


def circumstances(results: dict) -> list[str]:
    plan = results["plan"]
    lines = [*machine_lines(results),
             f"medians of {plan['runs']} interleaved run(s) of {plan['seconds']:g} s; in brackets the smallest and the "
             "largest of them",
             f"{results['rate']} Mbit/s, round trip {results['round_trip']} ms, MTU 1500; no train of packets and no large "
             "segment leaves the machine that made it; each packet is lost or not by itself, at random, in both "
             "directions",
             disturbance_line(results)]
    if results.get("remark"):
        lines.append(f"**{results['remark']}**")
    if results["versions"]:
        lines.append("packages: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()
                                              if name != "wireguard-go"))
    return lines
