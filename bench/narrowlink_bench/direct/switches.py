"""How long it takes to a direct path."""

import datetime
import select
import time

from lab import Agent, Client, Gateway, LabError, TcpServer, echo
from nat_lab import NatLab
from nat_matrix.trial import PATH_CHANGED

DIRECT = "direct-udp"
AGENT = "home"
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
    agent = Agent(lab, gateway.token("agent", AGENT), AGENT, namespace=agent_host).start()
    client = Client(lab, gateway.token("client", AGENT), AGENT, namespace=client_host)
    client.until_agent(AGENT)
    return gateway, agent, client


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
        _, _, client = start_nodes(lab, home.host(0), away.host(0))
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
