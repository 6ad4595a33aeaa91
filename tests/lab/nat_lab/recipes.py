"""The router types: what each does, in the words of RFC 4787, and the nftables rules that make it so.

Rules see a router with two interfaces, `wan` and `lan`. `$wan` is its external address.
"""

import enum
from dataclasses import dataclass
from string import Template


class Mapping(enum.Enum):
    """RFC 4787 §4.1: which packets of one local address and port share a mapped address."""

    endpoint_independent = "EIM"
    address_dependent = "ADM"
    address_and_port_dependent = "APDM"


class Filtering(enum.Enum):
    """RFC 4787 §5: who may send to a mapped address."""

    endpoint_independent = "EIF"
    address_dependent = "ADF"
    address_and_port_dependent = "APDF"


class Ports(enum.Enum):
    """RFC 4787 §4.2: how the port of a new mapping is found."""

    preserved = "preserved"
    sequential = "sequential"
    block = "block"
    random = "random"


@dataclass(frozen=True)
class Behaviour:
    """What a probe finds out about the way between a host and the gateway."""

    mapping: Mapping | None = None  # None: no UDP gets out
    filtering: Filtering | None = None
    ports: Ports | None = None
    translates: bool = True
    pools: bool = False  # several external addresses, "arbitrary" pooling of RFC 4787 §4.1
    hairpins: bool = False  # RFC 4787 §6
    poisonable: bool = False  # an unsolicited packet spoils the mapping towards its sender
    refuses: bool = False  # answers an unsolicited packet with ICMP instead of silence
    udp_ports: frozenset | None = None  # remote ports UDP may go to, of those probed; None: all


@dataclass(frozen=True)
class Recipe:
    """One router type. The text fields are nftables statements for the chain of that name."""

    kind: str
    behaviour: Behaviour
    closed: str | None = "drop"  # verdict for what comes in unasked to the router itself; None: open
    restrict: str = ""  # forward, before everything else
    admit: str = ""  # forward, before what comes in unasked is dropped
    objects: str = ""
    pre: str = ""
    learn: str = ""
    post: str = ""
    addresses: int = 1  # external IPv4 addresses
    has_router: bool = True
    has_ipv4: bool = True
    has_ipv6: bool = False

    @property
    def translates(self):
        return bool(self.post)

    def rules(self, wan, lifetime):
        """The nftables script for a router with the external addresses `wan`."""
        parts = {"restrict": self.restrict, "admit": self.admit, "objects": self.objects,
                 "pre": self.pre, "learn": self.learn, "post": self.post}
        values = {"wan": wan[0] if wan else "", "lifetime": lifetime,
                  "pool": ", ".join(f"{i} : {address}" for i, address in enumerate(wan))}
        parts = {name: Template(text).substitute(values) for name, text in parts.items()}
        script = Template(FILTER).substitute(parts)
        if self.closed:
            script += Template(CLOSED_INPUT).substitute(closed=self.closed)
        if self.translates:
            script += Template(NAT).substitute(parts)
        return script


FILTER = """
table inet fw {
    chain forward {
        type filter hook forward priority 0; policy accept;
        $restrict
        iifname "wan" ct state established,related accept
        $admit
        iifname "wan" drop
    }
}
"""

# A router without this chain confirms a connection for any packet that is sent to it. The tuple is then
# taken, and a host that wants to answer from its usual mapping is given another port: "poisoned".
CLOSED_INPUT = """
table inet fw {
    chain input {
        type filter hook input priority 0; policy accept;
        iifname "wan" ct state established,related accept
        iifname "wan" meta l4proto { icmp, ipv6-icmp } accept
        iifname "wan" $closed
    }
}
"""

# `learn` is no chain of type nat, because those see only the first packet of a flow, and an entry that
# traffic does not refresh would expire under it. Before srcnat the packet still has its local source.
NAT = """
table ip nat {
    $objects
    chain pre { type nat hook prerouting priority dstnat; policy accept;
        $pre
    }
    chain learn { type filter hook postrouting priority srcnat - 1; policy accept;
        $learn
    }
    chain post { type nat hook postrouting priority srcnat; policy accept;
        $post
    }
}
"""

MASQUERADE = 'oifname "wan" masquerade'
TO_WAN = 'oifname "wan" meta l4proto { tcp, udp } snat ip to $wan : '

# Whoever sends to the external port of a mapping is let through to its owner. Two hosts of one LAN that
# use the same local port would take the entry from each other; tests use random ports.
MAPPED = """map mapped {
        type inet_service : ipv4_addr . inet_service
        flags dynamic,timeout
        timeout ${lifetime}s
        size 65535
    }"""
LEARN_MAPPED = 'oifname "wan" meta l4proto udp update @mapped { udp sport : ip saddr . udp sport }'
ADMIT_MAPPED = "ct status dnat accept"

CONTACTED = """set contacted {
        type ipv4_addr . inet_service
        flags dynamic,timeout
        timeout ${lifetime}s
        size 65535
    }"""

_eim, _adm, _apdm = Mapping
_eif, _adf, _apdf = Filtering
_full_cone = Behaviour(_eim, _eif, Ports.preserved)
_port_restricted = Behaviour(_eim, _apdf, Ports.preserved)

# Ports are computed by way of a map, whose values are in network byte order: nft 1.0.6 writes a bare
# `snat to ... : numgen inc` in host byte order, which makes steps of 256, and nft 1.1 refuses it.
_SEQUENCE = "numgen inc mod 4000 map { " + ", ".join(f"{i} : {40_000 + i}" for i in range(4_000)) + " }"

_SPREAD = ", ".join(f"{i} : {30_000 + i}" for i in range(20_000))
_HASHED = "jhash {} mod 20000 seed 0x5eed map {{ " + _SPREAD + " }}"

_recipes = (
    Recipe("public", Behaviour(_eim, _eif, Ports.preserved, translates=False, hairpins=True, refuses=True),
           has_router=False),
    Recipe("public_firewall", Behaviour(_eim, _apdf, Ports.preserved, translates=False, hairpins=True)),
    Recipe("ipv6_firewall", Behaviour(_eim, _apdf, Ports.preserved, translates=False, hairpins=True),
           has_ipv4=False, has_ipv6=True),
    Recipe("full_cone", _full_cone,
           objects=MAPPED, admit=ADMIT_MAPPED, learn=LEARN_MAPPED,
           pre='iifname "wan" ip daddr $wan meta l4proto udp dnat ip to udp dport map @mapped',
           post='oifname "wan" snat to $wan'),
    # The hairpinned packet gets the external address as its source (RFC 4787 REQ-9b).
    Recipe("full_cone_hairpin", Behaviour(_eim, _eif, Ports.preserved, hairpins=True),
           objects=MAPPED, admit=ADMIT_MAPPED,
           learn=LEARN_MAPPED + '\n        iifname "lan" oifname "lan" ct status dnat meta l4proto udp '
                 "update @mapped { udp sport : ip saddr . udp sport }",
           pre="ip daddr $wan meta l4proto udp dnat ip to udp dport map @mapped",
           post='oifname "wan" snat to $wan\n'
                '        iifname "lan" oifname "lan" ct status dnat snat to $wan'),
    Recipe("address_restricted", Behaviour(_eim, _adf, Ports.preserved),
           objects=f"{MAPPED}\n    {CONTACTED}", admit=ADMIT_MAPPED,
           learn=LEARN_MAPPED + '\n        oifname "wan" meta l4proto udp '
                 "update @contacted { ip daddr . udp sport }",
           pre='iifname "wan" ip daddr $wan meta l4proto udp ip saddr . udp dport @contacted '
               "dnat ip to udp dport map @mapped",
           post='oifname "wan" snat to $wan'),
    Recipe("port_restricted", _port_restricted, post=MASQUERADE),
    Recipe("port_restricted_open_input",
           Behaviour(_eim, _apdf, Ports.preserved, poisonable=True, refuses=True),
           closed=None, post=MASQUERADE),
    Recipe("port_restricted_reject", Behaviour(_eim, _apdf, Ports.preserved, refuses=True),
           closed="reject", post=MASQUERADE),
    Recipe("endpoint_independent_random", Behaviour(_eim, _apdf, Ports.random),
           post=TO_WAN + _HASHED.format("ip saddr . th sport") + f"\n        {MASQUERADE}"),
    Recipe("address_dependent_random", Behaviour(_adm, _apdf, Ports.random),
           post=TO_WAN + _HASHED.format("ip saddr . ip daddr . th sport") + f"\n        {MASQUERADE}"),
    Recipe("symmetric_sequential", Behaviour(_apdm, _apdf, Ports.sequential),
           post=TO_WAN + _SEQUENCE + f"\n        {MASQUERADE}"),
    Recipe("symmetric_block", Behaviour(_apdm, _apdf, Ports.block),
           post='oifname "wan" meta l4proto { tcp, udp } snat ip to $wan:20480-20991 fully-random'
                f"\n        {MASQUERADE}"),
    Recipe("symmetric_random", Behaviour(_apdm, _apdf, Ports.random), post=f"{MASQUERADE} fully-random"),
    Recipe("address_pool", Behaviour(_apdm, _apdf, Ports.preserved, pools=True), addresses=4,
           post='oifname "wan" snat ip to numgen random mod 4 map { $pool }'),
    Recipe("udp_blocked", Behaviour(), restrict="meta l4proto udp drop", post=MASQUERADE),
    Recipe("udp_443_only", Behaviour(_eim, _apdf, Ports.preserved, udp_ports=frozenset({53, 443})),
           restrict='iifname "lan" meta l4proto udp udp dport != { 53, 443 } drop', post=MASQUERADE),
)
RECIPES = {recipe.kind: recipe for recipe in _recipes}
