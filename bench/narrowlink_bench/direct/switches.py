"""How long it takes to a direct path, and how long a stream stands still when its path changes."""

import datetime
import select
import subprocess
import time

from lab import Agent, Client, Gateway, LabError, PacedStream, TcpServer, echo, until
from nat_lab import NatLab
from nat_matrix.trial import PATH_CHANGED

DIRECT, RELAY = "direct-udp", "relay-websocket"
AGENT = "home"
CHUNK, INTERVAL = 8_000, 0.02  # of the stream whose stalls are measured: bytes, seconds
SETTLED = 50 * CHUNK  # a second of it
STALL_DELAY = 20  # one way from client to agent, in ms
PATIENCE = 40  # seconds until a path has to have changed


def last_path(process):
    """When the client took its present path, in seconds of the Unix epoch, and which; None before the first."""
    changes = PATH_CHANGED.findall(process.error())
    if not changes:
        return None, None
    when, path = changes[-1]
    return datetime.datetime.fromisoformat(when).timestamp(), path


def start_nodes(lab, agent_host, client_host):
    gateway = Gateway(lab).start()
    Agent(lab, gateway.token("agent", AGENT), AGENT, namespace=agent_host).start()
    client = Client(lab, gateway.token("client", AGENT), AGENT, namespace=client_host)
    client.until_agent(AGENT)
    return gateway, client


# ---- the time to a direct path


def greet_and_echo(connection):
    connection.sendall(b"g")
    echo(connection)


def delay_sites(sites, delay):
    """`delay` in ms one way from site to site, and so half of it from each of them to the gateway."""
    for site in sites:
        if delay:
            site.link.set_delay(delay / 2_000)


def time_to_direct(bench, delay):
    """`delay` in ms one way from client to agent; both are behind NATs."""
    with NatLab(bench.binaries) as lab:
        bench.folders.append(lab.folder)
        home, away = lab.site("port_restricted"), lab.site("port_restricted")
        delay_sites([home, away], delay)
        _, client = start_nodes(lab, home.host(0), away.host(0))
        target = TcpServer(lab, home.host(0), greet_and_echo).target
        for run in range(1, bench.plan.first_direct + 1):
            bench.attempt("narrowlink", f"time to a direct path at {delay} ms",
                          lambda run=run: connect_once(bench, client, target, delay, run))


def connect_once(bench, client, target, delay, run):
    begun = time.time()
    process = client.connect(AGENT, target, "--log-level", "info")
    try:
        if not select.select([process.stdout], [], [], PATIENCE)[0] or process.stdout.read(1) != b"g":
            raise LabError(f"the target's greeting did not come: {process.error()}")
        relayed = time.time()
        process.until(lambda: last_path(process)[1] == DIRECT, PATIENCE, "there is a direct path")
        direct, _ = last_path(process)
    finally:
        process.kill()
    times = {"first_byte": relayed - begun, "first_direct": direct - begun, "relay_to_direct": direct - relayed}
    for name, seconds in times.items():
        bench.record("narrowlink", f"delay-{delay}/{name}", "ms", seconds * 1_000, run)
    bench.say(f"{delay} ms one way, run {run}: first byte after {times['first_byte'] * 1_000:.0f} ms, direct after "
              f"{times['first_direct'] * 1_000:.0f} ms")


# ---- stalls


def stalls(bench, run):
    """One stream through every kind of switch, its longest gap at each."""
    with NatLab(bench.binaries) as lab:
        bench.folders.append(lab.folder)
        # A mapping of the first NAT of the client comes back as it was after a reboot, one of the second does not.
        home, away, elsewhere = (lab.site(kind)
                                 for kind in ("full_cone", "endpoint_independent_random", "symmetric_random"))
        delay_sites([home, away, elsewhere], STALL_DELAY)
        gateway, client = start_nodes(lab, home.host(0), away.host(0))
        server = TcpServer(lab, home.host(0), greet_and_echo)
        forward = client.forward(AGENT, server.target)
        sock = forward.connect()
        if sock.recv(1) != b"g":
            raise LabError(f"the target's greeting did not come: {forward.process.error()}")
        begun = time.time()
        stream = PacedStream(sock, run, CHUNK, INTERVAL)

        def measured(name, happen, path):
            happen()
            forward.process.until(lambda: last_path(forward.process)[1] == path, PATIENCE, f"it is on {path}")
            stream.until_progress(PATIENCE, SETTLED)
            bench.record("narrowlink", f"stall/{name}", "s", stream.longest_gap, run)
            bench.say(f"run {run}, stall: {name.replace('_', ' ')} {stream.longest_gap:.2f} s")
            stream.longest_gap = 0.0

        def wait_for_direct():
            forward.process.until(lambda: last_path(forward.process)[1] == DIRECT, PATIENCE, "there is a direct path")
            if last_path(forward.process)[0] < begun:
                raise LabError("the path was direct before the stream had begun")

        def kill_gateway():
            gateway.kill()
            time.sleep(1)
            gateway.start()
            time.sleep(2)  # both nodes are back

        def changes():
            return forward.process.error().count("path_changed")

        def reboot(*sites):
            seen, received = changes(), stream.received
            for site in sites:
                site.router.reboot()
            # Nobody is told: the client has to find out and to find another path, or the old one heals in time.
            until(lambda: changes() > seen or stream.received > received + 3 * SETTLED, PATIENCE,
                  "the stream goes on")

        def roam():
            seen = changes()
            client.namespace.move_to(elsewhere)
            until(lambda: changes() > seen, PATIENCE, "the client has noticed")

        measured("relay_to_direct", wait_for_direct, DIRECT)
        measured("udp_cut", lambda: away.link.set_loss(100), RELAY)
        measured("relay_to_direct_again", lambda: away.link.set_loss(0), DIRECT)
        measured("nat_reboot", lambda: reboot(home, away), DIRECT)
        measured("roaming", roam, DIRECT)
        measured("nat_reboot_other_ports", lambda: reboot(home, elsewhere), DIRECT)
        measured("gateway_kill", kill_gateway, DIRECT)
        stream.finish()
        forward.process.kill()
