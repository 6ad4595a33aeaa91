"""The aims of direct paths, and the tables that show what was measured."""

from ..measures import transfer_label, transfers
from ..report import Table, aim, aims_table, disturbance_line, machine_lines, medians_of, number, ratio
from .measures import LARGEST_MTU, delays

places = {f"{kind}-{mtu}/": f"{kind}, MTU {mtu}" for kind, mtu in (
    ("veth", 1500), ("veth", 9000), ("loopback", 1500), ("loopback", 9000), ("loopback", LARGEST_MTU))}
others = {"quic": "bare QUIC", "tcp": "TCP", "wireguard": "WireGuard"}
DIRECT = "narrowlink-direct"
round_trips, allowance = 3, 300  # after the relay works; the latter in ms
switch_labels = {
    "relay_to_direct": "relay → direct, at the start",
    "udp_cut": "direct → relay, UDP is cut without a word",
    "relay_to_direct_again": "relay → direct, UDP is let through again",
    "nat_reboot": "both NATs reboot, the same ports afterwards",
    "nat_reboot_other_ports": "both NATs reboot, other ports afterwards",
    "roaming": "the client gets another address and another NAT",
    "agent_roaming": "the agent gets another address and another NAT",
    "agent_suspended": "the agent's process is suspended for 3 s, after it has gone on",
    "slow_path": "direct → relay, the direct path becomes 150 ms slower one way",
    "flapping": "UDP is cut for 3 s and let through for 3 s, again and again",
    "gateway_kill": "`kill -9` of the gateway, start after 1 s",
    "relay_to_udp": "relay → relay over UDP, two seconds after the start",
    "udp_relay_cut": "relay over UDP → relay, UDP is cut without a word",
    "relay_to_udp_again": "relay → relay over UDP, UDP is let through again",
}
stall_limits = {  # seconds
    "relay_to_direct": 1, "relay_to_direct_again": 1, "gateway_kill": 1, "relay_to_udp": 1, "relay_to_udp_again": 1,
    "udp_cut": 3, "nat_reboot": 3, "nat_reboot_other_ports": 3, "roaming": 3, "agent_roaming": 3, "agent_suspended": 3,
    "slow_path": 3, "flapping": 3, "udp_relay_cut": 3,
}


class Figures:
    def __init__(self, medians: dict):
        self.medians = medians

    def get(self, measure: str, subject: str, which: str = "median") -> float | None:
        return self.medians.get(measure, {}).get(subject, {}).get(which)

    def spread(self, measure: str, subject: str) -> str:
        """The median, and from where to where its samples went."""
        found = self.medians.get(measure, {}).get(subject)
        if not found:
            return "–"
        if found["runs"] == 1:
            return number(found["median"])
        return f"{number(found['median'])} ({number(found['min'])} to {number(found['max'])})"

    def against(self, measure: str, subject: str, other: str, other_measure: str | None = None) -> float | None:
        ours, theirs = self.get(measure, subject), self.get(other_measure or measure, other)
        return ours / theirs if ours is not None and theirs else None

    def to_quic(self, place: str, streams: int, direction: str) -> float | None:
        """Of bare QUIC there is one figure: one stream up."""
        return self.against(f"{place}throughput.{streams}.{direction}", DIRECT, "quic", f"{place}throughput.1.up")


def summarise(samples: list[dict]) -> dict:
    medians = medians_of(samples)
    return {"medians": medians, "aims": judge(Figures(medians))}


def limit_of(delay: int) -> int:
    """In ms: a round trip is twice the delay."""
    return round_trips * 2 * delay + allowance


def judge(figures: Figures) -> list[dict]:
    def worst(name: str) -> float | None:
        return figures.get(f"stall/{name}", "narrowlink", "max")

    def stall(limit: int) -> list[float | None]:
        return [worst(name) for name, longest in stall_limits.items() if longest == limit]

    aims = [aim(f"{title}: a direct stream, the slower direction, has at least half of bare QUIC's throughput",
                [figures.to_quic(place, 1, direction) for direction in ("up", "down")], 0.5, "x", at_least=True)
            for place, title in places.items()]
    aims += [aim(f"{delay} ms one way: direct at most {limit_of(delay)} ms after the relay works "
                 f"({round_trips} round trips + {allowance} ms)",
                 [figures.get(f"delay-{delay}/relay_to_direct", "narrowlink")], limit_of(delay), " ms")
             for delay in delays]
    aims += [aim("longest stall of a voluntary or forced switch: to the direct path, back when UDP is cut", [
                 worst(name) for name in ("relay_to_direct", "relay_to_direct_again", "udp_cut")], 1, " s"),
             aim("longest stall of a voluntary switch to the relay over UDP", [
                 worst(name) for name in ("relay_to_udp", "relay_to_udp_again")], 1, " s"),
             aim("longest stall when the path has become bad: UDP cut or flapping, NAT reboot, roaming, a slow path, "
                 "an agent that was suspended", stall(3), 3, " s"),
             aim("longest stall of a direct stream when the gateway is killed", [worst("gateway_kill")], 1, " s")]
    return aims


def throughput_table(figures: Figures) -> Table:
    head = ["throughput, Gbit/s", "direct", *others.values(), *(f"direct / {name}" for name in others.values())]
    rows = []
    for place, title in places.items():
        for streams, direction in transfers:
            measure = f"{place}throughput.{streams}.{direction}"
            if figures.get(measure, DIRECT) is None and figures.get(measure, "tcp") is None:
                continue
            rows.append([f"{title}, {transfer_label(streams, direction)}",
                         *(figures.spread(measure, subject) for subject in (DIRECT, *others)),
                         ratio(figures.to_quic(place, streams, direction)),
                         *(ratio(figures.against(measure, DIRECT, other)) for other in ("tcp", "wireguard"))])
    return head, rows


def cpu_table(figures: Figures) -> Table:
    head = ["CPU, s/GiB", "direct: client", "agent", "gateway", "direct, all", *others.values()]
    rows = []
    for place, title in places.items():
        for streams, direction in transfers:
            measure = f"{place}cpu.{streams}.{direction}"
            if figures.get(measure, DIRECT) is None:
                continue
            rows.append([f"{title}, {transfer_label(streams, direction)}",
                         *(number(figures.get(f"{measure}.{part}", DIRECT)) for part in ("client", "agent", "gateway")),
                         *(number(figures.get(measure, subject)) for subject in (DIRECT, *others))])
    return head, rows


def relay_table(figures: Figures) -> Table:
    head = ["the two relays", "Gbit/s over WebSocket", "over UDP", "UDP / WebSocket", "gateway CPU s/GiB, WebSocket", "UDP",
            "nodes CPU s/GiB, WebSocket", "UDP"]
    rows = []
    for streams, direction in transfers:
        variant = f"{streams}.{direction}"
        speed = f"relays/throughput.{variant}"
        if figures.get(speed, "narrowlink-websocket") is None and figures.get(speed, "narrowlink-udp") is None:
            continue

        def cost(way: str, *parts: str) -> str:
            found = [figures.get(f"relays/cpu.{variant}.{part}", f"narrowlink-{way}") for part in parts]
            return "–" if None in found else number(sum(found))
        rows.append([transfer_label(streams, direction),
                     *(figures.spread(speed, f"narrowlink-{way}") for way in ("websocket", "udp")),
                     ratio(figures.against(speed, "narrowlink-udp", "narrowlink-websocket")),
                     *(cost(way, "gateway") for way in ("websocket", "udp")),
                     *(cost(way, "client", "agent") for way in ("websocket", "udp"))])
    return head, rows


def time_table(figures: Figures) -> Table:
    head = ["from the command, ms", "first byte, by the relay", "direct", "from the former to the latter", "aim: at most"]
    rows = [[f"{delay} ms one way", *(figures.spread(f"delay-{delay}/{name}", "narrowlink")
                                      for name in ("first_byte", "first_direct", "relay_to_direct")),
             str(limit_of(delay))]
            for delay in delays if figures.get(f"delay-{delay}/first_byte", "narrowlink") is not None]
    return head, rows


def stall_table(figures: Figures) -> Table:
    rows = [[label, figures.spread(f"stall/{name}", "narrowlink"), str(stall_limits[name])]
            for name, label in switch_labels.items() if figures.get(f"stall/{name}", "narrowlink") is not None]
    return ["longest gap of a live stream, s", "measured", "aim: at most"], rows


def tables(results: dict) -> list[Table]:
    figures = Figures(results["medians"])
    found = [aims_table(results), *(table(figures) for table in (throughput_table, cpu_table, relay_table, time_table,
                                                                 stall_table))]
    return [table for table in found if table[1]]


def circumstances(results: dict) -> list[str]:
    plan = results["plan"]
    flaps = f", of {plan['flaps']} times for UDP that flaps" if "flaps" in plan else ""
    lines = [*machine_lines(results),
             f"medians of {plan['runs']} interleaved run(s) of {plan['seconds']:g} s, of {plan['first_direct']} for "
             f"the time to a direct path, of {plan['stall_runs']} for stalls{flaps}; in brackets the smallest and the "
             "largest of them; the aims of stalls are compared with the largest",
             disturbance_line(results)]
    if results.get("remark"):
        lines.append(f"**{results['remark']}**")
    if results["mtus"]:
        lines.append("UDP payload of a full packet, direct and bare QUIC alike: "
                     + ", ".join(f"{places[place]} {size:,} bytes" for place, size in results["mtus"].items()))
    if results["versions"]:
        lines.append("packages: " + ", ".join(" ".join(item) for item in results["versions"].items()))
    return lines
