"""The machines of the lab: hosts, routers and the core, and the bridges that join them."""

import contextlib
import ipaddress
import os
import signal
from pathlib import Path

from lab import LabError, tool
from lab.laboratory import CORE_RULES
from lab.namespace import Namespace, run

from .conditions import Conditions, Link, UdpCounter


class Machine(Namespace):
    """A namespace that knows its lab; two labs of one process have different names for theirs."""

    def __init__(self, lab, role):
        super().__init__(f"{lab.number}-{role}")
        self.lab = lab
        self._tables = 0
        with self.entered():
            # Else bridged packets run through the NAT rules of the router, and hairpinning breaks.
            for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
                path.write_text("0")

    def unused_table(self, prefix):
        self._tables += 1
        return f"{prefix}{self._tables}"

    def count_udp(self, a, b, ecn=None):
        """Counts the UDP packets between two addresses, hosts or sites from now on; see UdpCounter."""
        return UdpCounter(self, a, b, ecn)


class Segment:
    """A bridge in `owner`, which is its default gateway, and the addresses behind it."""

    def __init__(self, owner, name, network, network6=None):
        self.owner, self.name = owner, name
        self.network = network and ipaddress.ip_network(network)
        self.network6 = network6 and ipaddress.ip_network(network6)
        self._taken = 1
        owner.configure([f"link add {name} type bridge mcast_snooping 0",
                         *(f"address add {self._at(net, 1)} dev {name} {flag}"
                           for net, flag in self._networks()), f"link set {name} up"])

    def _networks(self):
        return [(net, flag) for net, flag in ((self.network, ""), (self.network6, "nodad")) if net]

    @staticmethod
    def _at(network, number):
        return f"{network[number]}/{network.prefixlen}"

    def take(self, count=1):
        """So many unused numbers of addresses."""
        self._taken += count
        return range(self._taken - count + 1, self._taken + 1)

    def join(self, machine, interface, numbers):
        """Gives `interface` of `machine`, already on the bridge, addresses and the default route."""
        lines = [f"link set {interface} up"]
        for network, flag in self._networks():
            lines += [f"address add {self._at(network, number)} dev {interface} {flag}"
                      for number in numbers]
            # `src`, because of several addresses the kernel prefers the last IPv6 one.
            lines.append(f"route replace default via {network[1]} dev {interface} "
                         f"src {network[numbers[0]]}")
        machine.configure(lines)

    def addresses(self, numbers):
        return [str(self.network[number]) for number in numbers] if self.network else []

    def addresses6(self, numbers):
        return [str(self.network6[number]) for number in numbers] if self.network6 else []

    def plug(self, machine, interface, count=1):
        """A cable from `machine` to the bridge; returns its port here and the numbers it got."""
        port = machine.lab.unused_name("port")
        self.owner.configure([f"link add {port} type veth peer name {interface} netns {machine.name}",
                              f"link set {port} master {self.name} up"])
        numbers = self.take(count)
        self.join(machine, interface, numbers)
        return port, numbers


class Core(Machine):
    """The Internet: routes between links, loses, delays and counts."""

    def __init__(self, lab):
        super().__init__(lab, "core")
        self.forward_packets()
        self.firewall(CORE_RULES)  # makes cut_network() and reset_connections() of the lab work
        self._conditions = Conditions(lab, self)

    def link(self, interface, prefixes):
        return Link(self._conditions, interface, prefixes)


class Host(Machine):
    """A computer; programs run in it as in any namespace of the end-to-end lab."""

    interface = "lan"

    def __init__(self, lab, role, segment, addresses=1):
        super().__init__(lab, role)
        self.resolve_with("127.0.0.1")
        self.segment = segment
        self._port, numbers = segment.plug(self, self.interface, addresses)
        self._set_addresses(numbers)

    def _set_addresses(self, numbers):
        self.addresses = self.segment.addresses(numbers)
        self.addresses6 = self.segment.addresses6(numbers)

    @property
    def address(self):
        """The first local address, IPv4 where there is one."""
        return (self.addresses + self.addresses6)[0]

    @property
    def address6(self):
        return self.addresses6[0]

    def start(self, command, name=None, **options):
        return self.lab.start(command, name or Path(str(command[0])).name, self, **options)

    def run(self, command, **options):
        """Runs a command to its end and returns how it did, whatever its exit code."""
        return self.lab.run(command, self, **options)

    def move_to(self, site):
        """Roams: the same interface gets another network, with the address and the route of there."""
        old, new = self.segment, site.lan
        self.configure([f"address flush dev {self.interface} scope global"])
        # IPv4 routes went with their addresses; an IPv6 one stays, and would lead nowhere.
        run(["ip", "-n", self.name, "-6", "route", "flush", "exact", "default"])
        old.owner.configure([f"link set {self._port} nomaster",
                             f"link set {self._port} netns {new.owner.name}"])
        new.owner.configure([f"link set {self._port} master {new.name} up"])
        self.segment = new
        numbers = new.take()
        new.join(self, self.interface, numbers)
        self._set_addresses(numbers)

    def unplug(self):
        """The cable is out: the interface loses its carrier, and keeps addresses and routes."""
        self.segment.owner.configure([f"link set {self._port} down"])

    def plug_in(self):
        self.segment.owner.configure([f"link set {self._port} up"])

    @contextlib.contextmanager
    def suspended(self):
        """A closed laptop: its programs stand still, and what is sent to it is lost."""
        self.unplug()
        stopped = self._processes()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield stopped
        finally:
            for process in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
            self.plug_in()

    def _processes(self):
        pids = map(int, run(["ip", "netns", "pids", self.name]).split())
        return [pid for pid in pids if pid != os.getpid()]


class Router(Machine):
    """A router of one of the recipes; its interfaces are `wan` and the bridge `lan`."""

    LIFETIME = 300  # of mapped and contacted entries; flows have the kernel's, 30 s and 120 s

    def __init__(self, lab, role, recipe, uplink):
        super().__init__(lab, role)
        self.recipe = recipe
        self.forward_packets()
        _, numbers = uplink.plug(self, "wan", recipe.addresses)
        self.addresses = uplink.addresses(numbers)
        self.addresses6 = uplink.addresses6(numbers)
        self._load(self.LIFETIME)

    @property
    def address(self):
        return (self.addresses + self.addresses6)[0]

    def _load(self, lifetime):
        self.firewall("table inet fw { }\ndelete table inet fw\ntable ip nat { }\ndelete table ip nat\n"
                      + self.recipe.rules(self.addresses, lifetime))

    def reboot(self):
        """Forgets every mapping. What has no random ports maps as before with the next packet out."""
        run(["ip", "netns", "exec", self.name, tool("conntrack"), "-F"])
        flush = [line for object_, line in (("map mapped", "flush map ip nat mapped"),
                                            ("set contacted", "flush set ip nat contacted"))
                 if object_ in self.recipe.objects]
        if flush:
            self.firewall("\n".join(flush) + "\n")

    def set_lifetime(self, unanswered, stream):
        """Seconds a UDP mapping lives without traffic, before and after it has seen both directions.

        Forgets what was mapped.
        """
        if min(unanswered, stream) < 1:
            raise LabError("lifetimes are whole seconds, at least one")
        with self.entered():
            base = Path("/proc/sys/net/netfilter")
            (base / "nf_conntrack_udp_timeout").write_text(str(unanswered))
            (base / "nf_conntrack_udp_timeout_stream").write_text(str(stream))
        self._load(stream)
        self.reboot()
