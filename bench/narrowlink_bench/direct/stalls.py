"""How long a stream stands still when its path changes."""

import contextlib
import signal
import time

from lab import LabError, PacedStream, TcpServer, until
from nat_lab import NatLab

from .switches import AGENT, DIRECT, PATIENCE, delay_sites, greet_and_echo, last_path, start_nodes

RELAY, UDP_RELAY, ANY_RELAY = "relay-websocket", "relay-udp", "relay-"
CHUNK, INTERVAL = 8_000, 0.02  # of the stream whose stalls are measured: bytes, seconds
SETTLED = 50 * CHUNK  # a second of it
DELAY = 20  # one way from client to agent, in ms
SLOWER = 150  # more than that, of a path that has become slow
SUSPENSION, FLAP = 3, 3  # seconds: of the agent; for which UDP is cut, and then let through


class Scene:
    """Agent and client at the first two sites, and a stream from one to the other and back."""

    def __init__(self, bench, lab, run, sites):
        self.lab, self.sites = lab, sites
        self._bench, self._run = bench, run
        home, away = sites[:2]
        self.gateway, self.agent, self.client = start_nodes(lab, home.host(0), away.host(0))
        server = TcpServer(lab, home.host(0), greet_and_echo)
        forward = self.client.forward(AGENT, server.target)
        self._process = forward.process
        sock = forward.connect()
        if sock.recv(1) != b"g":
            raise LabError(f"the target's greeting did not come: {self._process.error()}")
        self._begun = time.time()
        self._stream = PacedStream(sock, run, CHUNK, INTERVAL)

    def measured(self, name, happen, path, run=None):
        """Records the longest gap from the end of the measurement before until the stream is well on `path`."""
        happen()
        self._until_path(path)
        self._stream.until_progress(PATIENCE, SETTLED)
        gap, run = self._stream.longest_gap, run or self._run
        self._bench.record("narrowlink", f"stall/{name}", "s", gap, run)
        self._bench.say(f"run {run}, stall: {name.replace('_', ' ')} {gap:.2f} s")
        self._stream.longest_gap = 0.0

    def finish(self):
        self._stream.finish()
        self._process.kill()

    def first_switch(self, path):
        self._until_path(path)
        if last_path(self._process)[0] < self._begun:
            raise LabError(f"the path was {path} before the stream had begun")

    def _until_path(self, path):
        self._process.until(lambda: (last_path(self._process)[1] or "").startswith(path), PATIENCE, f"it is on {path}")

    def _changes(self):
        return self._process.error().count("path_changed")

    def kill_gateway(self):
        self.gateway.kill()
        time.sleep(1)
        self.gateway.start()
        time.sleep(2)  # both nodes are back

    def reboot(self, *sites, after=0):
        time.sleep(after)
        seen, received = self._changes(), self._stream.received
        for site in sites:
            site.router.reboot()
        # Nobody is told: the client has to find out and to find another path, or the old one heals in time.
        until(lambda: self._changes() > seen or self._stream.received > received + 3 * SETTLED, PATIENCE,
              "the stream goes on")

    def roam(self, host, site):
        seen = self._changes()
        host.move_to(site)
        until(lambda: self._changes() > seen, PATIENCE, "the client has noticed")

    def suspend_agent(self):
        """What counts begins when the agent goes on; the stream has stood still before that as well."""
        self.agent.process.send_signal(signal.SIGSTOP)
        time.sleep(SUSPENSION)
        resumed, received = time.monotonic(), self._stream.received
        self.agent.process.send_signal(signal.SIGCONT)
        while self._stream.received == received:
            if time.monotonic() > resumed + PATIENCE:
                raise LabError("the stream does not go on after the agent")
            time.sleep(0.001)
        first = time.monotonic() - resumed
        self._stream.longest_gap = max(first, self._stream.until_progress(PATIENCE))

    def slow_down(self, *sites):
        """Only what goes from site to site: the gateway's link takes back what is added at those of the sites."""
        self.lab.gateway.link.set_delay(-SLOWER / 2_000)
        delay_sites(sites, DELAY + SLOWER)


@contextlib.contextmanager
def scene(bench, run, *kinds):
    with NatLab(bench.binaries) as lab:
        bench.folders.append(lab.folder)
        sites = [lab.site(kind) for kind in kinds]
        delay_sites(sites, DELAY)
        found = Scene(bench, lab, run, sites)
        yield found
        found.finish()


def stalls(bench, run):
    """One stream through every kind of switch to and from a direct path, its longest gap at each."""
    # A mapping of the first NAT of the client comes back as it was after a reboot, one of the second does not.
    with scene(bench, run, "full_cone", "endpoint_independent_random", "symmetric_random", "full_cone") as stream:
        home, away, elsewhere, new_home = stream.sites
        agent_host, client_host = stream.agent.namespace, stream.client.namespace
        stream.measured("relay_to_direct", lambda: stream.first_switch(DIRECT), DIRECT)
        stream.measured("udp_cut", lambda: away.link.set_loss(100), RELAY)
        stream.measured("relay_to_direct_again", lambda: away.link.set_loss(0), DIRECT)
        stream.measured("nat_reboot", lambda: stream.reboot(home, away), DIRECT)
        stream.measured("roaming", lambda: stream.roam(client_host, elsewhere), DIRECT)
        # Only a packet of the agent's makes its NAT let the relay in again, and its pings have a rhythm.
        stream.measured("nat_reboot_other_ports", lambda: stream.reboot(home, elsewhere, after=(run - 1) % 3), DIRECT)
        stream.measured("gateway_kill", stream.kill_gateway, DIRECT)
        stream.measured("agent_roaming", lambda: stream.roam(agent_host, new_home), DIRECT)
        stream.measured("agent_suspended", stream.suspend_agent, DIRECT)
        # The last one, because a path that was left for being slow is not taken again for minutes.
        stream.measured("slow_path", lambda: stream.slow_down(elsewhere, new_home), ANY_RELAY)


def relay_stalls(bench, run):
    """The same from relay to relay, between NATs that no direct path gets through."""
    with scene(bench, run, "symmetric_random", "symmetric_random") as stream:
        home, _ = stream.sites
        stream.measured("relay_to_udp", lambda: stream.first_switch(UDP_RELAY), UDP_RELAY)
        stream.measured("udp_relay_cut", lambda: home.link.set_loss(100), RELAY)
        stream.measured("relay_to_udp_again", lambda: home.link.set_loss(0), UDP_RELAY)


def flapping(bench, times):
    """UDP that comes and goes, to the gateway as well; the longest gap of each time."""
    with scene(bench, 1, "full_cone", "endpoint_independent_random") as stream:
        _, away = stream.sites

        def flap():
            away.link.set_loss(100)
            time.sleep(FLAP)
            away.link.set_loss(0)
            time.sleep(FLAP - 1)  # until the stream has settled it is FLAP

        stream.first_switch(DIRECT)
        for number in range(1, times + 1):
            stream.measured("flapping", flap, "", number)
