"""Every case: the pairs of kinds, and what else happens in networks. Each says what is expected of it."""

import fnmatch
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nat_lab import GATEWAY, GATEWAY6, SECOND_GATEWAY

from .expectations import (BLOCKED_HERE, BOTH_RANDOM, GRID, KINDS, MAIN_PORT_ONLY, NOTHING_GOT_THROUGH, Expectation,
                           Technique, relay)

OBSERVED, BIRTHDAY = GRID["PR", "PR"], GRID["PR", "ADM"]
# A pool has four addresses, and the one that the packets to the peer get has been among those that the gateway
# has seen, of four to six flows, with a probability of 1 - (3/4)^4 to 1 - (3/4)^6: 68 to 82 %.
POOL = Expectation(Technique.prediction, 10, share=0.4)


@dataclass
class Scene:
    """Where agent and client are, in a network that has been built for them."""

    agent: object  # hosts
    client: object
    across: tuple | None  # the two sites between which direct packets cross the core; None: they do not
    elsewhere: object = None  # another site, to roam to
    gateway: dict | None = None  # how the gateway differs, see lab.Gateway

    @property
    def lab(self):
        return self.agent.lab


@dataclass(frozen=True)
class Case:
    name: str
    title: str  # what a reader of the table sees
    expected: Expectation
    build: object  # lab -> Scene
    change: object = None  # Scene -> None: what happens under a live stream
    then: Expectation | None = None  # what is expected after that, its limit counted from there
    chunk: int = 8_000  # bytes that the stream sends 50 times a second, and gets back
    quick: bool = False  # also one of the end-to-end tests
    is_cell: bool = False


def find(pattern):
    """Cases whose names match one of the patterns, separated by commas; `pairs` and `special` are all of a kind."""
    patterns = pattern.split(",")
    return [case for case in CASES.values()
            if ("pairs" if case.is_cell else "special") in patterns
            or any(fnmatch.fnmatchcase(case.name, one) for one in patterns)]


# ---- places


def pair(home, away, **options):
    """Agent and client behind a router each."""
    def build(lab):
        one, other = (lab.site(KINDS.get(kind, kind), **options) for kind in (home, away))
        return Scene(one.host(), other.host(), (one, other))
    return build


def pair_and_elsewhere(home, away, elsewhere):
    def build(lab):
        scene = pair(home, away)(lab)
        scene.elsewhere = lab.site(KINDS[elsewhere])
        return scene
    return build


def troubled(home, away, delay=0.0, loss=0):
    """`delay` in seconds from site to site, half of it on each link; `loss` in per cent of UDP, on the client's."""
    def build(lab):
        scene = pair(home, away)(lab)
        for site in scene.across:
            if delay:
                site.link.set_delay(delay / 2)
        scene.across[1].link.set_loss(loss)
        return scene
    return build


def double_nat(carriers, homes):
    """Both at home behind a carrier's NAT, of different providers."""
    def build(lab):
        providers = [lab.carrier(KINDS[kind]) for kind in carriers]
        home, away = (carrier.site(KINDS[kind]) for carrier, kind in zip(providers, homes))
        return Scene(home.host(), away.host(), tuple(providers))
    return build


def neighbours(carrier, home, away, nat_pmp=False):
    """Two homes behind one carrier's NAT; `nat_pmp`: their routers say which address they have outside."""
    def build(lab):
        provider = lab.carrier(carrier)
        sites = [provider.site(KINDS[kind]) for kind in (home, away)]
        if nat_pmp:
            for site in sites:
                lab.start([sys.executable, "-B", Path(__file__).with_name("nat_pmp.py"), site.router.address],
                          "nat_pmp", site.router)
        return Scene(sites[0].host(), sites[1].host(), None)
    return build


def same_lan(kind):
    def build(lab):
        site = lab.site(KINDS[kind])
        return Scene(site.host(0), site.host(1), None)
    return build


NAME = "gateway.lab"


def two_families(build_pair):
    """A gateway with IPv4 and IPv6, which nodes know by its name."""
    def build(lab):
        scene = build_pair(lab)
        for host in (scene.agent, scene.client):
            Path("/etc/netns", host.name, "hosts").write_text(
                f"127.0.0.1 localhost\n{GATEWAY} {NAME}\n{GATEWAY6} {NAME}\n")
        scene.gateway = {"listen": "[::]:443", "public": f"{NAME}:443",
                         "configuration": f'udp:\n  addresses: [{GATEWAY}, "{GATEWAY6}"]\n'}
        return scene
    return build


def ipv6_only(lab):
    scene = pair("ipv6_firewall", "ipv6_firewall")(lab)
    scene.gateway = {"listen": "[::]:443", "public": f"[{GATEWAY6}]:443"}
    return scene


def two_gateway_addresses(home, away):
    def build(lab):
        scene = pair(home, away)(lab)
        scene.gateway = {"configuration": f"udp:\n  addresses: [{GATEWAY}, {SECOND_GATEWAY}]\n"}
        return scene
    return build


# ---- what happens


def client_roams(scene):
    scene.client.move_to(scene.elsewhere)
    scene.across = scene.across[0], scene.elsewhere


def agent_roams(scene):
    scene.agent.move_to(scene.elsewhere)
    scene.across = scene.elsewhere, scene.across[1]


def client_sleeps(scene):
    with scene.client.suspended():
        time.sleep(20)


def agent_sleeps(scene):
    with scene.agent.suspended():
        time.sleep(20)


def routers_reboot(scene):
    for site in scene.across:
        site.router.reboot()


# ---- the tables

AGAIN = Expectation(Technique.observed, 30)

_special = (
    Case("double-nat", "double NAT, two providers: PR behind PR × PR behind EIMr", OBSERVED,
         double_nat(("PR", "EIMr"), ("PR", "PR")), quick=True),
    Case("double-nat-restricted", "double NAT, two providers: FC behind PRo × PRo behind PR", OBSERVED,
         double_nat(("PRo", "PR"), ("FC", "PRo"))),
    Case("double-nat-symmetric", "double NAT, two providers: PR behind RND × PR behind PR", BIRTHDAY,
         double_nat(("RND", "PR"), ("PR", "PR"))),
    Case("double-nat-random", "double NAT, two providers: PR behind RND × RND behind PR", relay(BOTH_RANDOM),
         double_nat(("RND", "PR"), ("PR", "RND"))),
    Case("neighbours-hairpin", "same CGN, it hairpins: PR × PR", OBSERVED,
         neighbours("full_cone_hairpin", "PR", "PR"), quick=True),
    Case("neighbours-mapped", "same CGN without hairpin, routers with NAT-PMP: PR × PR", OBSERVED,
         neighbours("port_restricted", "PR", "PR", nat_pmp=True)),
    Case("neighbours-symmetric", "same symmetric CGN, routers with NAT-PMP: FC × PRo", OBSERVED,
         neighbours("symmetric_random", "FC", "PRo", nat_pmp=True)),
    Case("neighbours", "same CGN without hairpin, routers that tell nothing: PR × PR",
         relay(NOTHING_GOT_THROUGH, watch=20), neighbours("port_restricted", "PR", "PR")),
    Case("same-lan", "same LAN, behind PR", OBSERVED, same_lan("PR"), quick=True),
    Case("same-lan-symmetric", "same LAN, behind RND", OBSERVED, same_lan("RND")),
    Case("ipv6", "IPv6 only, both behind firewalls", OBSERVED, ipv6_only, quick=True),
    Case("ipv6-beside-random", "IPv6 behind firewalls beside RND × RND", OBSERVED,
         two_families(pair("RND", "RND", ipv6=True)), quick=True),
    Case("ipv4-to-ipv6", "agent IPv4 only × client IPv6 only", relay("one side has IPv4 only, the other IPv6 only"),
         two_families(pair("PR", "ipv6_firewall")), quick=True),
    Case("ipv6-to-ipv4", "agent IPv6 only × client IPv4 only", relay("one side has IPv4 only, the other IPv6 only"),
         two_families(pair("ipv6_firewall", "PR"))),
    Case("udp-443-client", "agent PR × client with UDP to 53 and 443 only",
         relay(MAIN_PORT_ONLY.format("this machine")), pair("PR", "udp_443_only")),
    Case("udp-443-agent", "agent with UDP to 53 and 443 only × client FC",
         relay(MAIN_PORT_ONLY.format("the agent")), pair("udp_443_only", "FC")),
    Case("udp-blocked-both", "UDP blocked at both", relay(BLOCKED_HERE), pair("noUDP", "noUDP")),
    Case("pool-full-cone", "address pool × FC", OBSERVED, pair("address_pool", "FC")),
    Case("pool-port-restricted", "address pool, ports kept × PR", POOL, pair("address_pool", "PR")),
    Case("pool-address-restricted", "address pool, ports kept × AR", POOL, pair("address_pool", "AR")),
    # Now and then both sides' packets get the very address that the gateway has seen: better than expected.
    Case("pool-both", "address pool × address pool", relay("both NATs change their external address", share=0.4),
         pair("address_pool", "address_pool")),
    Case("second-address", "ADM × PR, a gateway with two addresses", BIRTHDAY, two_gateway_addresses("ADM", "PR")),
    Case("loss-20", "PR × PR, 20 % of UDP lost", Expectation(Technique.observed, 20),
         troubled("PR", "PR", loss=20), chunk=500, quick=True),
    Case("loss-20-predicted", "SEQ × PR, 20 % of UDP lost", Expectation(Technique.prediction, 40),
         troubled("SEQ", "PR", loss=20), chunk=500),
    Case("delay-20", "PRo × PR, 20 ms from site to site", OBSERVED, troubled("PRo", "PR", delay=0.02)),
    Case("delay-20-open", "PRo × PRo, 20 ms", OBSERVED, troubled("PRo", "PRo", delay=0.02)),
    Case("delay-100", "PR × EIMr, 100 ms", Expectation(Technique.observed, 15),
         troubled("PR", "EIMr", delay=0.1), quick=True),
    Case("delay-100-open", "PRo × PRo, 100 ms", Expectation(Technique.observed, 15),
         troubled("PRo", "PRo", delay=0.1)),
    Case("delay-100-predicted", "SEQ × PR, 100 ms", Expectation(Technique.prediction, 20),
         troubled("SEQ", "PR", delay=0.1)),
    Case("delay-100-block", "PR × BLK, 100 ms", Expectation(Technique.block, 30), troubled("PR", "BLK", delay=0.1)),
    Case("nat-reboot", "both NATs reboot: PR × EIMr", OBSERVED, pair("PR", "EIMr"), routers_reboot, AGAIN, quick=True),
    Case("nat-reboot-symmetric", "both NATs reboot, and ports change: RND × FC", OBSERVED, pair("RND", "FC"),
         routers_reboot, AGAIN, quick=True),
    Case("client-roams", "client roams from PR to EIMr, agent behind PR", OBSERVED,
         pair_and_elsewhere("PR", "PR", "EIMr"), client_roams, AGAIN, quick=True),
    Case("client-roams-to-symmetric", "client roams from FC to RND, agent behind AR", OBSERVED,
         pair_and_elsewhere("AR", "FC", "RND"), client_roams, AGAIN),
    Case("client-roams-to-no-udp", "client roams from PR to blocked UDP", OBSERVED,
         pair_and_elsewhere("PR", "PR", "noUDP"), client_roams, relay(BLOCKED_HERE)),
    Case("agent-roams", "agent roams from PR to EIMr, client behind PR", OBSERVED,
         pair_and_elsewhere("PR", "PR", "EIMr"), agent_roams, AGAIN, quick=True),
    Case("agent-roams-to-public", "agent roams from RND to PUB, client behind FC", OBSERVED,
         pair_and_elsewhere("RND", "FC", "PUB"), agent_roams, AGAIN),
    Case("client-sleeps", "client suspended for 20 s: PR × PR", OBSERVED, pair("PR", "PR"), client_sleeps, AGAIN,
         quick=True),
    Case("agent-sleeps", "agent suspended for 20 s: PR × EIMr", OBSERVED, pair("PR", "EIMr"), agent_sleeps, AGAIN,
         quick=True),
)

_cells = [Case(f"{agent}/{client}", f"agent {agent}, client {client}", GRID[agent, client], pair(agent, client),
               is_cell=True) for agent in KINDS for client in KINDS]

CASES = {case.name: case for case in (*_cells, *_special)}
