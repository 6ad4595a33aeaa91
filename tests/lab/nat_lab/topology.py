"""The network of the lab: a core with a gateway, and as many sites as a scenario asks for.

    gateway 198.51.100.2, .3 ---- core ---- isp ---- router ---- host(0), host(1), ...
                                   |                 198.18.N.2  192.168.1.2, ...
                                   |
                                   +--- isp ---- carrier ---+--- router ---- host(0), ...
                                                 198.18.N.2 |    100.64.0.2
                                                            +--- router ---- host(0), ...
                                                                 100.64.0.3

Each link has a network of its own, so TTLs count as in the real world.
"""

import itertools

from lab import GATEWAY, GATEWAY6, LabError
from lab.laboratory import Lab

from .machines import Core, Host, Machine, Router, Segment
from .recipes import RECIPES, Recipe

SECOND_GATEWAY = "198.51.100.3"
SECOND_GATEWAY6 = "2001:db8:1::3"
RESERVED = "198.18"  # RFC 2544: benchmarks
ROUTABLE = "11.18"  # what miniupnpd takes for an address of the Internet; nothing leaves the lab
HOME_LAN = "192.168.1.0/24"  # the same everywhere, as in real homes: a candidate in it means nothing outside
CARRIER_LAN = "100.64.0.0/24"  # RFC 6598

_numbers = itertools.count(1)


class NatLab(Lab):
    """A Lab whose network is drawn above; programs and processes are used as in any Lab.

    It has no `agent` and no `client` until a scenario says which hosts these are.
    """

    def __init__(self, programs="."):
        self.number = next(_numbers)
        self._names = itertools.count(1)
        self.sites = []
        super().__init__(programs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _build(self):
        self.core = self.add(Core)
        segment = Segment(self.core, "gateway", "198.51.100.0/24", "2001:db8:1::/64")
        self.gateway = self.add(Host, "gateway", segment, 2)
        self.gateway.link = self.core.link("gateway", ["198.51.100.0/24", "2001:db8:1::/48"])
        self.core.configure(["route add 192.0.2.0/24 via 198.51.100.2",
                             "route add 2001:db8:dead::/48 via 2001:db8:1::2"])

    def add(self, kind, *arguments):
        """Makes a machine that disappears with the lab."""
        machine = kind(self, *arguments)
        self._namespaces.append(machine)
        return machine

    def unused_name(self, prefix):
        return f"{prefix}{next(self._names)}"

    def site(self, kind="port_restricted", hops=1, ipv6=False, lan=HOME_LAN, block=RESERVED):
        """A new site with a router of that kind, or a recipe, behind `hops` routers of its provider.

        `ipv6` gives its hosts public IPv6 addresses too, behind the stateful firewall of the router. A
        direct path over IPv6 is then always possible, so it is off where NATs are to be seen. `block`: the
        first half of its external addresses.
        """
        return Site.at_core(self, _recipe(kind), hops, ipv6, lan, block)

    def carrier(self, kind="full_cone", hops=1):
        """A carrier-grade NAT; its .site() makes homes behind it, which are then behind two NATs."""
        return self.site(kind, hops, lan=CARRIER_LAN)


class Site:
    """Hosts on one LAN and the router before them."""

    def __init__(self, lab, name, recipe, uplink, lan, lan6):
        self.lab, self.name, self.recipe = lab, name, recipe
        self.hosts = []
        self._homes = 0
        self.link = None
        if recipe.has_router:
            self.router = lab.add(Router, f"{name}-router", recipe, uplink)
            self.lan = Segment(self.router, "lan", lan, lan6)
        else:
            self.router = None
            self.lan = uplink
        lab.sites.append(self)

    @classmethod
    def at_core(cls, lab, recipe, hops, ipv6, lan, block):
        number = len([site for site in lab.sites if site.link]) + 1
        if number > 99:
            raise LabError("one lab has at most 99 sites of its own")
        ipv6 = ipv6 or recipe.has_ipv6
        access = f"{block}.{number}.0/24" if recipe.has_ipv4 else None
        prefix6 = f"2001:db8:{0x1000 + number:x}"
        access6, lan6 = (f"{prefix6}::/64", f"{prefix6}:1::/64") if ipv6 else (None, None)
        if not recipe.has_ipv4:
            lan = None
        elif not recipe.translates:
            lan = f"{block}.{100 + number}.0/24"
        public = [access, None if not recipe.has_router or recipe.translates else lan]
        public = [network for network in public if network]
        public6 = [f"{prefix6}::/48"] if ipv6 else []

        owner, name = _provider(lab, number, hops, public, public6)
        uplink = Segment(owner, name, access, access6)
        site = cls(lab, f"site{number}", recipe, uplink, lan, lan6)
        site.link = lab.core.link(f"site{number}", public + public6)
        if site.router:
            owner.configure([f"route add {network} via {site.router.addresses[0]}"
                             for network in public if network != access]
                            + [f"route add {lan6} via {site.router.addresses6[0]}"
                               for _ in range(ipv6)])
        return site

    def site(self, kind="port_restricted", lan=HOME_LAN):
        """A home behind this one's router, which thereby is a carrier's."""
        recipe = _recipe(kind)
        if self.lan.network6 or not recipe.has_ipv4 or not recipe.translates:
            raise LabError("behind another NAT only IPv4 and another NAT are drawn")
        self._homes += 1
        return Site(self.lab, f"{self.name}-home{self._homes}", recipe, self.lan, lan, None)

    def host(self, number=0):
        """The host of that number; it is made when first asked for."""
        while len(self.hosts) <= number:
            self.hosts.append(self.lab.add(Host, f"{self.name}-host{len(self.hosts)}", self.lan))
        return self.hosts[number]

    @property
    def address(self):
        """The address the next network sees: of the router if it translates, else of the first host."""
        return self.router.address if self.recipe.translates else self.host(0).address


def _recipe(kind):
    """`kind`, or a recipe that a scenario has changed with dataclasses.replace()."""
    if isinstance(kind, Recipe):
        return kind
    if kind not in RECIPES:
        raise LabError(f"no recipe is called {kind}; there are {', '.join(RECIPES)}")
    return RECIPES[kind]


def _provider(lab, number, hops, public, public6):
    """The provider's routers between core and site; returns the last one, and a name for its bridge."""
    near, interface = lab.core, f"site{number}"
    for hop in range(hops):
        far = lab.add(Machine, f"site{number}-isp{hop}")
        far.forward_packets()
        first, gate6 = 4 * hop, f"2001:db8:{0x1000 + number:x}:{0xff00 + hop:x}"
        near4, far4 = f"198.19.{number}.{first + 1}", f"198.19.{number}.{first + 2}"
        lab._wire(near, interface, far, "above", (f"{near4}/30", f"{far4}/30"),
                  (f"{gate6}::1/64", f"{gate6}::2/64"))
        near.configure([f"route add {network} via {far4}" for network in public]
                       + [f"route add {network} via {gate6}::2" for network in public6])
        near, interface = far, "below"
    return near, interface
