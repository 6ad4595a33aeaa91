"""What passes where, from outside of the programs: the proof that a path is direct, and what finding it cost."""

import json
from pathlib import Path

from lab.namespace import run
from nat_lab.conditions import DELAY_DEVICE

PROBE_LENGTH = 8 + 96  # of UDP, docs/protocol.md §10.1
GATEWAYS, GATEWAYS6 = "198.51.100.0/24", "2001:db8:1::/64"


class PeerTraffic:
    """UDP between a host and anybody but the gateway: bytes, probes that it sent, and their ports."""

    def __init__(self, host):
        self._host = host
        self._table = host.unused_table("peer")
        host.firewall(f"""
table inet {self._table} {{
    counter traffic {{ }}
    counter probes {{ }}
    set local_ports {{ type inet_service; flags dynamic; size 65535; }}
    set remote_ports {{ type inet_service; flags dynamic; size 65535; }}
    chain sent {{
        type filter hook output priority 0; policy accept;
        oifname "lo" accept
        meta l4proto != udp accept
        ip daddr {GATEWAYS} accept
        ip6 daddr {GATEWAYS6} accept
        counter name traffic
        udp length {PROBE_LENGTH} counter name probes add @local_ports {{ udp sport }} add @remote_ports {{ udp dport }}
    }}
    chain received {{
        type filter hook input priority 0; policy accept;
        iifname "lo" accept
        meta l4proto != udp accept
        ip saddr {GATEWAYS} accept
        ip6 saddr {GATEWAYS6} accept
        counter name traffic
    }}
}}
""")

    def read(self):
        """`bytes` in both directions, `probes` sent, and how many `local` and `remote` ports those had."""
        listing = json.loads(run(["ip", "netns", "exec", self._host.name,
                                  "nft", "-j", "list", "table", "inet", self._table]))["nftables"]
        counters = {item["counter"]["name"]: item["counter"] for item in listing if "counter" in item}
        ports = {item["set"]["name"]: len(item["set"].get("elem", [])) for item in listing if "set" in item}
        return {"bytes": counters["traffic"]["bytes"], "probes": counters["probes"]["packets"],
                "local": ports["local_ports"], "remote": ports["remote_ports"]}

    def remove(self):
        self._host.firewall(f"delete table inet {self._table}\n")


def gateway_bytes(lab):
    """So many bytes of all protocols have passed between the gateway and the Internet, since the lab exists."""
    with lab.core.entered():
        for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == "gateway":
                fields = numbers.split()
                return int(fields[0]) + int(fields[8])
    raise AssertionError("core has no link to the gateway")


class SiteTraffic:
    """UDP bytes that pass the core from one site to the other, over whatever addresses the two have."""

    def __init__(self, core, one, other):
        self._core = core
        self._table = core.unused_table("sites")
        rules = "".join(f"        {family(a)} saddr {a} {family(a)} daddr {b} meta l4proto udp counter name traffic\n"
                        for here, there in ((one, other), (other, one))
                        for a in here.link.prefixes for b in there.link.prefixes if family(a) == family(b))
        core.firewall(f"""
table inet {self._table} {{
    counter traffic {{ }}
    chain sent {{
        type filter hook postrouting priority 300; policy accept;
        oifname "{DELAY_DEVICE}" accept
{rules}
    }}
}}
""")

    @property
    def bytes(self):
        listing = json.loads(run(["ip", "netns", "exec", self._core.name,
                                  "nft", "-j", "list", "counters", "table", "inet", self._table]))
        return next(item["counter"]["bytes"] for item in listing["nftables"] if "counter" in item)


def family(prefix):
    return "ip6" if ":" in prefix else "ip"
