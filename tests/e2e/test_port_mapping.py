"""Direct paths through ports that routers forward: the real miniupnpd before both kinds of nodes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import Agent, Capture, Client, Exit, Gateway, Scenario, TcpServer, echo, main, tool, until  # noqa: E402
from lab.namespace import run  # noqa: E402
from nat_lab import ROUTABLE, NatLab, PortMappingService  # noqa: E402

WHY = "both NATs choose ports at random"


# A router that says over UPnP where its description is, and then hangs; with an argument it names another
# machine's, which it should not be asked for.
HOSTILE_ROUTER = '''
import socket, sys, threading
service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
service.bind(("", 1900))
def search():
    while True:
        _, node = service.recvfrom(2048)
        print("searched", flush=True)
        service.sendto(b"HTTP/1.1 200 OK\\r\\nLOCATION: http://%s:5000/\\r\\n\\r\\n" % sys.argv[1].encode(), node)
threading.Thread(target=search, daemon=True).start()
listener = socket.create_server(("", 5000))
connections = []
while True:
    connections.append(listener.accept())
    print("connected", flush=True)
'''


class PortMapping(Scenario):
    """Both NATs are symmetric with random ports: without a port mapping only the relay is left."""

    laboratory = NatLab

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab).start()
        cls.home = cls.lab.site("symmetric_random", block=ROUTABLE)
        cls.away = cls.lab.site("symmetric_random", block=ROUTABLE)

    def setUp(self):
        self.service = None
        super().setUp()

    def tearDown(self):
        if self.service:
            self.service.stop()
        super().tearDown()

    def serve(self, site, **protocols):
        self.service = PortMappingService(self.lab, site.router, **protocols)
        return self.service

    def agent(self, name, mode="auto"):
        return Agent(self.lab, None, name, namespace=self.home.host(0),
                     configuration=f"join: {self.gateway.token('agent', name)}\nport_mapping: {mode}\n").start()

    def pair(self, name, mode="auto"):
        agent = self.agent(name, mode)
        client = Client(self.lab, self.gateway.token("client", name), name, namespace=self.away.host(0))
        client.until_agent(name)
        return agent, client

    def until_mapped(self, process, protocol):
        process.until(lambda: f"port_mapped protocol={protocol} " in process.error(), 10, "the router maps a port")

    def assert_direct(self, agent, client, forward):
        forward.process.until(lambda: "path=direct-udp" in forward.process.error(), 15, "there is a direct path")
        relayed = Capture(self.lab, self.lab.core, "gateway", [])
        with forward.connect() as sock:
            for _ in range(20):
                sock.sendall(bytes(50_000))
                received = 0
                while received < 50_000:
                    received += len(sock.recv(65_536))
        self.assertEqual(relayed.stop(), 0, "packets that the capture has missed")
        self.assertLess(relayed.bytes, 100_000, "the bytes went from site to site")

    def serve_hostile(self, router, address, name):
        process = self.lab.start([sys.executable, "-c", HOSTILE_ROUTER, address], name, router)
        until(lambda: router.listens(5000), 10, f"{name} listens")
        return process

    def reach(self, agent, client):
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        self.assert_direct(agent, client, forward)
        return forward

    def test_without_a_mapping_there_is_only_the_relay(self):
        agent, client = self.pair("unmapped")
        impatient = Client(self.lab, None, "impatient", namespace=client.namespace,
                           configuration=f"join: {client.join}\nconnect_timeout: 8s\n")
        done = impatient.run("connect", "--direct", "-n", agent.name, "127.0.0.1:22")
        self.assertEqual(done.code, Exit.no_direct_path, done)
        self.assertIn(WHY, done.err)
        self.assertNotIn("port_mapped", agent.process.error())
        agent.process.stop()

    def test_nat_pmp_of_the_agents_router_makes_a_direct_path(self):
        service = self.serve(self.home, nat_pmp=True)
        agent, client = self.pair("nat-pmp")
        self.until_mapped(agent.process, "nat-pmp")
        (external, inside, _), = service.mappings()
        self.assertEqual(inside, agent.namespace.address)
        mapping = f"nat-pmp {self.home.address}:{external}"
        until(lambda: client.list()[0].get("port_mapping") == mapping, 5, "the list says so")
        self.assertIn(f"port mapping: {mapping}", client.run("list", "-v").out)
        forward = self.reach(agent, client)
        forward.stop()
        agent.process.stop()
        self.assertEqual(service.mappings(), [], "an agent that ends leaves no open port")

    def test_pcp_of_the_agents_router_makes_a_direct_path(self):
        service = self.serve(self.home, nat_pmp=True)
        agent, client = self.pair("pcp", mode="pcp")
        self.until_mapped(agent.process, "pcp")
        (external, inside, _), = service.mappings()
        self.assertEqual(inside, agent.namespace.address)
        until(lambda: client.list()[0].get("port_mapping") == f"pcp {self.home.address}:{external}", 5,
              "the list says so")
        forward = self.reach(agent, client)
        forward.stop()
        agent.process.stop()
        self.assertEqual(service.mappings(), [], "the mapping is ended with the nonce that made it")

    def test_upnp_of_the_clients_router_makes_a_direct_path(self):
        service = self.serve(self.away, upnp=True)
        agent, client = self.pair("upnp")
        forward = self.reach(agent, client)
        self.until_mapped(forward.process, "upnp")
        (external, inside, _), = service.mappings()
        self.assertEqual(inside, client.namespace.address)
        status = client.run("status")
        self.assertIn(f"port mapping: upnp {self.away.address}:{external}, 10m", status.out)
        forward.stop()
        self.assertEqual(service.mappings(), [], "a client that ends leaves no open port")
        agent.process.stop()

    def test_nothing_is_sent_to_the_whole_network(self):
        host = self.home.host(0)
        host.firewall("""
table inet everybody {
    counter sent { }
    chain output {
        type filter hook output priority 0; policy accept;
        meta l4proto udp ip daddr { 224.0.0.0/4, 255.255.255.255, 192.168.1.255 } counter name sent
    }
}
""")
        agent = Agent(self.lab, self.gateway.token("agent", "quiet"), "quiet", namespace=host)
        agent.start("--log-level", "debug")
        for protocol in ("nat-pmp", "pcp", "upnp"):
            agent.process.until(lambda: f"port_not_mapped protocol={protocol} " in agent.process.error(), 10,
                                "the router was asked")
        agent.process.stop()
        counters = run(["ip", "netns", "exec", host.name, tool("nft"), "list", "counters", "table", "inet",
                        "everybody"])
        self.assertIn("packets 0 ", counters)

    def test_a_mapping_that_comes_later_ends_the_relay(self):
        agent, client = self.pair("later")
        server = TcpServer(self.lab, agent.namespace, echo)
        forward = client.forward(agent.name, server.target)
        with forward.connect() as sock:
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
        self.assertNotIn("path=direct-udp", forward.process.error())
        self.serve(self.home, nat_pmp=True)
        self.gateway.kill()  # the agent looks at its network again when it has a new session
        self.gateway.start()
        self.until_mapped(agent.process, "nat-pmp")
        self.assert_direct(agent, client, forward)
        forward.stop()
        agent.process.stop()
        self.assertEqual(self.service.mappings(), [])

    def test_a_node_that_has_moved_asks_its_new_router(self):
        host = self.home.host(1)
        other = self.lab.site("symmetric_random", block=ROUTABLE)
        service = self.serve(other, nat_pmp=True)
        agent = Agent(self.lab, self.gateway.token("agent", "mover"), "mover", namespace=host).start()
        agent.process.until(lambda: "gateway_connected" in agent.process.error(), 10, "it is connected")
        self.assertNotIn("port_mapped", agent.process.error())
        host.move_to(other)
        agent.process.until(lambda: f"port_mapped protocol=nat-pmp external={other.address}:" in agent.process.error(),
                            15, "the new router maps a port")
        agent.process.stop()
        self.assertEqual(service.mappings(), [])

    def test_a_router_that_hangs_delays_nobody(self):
        router = self.serve_hostile(self.home.router, "192.168.1.1", "hostile")
        agent, client = self.pair("patient", mode="upnp")
        router.until(lambda: "connected" in router.output(), 10, "the agent asks for its description")
        server = TcpServer(self.lab, agent.namespace, echo)
        with client.forward(agent.name, server.target).connect() as sock:
            sock.sendall(b"x")
            self.assertEqual(sock.recv(1), b"x")
        self.assertEqual(agent.process.stop(timeout=4), 0, "it ends all the same")
        router.kill()

    def test_a_router_cannot_have_others_asked(self):
        machine = self.home.host(2)
        victim = self.serve_hostile(machine, "127.0.0.1", "victim")
        router = self.serve_hostile(self.home.router, machine.address, "hostile")
        agent, _ = self.pair("careful", mode="upnp")
        router.until(lambda: router.output().count("searched") >= 2, 10, "the agent searches again")
        agent.process.stop()
        self.assertNotIn("connected", victim.output())
        self.assertNotIn("port_mapped", agent.process.error())
        router.kill()
        victim.kill()

    def test_a_node_may_use_one_protocol_only_or_none(self):
        service = self.serve(self.home, nat_pmp=True, upnp=True)
        for mode, expected in (("off", None), ("upnp", "upnp"), ("pcp", "pcp"), ("nat-pmp", "nat-pmp"),
                               ("auto", "nat-pmp")):
            with self.subTest(mode=mode):
                agent = self.agent(f"mode-{mode}", mode)
                if expected:
                    self.until_mapped(agent.process, expected)
                    self.assertEqual(len(service.mappings()), 1)
                else:
                    agent.process.until(lambda: "gateway_connected" in agent.process.error(), 10, "it is connected")
                    self.assertEqual(service.mappings(), [])
                agent.process.stop()
                self.assertEqual(service.mappings(), [])


if __name__ == "__main__":
    main()
