"""The machines of a scenario and the network between them.

                          stranger 203.0.113.10
                              |
    gateway 198.51.100.2 -- core -- client_nat 203.0.113.6 -- client 192.168.20.2
                              |
                          agent_nat 203.0.113.2 -- agent 192.168.10.2

Both NATs masquerade IPv4 and IPv6 and let nothing in that was not asked for. Core is the Internet: a
scenario cuts it, or has it reset connections. 192.0.2.0/24 and 2001:db8:dead::/48 swallow every packet.
"""

import os
import shutil
import tempfile
from pathlib import Path

from .errors import LabError
from .namespace import Namespace, remove_stale
from .process import Completed, Process

GATEWAY = "198.51.100.2"
GATEWAY6 = "2001:db8:1::2"
STRANGER = "203.0.113.10"
AGENT_NAT = "203.0.113.2"
CLIENT_NAT = "203.0.113.6"
AGENT_LAN = "192.168.10.2"
AGENT_LAN6 = "fd10::2"
BLACK_HOLE = "192.0.2.1"
BLACK_HOLE6 = "2001:db8:dead::1"

NAT_RULES = """
table inet nat {
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lan" accept
        ct state established,related accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        iifname "lan" accept
        ct state established,related accept
    }
    chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        oifname "wan" masquerade
    }
}
"""

CLOSED_HOST_RULES = """
table inet host {
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ct state established,related accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    }
}
"""

CORE_RULES = """
table inet internet {
    chain black_hole {
        type filter hook forward priority -20; policy accept;
        ip daddr 192.0.2.0/24 drop
        ip6 daddr 2001:db8:dead::/48 drop
    }
    chain faults {
        type filter hook forward priority -10; policy accept;
    }
}
"""


class Lab:
    """Makes the network of the drawing; close() ends what was started and removes everything."""

    def __init__(self, programs):
        remove_stale()
        self.programs = Path(programs).resolve()
        # Short, because the path of a Unix socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix=f"nl{os.getpid()}-"))
        self.processes = []
        self._closers = []
        self._namespaces = []
        self._roles = 0
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # --- network -------------------------------------------------------------------------------

    def _build(self):
        self.core = self._machine("core")
        self.core.forward_packets()
        self.core.firewall(CORE_RULES)
        self.gateway = self._machine("gateway")
        self.stranger = self._machine("stranger")
        self._wire(self.core, "gateway", self.gateway, "wan", ("198.51.100.1/30", "198.51.100.2/30"),
                   ("2001:db8:1::1/64", "2001:db8:1::2/64"))
        # A route for what the rules swallow, else core would say that it has none.
        self.core.configure(["route add 192.0.2.0/24 via 198.51.100.2",
                             "route add 2001:db8:dead::/48 via 2001:db8:1::2"])
        self._wire(self.core, "stranger", self.stranger, "wan", ("203.0.113.9/30", "203.0.113.10/30"),
                   ("2001:db8:4::1/64", "2001:db8:4::2/64"))
        self.agent_nat, self.agent = self._site("agent", 10, 2, ("203.0.113.1/30", "203.0.113.2/30"))
        self.client_nat, self.client = self._site(
            "client", 20, 3, ("203.0.113.5/30", "203.0.113.6/30"))

    def _site(self, role, lan, wan6, wan):
        nat = self._machine(f"{role}_nat")
        host = self._machine(role)
        nat.forward_packets()
        self._wire(self.core, role, nat, "wan", wan, (f"2001:db8:{wan6}::1/64", f"2001:db8:{wan6}::2/64"))
        self._wire(nat, "lan", host, "lan", (f"192.168.{lan}.1/24", f"192.168.{lan}.2/24"),
                   (f"fd{lan}::1/64", f"fd{lan}::2/64"))
        nat.firewall(NAT_RULES)
        host.firewall(CLOSED_HOST_RULES)
        host.resolve_with("127.0.0.1")
        return nat, host

    def _machine(self, role):
        namespace = Namespace(role)
        self._namespaces.append(namespace)
        return namespace

    @staticmethod
    def _wire(near, near_name, far, far_name, addresses, addresses6):
        """A cable; `far` has its default route over it."""
        near.configure([f"link add {near_name} type veth peer name {far_name} netns {far.name}",
                        f"address add {addresses[0]} dev {near_name}",
                        f"address add {addresses6[0]} dev {near_name} nodad",
                        f"link set {near_name} up"])
        far.configure([f"address add {addresses[1]} dev {far_name}",
                       f"address add {addresses6[1]} dev {far_name} nodad",
                       f"link set {far_name} up",
                       f"route add default via {addresses[0].partition('/')[0]}",
                       f"route add default via {addresses6[0].partition('/')[0]}"])

    def cut_network(self):
        """Core drops every packet silently, in every direction, also of established connections."""
        self.core.firewall("add rule inet internet faults counter drop\n")

    def restore_network(self):
        self.core.firewall("flush chain inet internet faults\n")

    def reset_connections(self, port):
        """Core answers whoever sends a packet from or to TCP `port` with a reset, until restore_network().

        An end that sends nothing meanwhile keeps a dead connection, as behind a rebooted NAT.
        """
        self.core.firewall(
            f"add rule inet internet faults tcp dport {port} counter reject with tcp reset\n"
            f"add rule inet internet faults tcp sport {port} counter reject with tcp reset\n")

    # --- programs ------------------------------------------------------------------------------

    def program(self, role):
        path = self.programs / f"narrowlink-{role}"
        if not os.access(path, os.X_OK):
            raise LabError(f"{path} is missing; build it or pass --programs FOLDER")
        return path

    def home(self, name):
        """A new private folder, and the environment of a program that lives in it."""
        self._roles += 1
        folder = self.folder / f"{name}{self._roles}"
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder)}
        for key, leaf in (("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"),
                          ("XDG_RUNTIME_DIR", "run"), ("TMPDIR", "tmp")):
            (folder / leaf).mkdir(parents=True)
            environment[key] = str(folder / leaf)
        return folder, environment

    def start(self, command, name, namespace, **options):
        process = Process(command, name, self.folder, namespace, **options)
        self.processes.append(process)
        return process

    def run(self, command, namespace, timeout=60, name=None, **options):
        """Runs a command to its end and returns how it did, whatever its exit code."""
        process = self.start(command, name or Path(str(command[0])).name, namespace, **options)
        try:
            return Completed(process, process.wait(timeout))
        finally:
            process.kill()

    def check(self, command, namespace, **options):
        """Runs a command that has to succeed."""
        done = self.run(command, namespace, **options)
        if done.code != 0:
            raise LabError(str(done))
        return done

    def at_end(self, close):
        """`close()` runs before the machines disappear, last one first."""
        self._closers.append(close)

    def logs(self):
        return "\n".join(process.tail() for process in self.processes)

    def close(self):
        """Ends and removes everything; harmless when called again."""
        for process in reversed(self.processes):
            process.kill()
        while self._closers:
            self._closers.pop()()
        while self._namespaces:
            self._namespaces.pop().remove()
        shutil.rmtree(self.folder, ignore_errors=True)
