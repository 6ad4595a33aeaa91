"""Where packets get lost: three machines around a router that delays and drops what the client sends and gets."""

import json
import subprocess
import sys
from pathlib import Path

import nat_lab
from lab import Lab
from lab.namespace import run

from .. import machine

CLIENT, AGENT, GATEWAY = "10.77.1.2", "10.77.2.2", "10.77.3.2"
MTU = 1500
ROUND_TRIP = 20  # ms, on the client's link; the other two links have neither delay nor loss
RATE = 100  # Mbit/s in each direction of that link; the delay line holds some times as much
QUEUE = RATE * ROUND_TRIP * 125  # bytes before that link: as many as are on their way when it is full
DELAY_DEVICE, DELAY_TABLE = "delay", 77
DIRECTIONS = ("up", "down")  # from the client, to the client
COUNTERS = ("packets.up", "packets.down", "lost.up", "lost.down", "trains")  # the rules', of packets


class LossyLink(Lab):
    """The link between client and router is the one that packets get lost on.

        client 10.77.1.2 ═══ router ─── agent 10.77.2.2
                                └────── gateway 10.77.3.2

    Each packet of the client passes the delay line of tests/lab once in each direction, what agent and gateway say to
    each other does not. How much that line holds depends on who else uses the machine; the link's rate is lower, so
    that it is the limit for all alike. `gso_max_segs 1` on every device has the kernel cut trains of datagrams and
    large segments of TCP before they leave the machine that made them, and nothing joins them again: `counted()` tells
    whether any came.
    """

    name, title = "loss", "lossy link"
    mtu = MTU
    near_address, far_address, gateway_address = CLIENT, AGENT, GATEWAY

    def _build(self):
        self.router = self._machine("loss-router")
        self.router.forward_packets()
        self.client, self.agent, self.gateway = (self._attach(role, address) for role, address in (
            ("client", CLIENT), ("agent", AGENT), ("gateway", GATEWAY)))
        self._delay()
        self.set_loss(0)

    def _attach(self, role, address):
        host = self._machine(f"loss-{role}")
        gate = f"{address.rpartition('.')[0]}.1"
        self.router.configure([f"link add {role} mtu {MTU} type veth peer name wire mtu {MTU} netns {host.name}",
                               f"address add {gate}/24 dev {role}", f"link set {role} gso_max_segs 1 up"])
        host.configure([f"address add {address}/24 dev wire", "link set wire gso_max_segs 1 up",
                        f"route add default via {gate} congctl cubic"])
        if address == CLIENT:
            for namespace, device in ((self.router, role), (host, "wire")):
                self.check(["tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{RATE}mbit", "burst", "16k",
                            "limit", str(QUEUE)], namespace)
        with host.entered():
            machine.choose_congestion()
        return host

    def _delay(self):
        self.router.configure([f"tuntap add dev {DELAY_DEVICE} mode tun",
                               f"link set {DELAY_DEVICE} mtu {MTU} txqueuelen 10000 gso_max_segs 1 up",
                               f"route add default dev {DELAY_DEVICE} table {DELAY_TABLE}",
                               f"rule add iif {DELAY_DEVICE} lookup main priority 90",
                               f"rule add from {CLIENT} lookup {DELAY_TABLE} priority 100",
                               f"rule add to {CLIENT} lookup {DELAY_TABLE} priority 101"])
        program = Path(nat_lab.__file__).with_name("delay_line.py")
        line = self.start([sys.executable, "-B", program, DELAY_DEVICE], "delay_line", self.router,
                          stdin=subprocess.PIPE)
        line.stdin.write(json.dumps({f"{CLIENT}/32": ROUND_TRIP / 2_000}).encode() + b"\n")
        line.stdin.flush()
        line.until(lambda: "applied" in line.output(), 10, "the delay is applied")

    def set_loss(self, percent):
        """Drops so many of 100 packets in each direction, at random; counts anew."""
        self.router.firewall("table ip loss { }\ndelete table ip loss\n" + loss_rules(percent))
        self._dropped_before = self._dropped_by_delay_line()

    def counted(self):
        """What has passed the client's link since set_loss(): packets by name of COUNTERS, and `overflow`, those that
        the delay line was too slow for."""
        listing = json.loads(run(["ip", "netns", "exec", self.router.name, "nft", "-j", "list", "counters"]))
        found = {item["counter"]["name"]: item["counter"]["packets"]
                 for item in listing["nftables"] if "counter" in item}
        return ({name: found[name.replace(".", "_")] for name in COUNTERS}
                | {"overflow": self._dropped_by_delay_line() - self._dropped_before})

    def _dropped_by_delay_line(self):
        [device] = json.loads(run(["ip", "-n", self.router.name, "-j", "-s", "link", "show", "dev", DELAY_DEVICE]))
        return device["stats64"]["tx"]["dropped"]

    def choose_tcp(self, congestion):
        """The congestion control of TCP connections between client and gateway that begin from now on."""
        for host, address in ((self.client, GATEWAY), (self.gateway, CLIENT)):
            gate = f"{(CLIENT if host is self.client else GATEWAY).rpartition('.')[0]}.1"
            host.configure([f"route replace {address}/32 via {gate} congctl {congestion}"])


def loss_rules(percent):
    """For nft(8). A delayed packet is forwarded twice, but once from and once to the client's link."""
    counters = "\n".join(f"    counter {name.replace('.', '_')} {{ }}" for name in COUNTERS)
    rules = [f"meta length > {MTU} counter name trains"]
    for direction, link in zip(DIRECTIONS, ("iifname client", "oifname client")):
        rules.append(f"{link} counter name packets_{direction}")
        if percent:
            rules.append(f"{link} numgen random mod 100 < {percent} counter name lost_{direction} drop")
    chain = "\n".join(f"        {rule}" for rule in rules)
    return (f"table ip loss {{\n{counters}\n    chain loss {{\n"
            f"        type filter hook forward priority -5; policy accept;\n{chain}\n    }}\n}}\n")
