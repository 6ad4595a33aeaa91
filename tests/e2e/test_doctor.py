"""`doctor` finds each trouble between a client and its gateway, and names the remedy."""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import GATEWAY, Client, Exit, Gateway, Scenario, main, until  # noqa: E402
from nat_lab import ROUTABLE, NatLab, PortMappingService  # noqa: E402

# Passes connections on to a gateway whose clock goes wrong: it changes the year in what comes back.
WRONG_CLOCK = '''
import re, socket, sys, threading
def copy(source, sink, change):
    while data := source.recv(65536):
        sink.sendall(change(data))
    sink.shutdown(socket.SHUT_WR)
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    wrong = lambda data: re.sub(rb"(Date: ..., .. ... )20..", rb"\\g<1>2019", data)
    threading.Thread(target=copy, args=(client, server, bytes), daemon=True).start()
    threading.Thread(target=copy, args=(server, client, wrong), daemon=True).start()
'''


def changed(join, **members):
    """A join string with other members (docs/protocol.md §2); None removes one."""
    encoded = join.removeprefix("nl1.")
    content = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))[:-6])
    content = {key: value for key, value in (content | members).items() if value is not None}
    plain = json.dumps(content, separators=(",", ":")).encode()
    return "nl1." + base64.urlsafe_b64encode(plain + hashlib.sha256(plain).digest()[:6]).decode().rstrip("=")


class Doctor(Scenario):
    laboratory = NatLab

    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab, configuration="listen_plain: 127.0.0.1:8080\n").start()
        cls.home = cls.lab.site("port_restricted", block=ROUTABLE)
        cls.number = 0

    def client(self, site=None, configuration=None, join=None):
        type(self).number += 1
        name = f"patient{self.number}"
        join = join or self.gateway.token("client", name)
        if configuration is not None:
            return Client(self.lab, None, name, namespace=(site or self.home).host(0),
                          configuration=f"join: {join}\n{configuration}")
        return Client(self.lab, join, name, namespace=(site or self.home).host(0))

    def examine(self, client, *arguments, code=Exit.ok):
        """Each check's answer, by its name; the command has to end with `code`."""
        done = client.run("doctor", "--json", *arguments)
        self.assertEqual(done.code, code, done)
        checks = {check["check"]: check for check in json.loads(done.out)}
        for check in checks.values():
            self.assertTrue(check["finding"], check)
            if check["verdict"] in ("warn", "fail"):
                self.assertTrue(check["remedy"], check)
        return checks

    def assert_verdicts(self, checks, **verdicts):
        found = {name: check["verdict"] for name, check in checks.items()
                 if check["verdict"] != verdicts.get("rest", "ok")}
        del verdicts["rest"]
        self.assertEqual(found, {name.replace("_", "-"): verdict for name, verdict in verdicts.items()}, checks)

    def test_all_is_well_where_the_router_maps_ports(self):
        service = PortMappingService(self.lab, self.home.router, nat_pmp=True, upnp=True)
        client = self.client()
        self.assert_verdicts(self.examine(client), rest="ok")
        self.assertEqual(service.mappings(), [], "doctor leaves nothing behind")
        service.stop()
        done = client.run("doctor")
        self.assertEqual(done.code, Exit.ok, done)
        self.assertRegex(done.out, r"(?m)^ok +tls +the gateway has the key that the join string names$")
        self.assertRegex(done.out, r"(?m)^warn +port-mapping +the router 192\.168\.1\.1 forwards no port: "
                                   r"NAT-PMP does not answer, PCP does not answer, UPnP does not answer\n +> .*switch on NAT-PMP")
        self.assertRegex(done.out, r"(?m)^ok +mtu +1500 bytes")

    def test_a_configuration_with_mistakes(self):
        client = self.client(configuration="nonsense: 1\n")
        checks = self.examine(client, code=Exit.unhealthy)
        self.assert_verdicts(checks, rest="ok", configuration="fail")
        self.assertEqual(len(checks), 1)

    def test_a_name_that_does_not_resolve(self):
        join = changed(self.gateway.token("client", "lost"), g="wss://nobody.invalid:443/")
        checks = self.examine(self.client(join=join), code=Exit.unhealthy)
        self.assertEqual(checks["name"]["verdict"], "fail")
        self.assertIn("nobody.invalid", checks["name"]["finding"])
        self.assertEqual(checks["session"]["verdict"], "skip")

    def test_a_port_where_nobody_listens(self):
        join = changed(self.gateway.token("client", "closed"), g=f"wss://{GATEWAY}:444/")
        checks = self.examine(self.client(join=join), code=Exit.unhealthy)
        self.assertEqual(checks["tcp"]["verdict"], "fail")
        self.assertIn("refused", checks["tcp"]["finding"])

    def test_a_gateway_with_another_key(self):
        join = changed(self.gateway.token("client", "intercepted"), p="A" * 43)
        checks = self.examine(self.client(join=join), code=Exit.unhealthy)
        self.assertEqual(checks["tls"]["verdict"], "fail")
        self.assertEqual(checks["proxy"]["verdict"], "fail")
        self.assertIn("another key", checks["tls"]["finding"])

    def test_a_token_that_was_revoked(self):
        client = self.client()
        name = f"patient{self.number}"
        self.gateway.token_command("revoke", self.gateway.token_id(name))
        until(lambda: client.run("list").code == Exit.token_refused, 10, "the token is refused")
        checks = self.examine(client, code=Exit.unhealthy)
        self.assertEqual(checks["session"]["verdict"], "fail")
        self.assertIn("revoked", checks["session"]["finding"])
        self.assertIn("join string", checks["session"]["remedy"])

    def test_a_token_that_expires_soon(self):
        join = self.gateway.token("client", "short", "--expires", "2h")
        checks = self.examine(self.client(join=join))
        self.assertEqual(checks["session"]["verdict"], "warn")
        self.assertRegex(checks["session"]["finding"], r"expires at 20\d\d-\d\d-\d\d \d\d:\d\d UTC")

    def test_blocked_udp(self):
        checks = self.examine(self.client(self.lab.site("udp_blocked")))
        self.assertEqual(checks["udp-ipv4"]["verdict"], "warn")
        self.assertIn("UDP is blocked", checks["udp-ipv4"]["finding"])
        self.assertIn(f"{GATEWAY}:8444", checks["udp-ipv4"]["remedy"])
        self.assertIn("no direct path", checks["nat-ipv4"]["finding"])

    def test_some_udp_ports_blocked(self):
        checks = self.examine(self.client(self.lab.site("udp_443_only")))
        self.assertEqual(checks["udp-ipv4"]["verdict"], "warn")
        self.assertRegex(checks["udp-ipv4"]["finding"], r"^1 of 4 probe ports")

    def test_a_symmetric_nat(self):
        checks = self.examine(self.client(self.lab.site("symmetric_random")))
        self.assertEqual(checks["nat-ipv4"]["verdict"], "warn")
        self.assertIn("ports random", checks["nat-ipv4"]["finding"])
        self.assertIn("not to those behind NATs that count ports", checks["nat-ipv4"]["finding"])
        self.assertEqual(checks["udp-ipv4"]["verdict"], "ok")

    def test_a_second_nat_behind_the_router_that_maps_ports(self):
        carrier = self.lab.carrier("port_restricted")
        site = carrier.site("port_restricted")
        # What a router that does not mind its private address would say.
        service = PortMappingService(self.lab, site.router, nat_pmp=True, external="11.64.0.2")
        checks = self.examine(self.client(site))
        service.stop()
        self.assertEqual(checks["port-mapping"]["verdict"], "warn")
        self.assertIn("second NAT", checks["port-mapping"]["finding"])

    def test_a_narrow_path(self):
        site = self.lab.site("port_restricted")
        site.router.configure(["link set wan mtu 1240"])
        checks = self.examine(self.client(site), code=Exit.unhealthy)
        self.assertEqual(checks["mtu"]["verdict"], "fail")
        self.assertIn("1240 bytes", checks["mtu"]["finding"])

    def test_a_clock_that_is_wrong(self):
        self.lab.start([sys.executable, "-c", WRONG_CLOCK, "8081", "8080"], "wrong-clock", self.lab.gateway)
        until(lambda: self.lab.gateway.listens(8081), 5, "it listens")
        join = changed(self.gateway.token("client", "late"), g=f"ws://{GATEWAY}:8081/", p=None)
        checks = self.examine(self.client(join=join))
        self.assertEqual(checks["clock"]["verdict"], "warn")
        seconds = int(re.search(r"(\d+) s ahead", checks["clock"]["finding"]).group(1))
        self.assertGreater(seconds, 86_400 * 365)
        self.assertEqual(checks["tls"]["verdict"], "warn", "there is none")

    def test_a_proxy_in_the_environment(self):
        client = self.client()
        client.environment["https_proxy"] = "http://proxy.example:3128"
        checks = self.examine(client)
        self.assertEqual(checks["proxy"]["verdict"], "warn")
        self.assertIn("https_proxy", checks["proxy"]["finding"])

    def test_a_state_directory_without_room_for_the_status_socket(self):
        client = self.client()
        state = client.folder / "state" / "narrowlink" / "client"
        state.mkdir(parents=True, mode=0o700)
        (state / "run").write_text("a file, where a folder is needed")
        checks = self.examine(client)
        self.assertEqual(checks["status"]["verdict"], "warn")


if __name__ == "__main__":
    main()
