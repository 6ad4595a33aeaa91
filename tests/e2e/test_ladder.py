"""Direct paths where what the gateway sees of a node is not where its peer finds it: prediction, sprays, birthdays."""

import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import Agent, Capture, Client, Exit, Gateway, Scenario, TcpServer, echo, main, until  # noqa: E402
from nat_lab import NatLab  # noqa: E402

# Agent's side, client's side, seconds until there is a direct path, packets between the sites: with much to spare.
CELLS = [
    # prediction
    ("symmetric_sequential", "port_restricted", 4, 200),
    ("port_restricted_open_input", "symmetric_sequential", 4, 200),
    ("public_firewall", "symmetric_sequential", 4, 200),
    ("symmetric_sequential", "symmetric_sequential", 4, 200),
    # block
    ("symmetric_block", "port_restricted", 8, 1_000),
    ("endpoint_independent_random", "symmetric_block", 8, 1_000),
    # Up to twice 7 s; then the client asks for another round.
    ("symmetric_block", "symmetric_block", 30, 8_000),
    ("symmetric_sequential", "symmetric_block", 30, 8_000),
    ("symmetric_block", "symmetric_sequential", 30, 8_000),
    # birthday
    ("symmetric_random", "port_restricted", 30, 6_000),
    ("port_restricted_open_input", "symmetric_random", 30, 6_000),
    # What one address of the gateway cannot tell from a NAT that needs none of this: two steps in vain.
    ("port_restricted", "address_dependent_random", 45, 8_000),
    # A pool of addresses, which a peer that lets in any port does not mind.
    ("full_cone", "address_pool", 6, 400),
]

# Agent's side, client's side, why.
RELAYED = [
    ("symmetric_random", "symmetric_random", "both NATs choose ports at random"),
    ("symmetric_random", "symmetric_sequential",
     "the NAT of this machine chooses another port for each destination, and that of the agent chooses ports at random"),
    ("address_pool", "symmetric_random",
     "the NAT of this machine chooses ports at random, and that of the agent changes its external address"),
    ("port_restricted", "udp_443_only", "UDP is blocked at this machine, except to the gateway's main port"),
]

# A router's NAT-PMP, as far as it says which address it has outside.
NAT_PMP = '''
import socket, sys
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("", 5351))
while True:
    question, node = service.recvfrom(64)
    if question == bytes(2):
        service.sendto(bytes([0, 128, 0, 0, 0, 0, 0, 1]) + socket.inet_aton(sys.argv[1]), node)
'''

# Carrier's NAT, homes' NATs, whether their routers have NAT-PMP, seconds.
NEIGHBOURS = [
    ("full_cone_hairpin", "port_restricted", "port_restricted", False, 5),
    ("port_restricted", "port_restricted", "port_restricted", True, 8),
    ("symmetric_random", "full_cone", "port_restricted_open_input", True, 8),
]


class Ladder(Scenario):
    laboratory = NatLab

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab).start()

    def pair(self, home_kind, away_kind):
        return self.pair_at(self.lab.site(home_kind), self.lab.site(away_kind), f"{home_kind}-{away_kind}"[:60])

    def pair_at(self, home, away, name):
        agent = Agent(self.lab, self.gateway.token("agent", name), name, namespace=home.host(0)).start()
        client = Client(self.lab, self.gateway.token("client", name), name, namespace=away.host(0))
        client.until_agent(name)
        return agent, client, self.lab.core.count_udp(home, away)

    def test_every_cell_that_can_be_reached_is(self):
        for home, away, seconds, packets in CELLS:
            with self.subTest(agent=home, client=away):
                agent, client, direct = self.pair(home, away)
                server = TcpServer(self.lab, agent.namespace, echo)
                forward = client.forward(agent.name, server.target)
                forward.process.until(lambda: "path=direct-udp" in forward.process.error(), seconds,
                                      "there is a direct path")
                self.assertLess(direct.packets, packets)
                relayed = Capture(self.lab, self.lab.core, "gateway", [])
                with forward.connect() as sock:
                    for _ in range(20):
                        sock.sendall(bytes(50_000))
                        received = 0
                        while received < 50_000:
                            received += len(sock.recv(65_536))
                self.assertEqual(relayed.stop(), 0, "packets that the capture has missed")
                self.assertLess(relayed.bytes, 100_000, "the bytes went from site to site")
                forward.stop()
                agent.process.stop()

    def test_where_nothing_can_work_nothing_is_tried_for_long_and_the_user_is_told_why(self):
        for home, away, why in RELAYED:
            with self.subTest(agent=home, client=away):
                agent, client, direct = self.pair(home, away)
                patient = Client(self.lab, None, f"{client.name[:40]}-patient", namespace=client.namespace,
                                   configuration=f"join: {client.join}\nconnect_timeout: 5m\n")
                done = patient.run("connect", "--direct", "-n", agent.name, "127.0.0.1:22")
                self.assertEqual(done.code, Exit.no_direct_path, done)
                self.assertIn(f'there is no direct path to agent "{agent.name}": {why}', done.err)
                self.assertLess(direct.packets, 60, "one attempt before the NATs were known")
                agent.process.stop()

    def test_neighbours_behind_one_carrier_meet_there(self):
        for carrier_kind, home_kind, away_kind, has_nat_pmp, seconds in NEIGHBOURS:
            with self.subTest(carrier=carrier_kind, agent=home_kind, client=away_kind):
                carrier = self.lab.carrier(carrier_kind)
                home, away = carrier.site(home_kind), carrier.site(away_kind)
                services = [self.lab.start([sys.executable, "-c", NAT_PMP, site.router.address], "nat-pmp",
                                           site.router) for site in (home, away) if has_nat_pmp]
                for site in (home, away) if has_nat_pmp else ():
                    until(lambda: site.router.listens(5_351, socket.SOCK_DGRAM), 10, "the router has NAT-PMP")
                agent, client, _ = self.pair_at(home, away, f"neighbours-{carrier_kind}")
                server = TcpServer(self.lab, agent.namespace, echo)
                forward = client.forward(agent.name, server.target)
                forward.process.until(lambda: "path=direct-udp" in forward.process.error(), seconds,
                                      "there is a direct path")
                forward.stop()
                agent.process.stop()
                for service in services:
                    service.stop()

    def test_what_has_worked_is_tried_first(self):
        agent, client, direct = self.pair("port_restricted", "address_dependent_random")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        forward.process.until(lambda: "path=direct-udp" in forward.process.error(), 45, "there is a direct path")
        forward.stop()
        again = client.forward(agent.name, server.target)
        again.process.until(lambda: "path=direct-udp" in again.process.error(), 20, "there is one again")

    def test_lists_say_what_stands_before_an_agent(self):
        agent, client, _ = self.pair("symmetric_sequential", "public")

        def nat():
            return next((a.get("nat") for a in client.list() if a["name"] == agent.name), None)

        until(nat, 10, "the survey has ended")
        self.assertEqual(nat(), "address-and-port-dependent mapping, address-and-port-dependent filtering, "
                                "ports sequential (+1)")
        verbose = client.run("list", "-v")
        self.assertIn("ports sequential (+1)", verbose.out)


if __name__ == "__main__":
    main()
