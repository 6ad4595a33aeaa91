"""What happens to packets on their way: loss, delay, and counting who sent how many to whom."""

import json
import subprocess
import sys
from pathlib import Path

from lab import LabError, until
from lab.namespace import run

DELAY_DEVICE = "delay"
DELAY_TABLE = 77


class Link:
    """What connects a site, or the gateway, with the core. Its troubles meet packets of both directions."""

    def __init__(self, conditions, interface, prefixes):
        self._conditions = conditions
        self.interface = interface
        self.prefixes = prefixes
        self.loss_percent = 0
        self.loss_match = ""
        self.one_way_delay = 0
        conditions.add(self)

    def set_loss(self, percent, match="meta l4proto udp"):
        """Drops so many of the packets that nft(8) `match`es; set_loss(100, match="") cuts the link."""
        self.loss_percent, self.loss_match = percent, match
        self._conditions.apply_loss()

    def set_delay(self, seconds):
        """Every packet needs that much longer, in each direction. The first delay costs all one TTL hop."""
        self.one_way_delay = seconds
        self._conditions.apply_delay()

    def set_mtu(self, size):
        """What leaves the core here may be no longer; the sender of a packet with DF is told by ICMP.

        Not a matter of the interface, which would silently drop what comes from the other side, too.
        """
        self._conditions.limit_size(self.prefixes, size)


class Conditions:
    """The links of a core and what they do to packets."""

    def __init__(self, lab, core):
        self._lab, self._core = lab, core
        self._links = []
        self._line = None
        self._applied = 0
        core.firewall("table inet conditions {\n"
                      "    chain loss { type filter hook forward priority -5; policy accept; }\n}\n")

    def configure(self, commands):
        self._core.configure(commands)

    def limit_size(self, prefixes, size):
        for prefix in prefixes:
            family = "-6" if ":" in prefix else "-4"
            show = ["ip", "-n", self._core.name, family, "route", "show", prefix]
            route, *_ = run(show).splitlines()
            run(["ip", "-n", self._core.name, family, "route", "replace",
                 *route.split(" mtu lock")[0].split(), "mtu", "lock", str(size)])

    def add(self, link):
        self._links.append(link)
        if self._line:
            self._divert(link)

    def apply_loss(self):
        rules = ["flush chain inet conditions loss"]
        for link in self._links:
            limit = round(link.loss_percent * 100)
            if not limit:
                continue
            dice = f"numgen random mod 10000 < {limit}" if limit < 10_000 else ""
            # A delayed packet is forwarded twice, but once from and once to its link.
            rules += [f'add rule inet conditions loss {direction} "{link.interface}" '
                      f"{link.loss_match} {dice} drop" for direction in ("iifname", "oifname")]
        self._core.firewall("\n".join(rules) + "\n")

    def apply_delay(self):
        if self._line is None:
            self._start_line()
        table = {prefix: link.one_way_delay for link in self._links if link.one_way_delay
                 for prefix in link.prefixes}
        self._line.stdin.write(json.dumps(table).encode() + b"\n")
        self._line.stdin.flush()
        self._applied += 1
        self._line.until(lambda: self._line.output().count("applied") >= self._applied, 10,
                         "the delays are applied")

    def _start_line(self):
        self._core.configure([f"tuntap add dev {DELAY_DEVICE} mode tun",
                              f"link set {DELAY_DEVICE} txqueuelen 10000 up",
                              f"route add default dev {DELAY_DEVICE} table {DELAY_TABLE}",
                              f"route add ::/0 dev {DELAY_DEVICE} table {DELAY_TABLE}"])
        self._line = self._lab.start(
            [sys.executable, "-B", Path(__file__).with_name("delay_line.py"), DELAY_DEVICE],
            "delay_line", self._core, stdin=subprocess.PIPE)
        for link in self._links:
            self._divert(link)

    def _divert(self, link):
        """What comes from the link goes through the device; what comes from there finds its usual way."""
        for family in ("-4", "-6"):  # a rule without addresses does not say for which it is
            run(["ip", "-n", self._core.name, family, "rule", "add", "iif", link.interface,
                 "lookup", str(DELAY_TABLE), "priority", "100"])


class UdpCounter:
    """Counts the UDP packets between two addresses that get through one machine.

    In the core it proves who talks to whom directly: `a` and `b` are then external addresses. With `ecn`
    only those count that have this mark, in nft's words.
    """

    def __init__(self, machine, a, b, ecn=None):
        self._machine = machine
        a, b = (end if isinstance(end, str) else end.address for end in (a, b))
        if (":" in a) != (":" in b):
            raise LabError(f"{a} and {b} never exchange packets: they are of different families")
        family = "ip6" if ":" in a else "ip"
        self._table = machine.unused_table("count")
        marked = f"{family} ecn {ecn} " if ecn else ""
        rules = "".join(f"        {family} saddr {source} {family} daddr {destination} "
                        f"meta l4proto udp {marked}counter name {name}\n"
                        for source, destination, name in ((a, b, "forth"), (b, a, "back")))
        # After source NAT; a delayed packet is forwarded twice, of which one counts.
        machine.firewall(f"""
table inet {self._table} {{
    counter forth {{ }}
    counter back {{ }}
    chain received {{
        type filter hook input priority 300; policy accept;
{rules}
    }}
    chain sent {{
        type filter hook postrouting priority 300; policy accept;
        oifname "{DELAY_DEVICE}" accept
{rules}
    }}
}}
""")

    @property
    def forth(self):
        """Packets from `a` to `b`."""
        return self._read()["forth"]

    @property
    def forth_bytes(self):
        """The same in bytes, with the headers of IP and UDP."""
        return self._read("bytes")["forth"]

    @property
    def back(self):
        return self._read()["back"]

    @property
    def packets(self):
        return sum(self._read().values())

    def until(self, least, timeout=10):
        """Waits until so many packets were seen in each direction."""
        until(lambda: min(self._read().values()) >= least, timeout, f"{least} packets in each direction")

    def _read(self, what="packets"):
        listing = json.loads(run(["ip", "netns", "exec", self._machine.name,
                                  "nft", "-j", "list", "counters", "table", "inet", self._table]))
        return {item["counter"]["name"]: item["counter"][what]
                for item in listing["nftables"] if "counter" in item}
