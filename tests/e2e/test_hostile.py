"""Strangers, scanners and nodes gone bad: the gateway stays up, small, and fair to everybody else."""

import os
import resource
import ssl
import threading
import time

from lab import (GATEWAY, STRANGER, JoinString, LabError, PacedStream, RawWebSocket, Response, Scenario, TcpServer, echo, main,
                 request, start_all, tls, until, upgrade_fields)

MEMORY_LIMIT = 256 << 20
PRODUCT = b"narrowlink"


class Hostile(Scenario):
    @classmethod
    def prepare(cls):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        cls.server = TcpServer(cls.lab, cls.lab.agent, echo)
        cls.forward = cls.client.forward("home", cls.server.target, "--relay")

    def setUp(self):
        self.gateway_pid = self.gateway.process.pid
        self.normal = PacedStream(self.forward.connect(), 1)
        self.normal.until_progress(10, 10 * 4_096)

    def tearDown(self):
        """A normal stream has worked all the time, and newcomers are served."""
        self.normal.until_progress(5, 10 * 4_096)
        self.normal.finish()
        self.assertTrue(self.gateway.process.running(), self.gateway.process.tail())
        self.assertEqual(self.gateway.process.pid, self.gateway_pid)
        self.assertLess(self.gateway.process.resident_bytes(), MEMORY_LIMIT)
        self.assertEqual(self.client.agent_names(), ["home"])

    def stranger(self, timeout=20):
        return self.lab.stranger.connect((GATEWAY, self.gateway.port), timeout)

    def tls(self):
        """TLS to the gateway; after a flood the limits per address make us wait for our turn."""
        def admitted():
            try:
                return tls(self.stranger())
            except OSError:
                return None
        return until(admitted, 30, "the gateway lets the stranger in again")

    def visit(self, *arguments, **options):
        with self.tls() as sock:
            request(sock, *arguments, **options)
            return Response(sock)

    def websocket(self, join=None):
        return RawWebSocket(self.tls(), join or JoinString(self.gateway.token("client", self.fresh())))

    def fresh(self):
        return f"bad-{os.urandom(4).hex()}"

    # --- scanners ----------------------------------------------------------------------------------

    def test_a_visitor_sees_an_ordinary_web_site(self):
        home = self.visit("GET", "/")
        self.assertEqual(home.status, 200)
        self.assertIn("text/html", home.fields["content-type"])
        self.assertIn("<html", home.body.lower())
        for path in ("/admin", "/ws", "/.env", "/api/v1", "/favicon.ico"):
            self.assertEqual(self.visit("GET", path).status, 404, path)
        self.assertIn(self.visit("GET", "/" + "a" * 4_000).status, (404, 414, 431))

    def test_nothing_tells_a_visitor_what_runs_here(self):
        answers = [self.visit("GET", "/"), self.visit("GET", "/none"), self.visit("POST", "/"),
                   self.visit("DELETE", "/none"), self.visit("GET", "/", upgrade_fields())]
        answers += [self.visit("GET", path, upgrade_fields(token))
                    for path in ("/", JoinString(self.client.join).path) for token in (None, "", "let me in")]
        for answer in answers:
            text = (answer.head + answer.body).lower()
            self.assertNotIn(PRODUCT.decode(), text)
            self.assertNotIn("boost", text)
            self.assertNotIn("beast", text)
            self.assertNotIn(answer.status, (101, 401, 426), "an endpoint for nodes shows itself")
        with self.tls() as sock:
            self.assertNotIn(PRODUCT, sock.getpeercert(binary_form=True).lower())

    def test_a_visitor_with_old_or_broken_http_gets_an_answer_or_is_closed(self):
        for text in (b"GET / HTTP/1.0\r\n\r\n", b"nonsense\r\n\r\n", b"\0" * 1_000, b"GET / HTTP/9.9\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with self.tls() as sock:
                try:
                    sock.sendall(text)
                    answer = sock.recv(65_536)
                except (ConnectionError, ssl.SSLError):
                    answer = b""
                self.assertNotIn(PRODUCT, answer.lower())
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1."), answer[:100])

    def test_plain_http_on_the_tls_port_is_no_crash(self):
        for text in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(500), os.urandom(5_000)):
            with self.stranger() as sock:
                try:
                    sock.sendall(text)
                    self.assertNotIn(PRODUCT, sock.recv(65_536).lower())
                except ConnectionError:
                    pass

    # --- nodes gone bad --------------------------------------------------------------------------

    def test_malformed_control_messages_end_only_their_own_session(self):
        deep = "[" * 5_000 + "]" * 5_000
        for text in ("", "no json", "{}", "[]", "null", '{"type": 1}', '{"type": "bogus"}', deep,
                     '{"type": "hello"}', '{"type": "introduce", "id": 1}', '{"type": "release", "pair": "x"}',
                     '{"type": "introduced", "pair": "00", "handle": 1}', '{"type": "ping"}',
                     '{"type": "list", "id": 1e400}', '{"type": "list", "id": {"a": 1}}', "\x00" * 100):
            for greeted in (False, True):
                with self.subTest(text=text[:40], greeted=greeted):
                    self.try_frames(greeted, lambda node, text=text: node.text(text))

    def test_malformed_frames_end_only_their_own_session(self):
        W = RawWebSocket
        attacks = {
            "a reserved opcode": lambda n: n.frame(3, b"x"),
            "reserved bits": lambda n: n.frame(W.BINARY, b"x", reserved=7),
            "an unmasked frame": lambda n: n.frame(W.TEXT, b"{}", masked=False),
            "text that is no UTF-8": lambda n: n.frame(W.TEXT, b"\xff\xfe\xfd"),
            "a large ping": lambda n: n.frame(W.PING, bytes(5_000)),
            "a fragmented ping": lambda n: n.frame(W.PING, b"x", final=False),
            "a continuation of nothing": lambda n: n.frame(W.CONTINUATION, b"x"),
            "a frame of 2^63 bytes": lambda n: n.frame(W.BINARY, b"x", claimed_size=1 << 63),
            "a close with a wrong code": lambda n: n.frame(W.CLOSE, b"\x00\x01"),
            "a close of one byte": lambda n: n.frame(W.CLOSE, b"\x00"),
            "an empty relay message": lambda n: n.frame(W.BINARY, b""),
            "a relay message cut in its header": lambda n: n.frame(W.BINARY, b"\x01\x00\x04"),
            "a relay message without packets": lambda n: n.frame(W.BINARY, b"\x01\x00\x04\xb0\0\0\0\x01"),
            "a segment size of 0": lambda n: n.frame(W.BINARY, b"\x01\x00\x00\x00\0\0\0\x01abc"),
            "an unknown type of message": lambda n: n.frame(W.BINARY, b"\xff" * 100),
            "a handle never given": lambda n: n.frame(W.BINARY, b"\x01\x00\x04\xb0\xff\xff\xff\xff" + bytes(1_200)),
        }
        for name, attack in attacks.items():
            for greeted in (False, True):
                with self.subTest(attack=name, greeted=greeted):
                    self.try_frames(greeted, attack)

    def try_frames(self, greeted, attack):
        """The session may end or go on, but the gateway must still greet the next node."""
        node = self.websocket(self.bad_join())
        try:
            if greeted:
                node.hello()
                node.read_message("welcome")
            attack(node)
            node.frame(RawWebSocket.CLOSE, b"")
            node.until_closed()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            node.sock.close()
        self.assertTrue(self.gateway.process.running(), self.gateway.process.tail())

    def bad_join(self):
        if not hasattr(type(self), "_bad_join"):
            type(self)._bad_join = JoinString(self.gateway.token("client", self.fresh()))
        return self._bad_join

    def test_messages_over_the_limit_are_refused_without_being_stored(self):
        for opcode in (RawWebSocket.TEXT, RawWebSocket.BINARY):
            node = self.websocket()
            before = self.gateway.process.resident_bytes()
            block = bytes(1 << 20)
            with self.assertRaises((ConnectionError, ssl.SSLError, TimeoutError), msg="256 MiB were accepted"):
                node.frame(opcode, b"", claimed_size=1 << 30)
                for _ in range(256):
                    node.sock.sendall(block)
            self.assertLess(self.gateway.process.resident_bytes() - before, 32 << 20)
            node.sock.close()

    def test_endless_fragments_are_refused(self):
        node = self.websocket()
        with self.assertRaises((ConnectionError, ssl.SSLError, TimeoutError), msg="endless fragments were accepted"):
            node.frame(RawWebSocket.TEXT, b"{", final=False)
            for _ in range(256):
                node.frame(RawWebSocket.CONTINUATION, bytes(1 << 20), final=False)
        node.sock.close()

    def test_a_node_that_asks_without_end_or_never_reads_costs_little(self):
        node = self.websocket()
        node.hello()
        node.read_message("welcome")
        node.sock.settimeout(2)
        try:
            for number in range(200_000):
                node.text('{"type": "list", "id": %d}' % number)
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass  # closed, or held up by back pressure: both are fine
        self.assertLess(self.gateway.process.resident_bytes(), MEMORY_LIMIT)
        node.sock.close()

    # --- floods ----------------------------------------------------------------------------------

    def test_ten_thousand_wrong_tokens_within_a_minute(self):
        good = JoinString(self.client.join)
        head, claims, signature = good.token.split(".")
        begun, todo, lock = time.monotonic(), [10_000], threading.Lock()
        statuses = {}

        def attack():
            while True:
                with lock:
                    if todo[0] <= 0:
                        return
                    todo[0] -= 1
                    number = todo[0]
                wrong = f"{head}.{claims}.{number:06}{signature[6:]}"
                try:
                    with tls(self.stranger(timeout=30)) as sock:
                        request(sock, path=good.path, fields=upgrade_fields(wrong), host=good.host)
                        status = Response(sock).status
                except (OSError, LabError):
                    status = "closed"
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1
        threads = [threading.Thread(target=attack, daemon=True) for _ in range(16)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.normal.until_progress(5, 4_096)
            for thread in threads:
                thread.join(0.1)
        print(f"10,000 wrong tokens in {time.monotonic() - begun:.0f} s: {statuses}")
        self.assertGreater(statuses.get(401, 0), 0)
        self.assertNotIn(101, statuses, "a wrong token was accepted")

    def test_half_open_connections_do_not_keep_others_out(self):
        idle = []
        for _ in range(3_000):
            try:
                idle.append(self.stranger(timeout=5))
            except OSError:
                break  # refusing more is a fair answer
        self.assertGreater(len(idle), 100)
        self.normal.until_progress(5, 10 * 4_096)
        self.assertEqual(self.client.agent_names(), ["home"])
        until(lambda: self.lab.gateway.established(self.gateway.port) < 50, 90,
              "the gateway gives silent connections up")
        for sock in idle:
            sock.close()

    def test_a_flood_from_many_addresses_does_not_keep_others_out(self):
        sources = [f"10.99.0.{number}" for number in range(1, 61)]
        self.lab.core.configure([f"route add 10.99.0.0/24 via {STRANGER}"])
        self.lab.stranger.configure([f"address add {source}/32 dev lo" for source in sources])
        idle, over = [], threading.Event()

        def flood():
            while not over.is_set():
                for source in sources:
                    try:
                        idle.append(self.lab.stranger.connect((GATEWAY, self.gateway.port), 2, source))
                    except OSError:
                        continue
                while len(idle) > 6_000:
                    idle.pop(0).close()
        attacker = threading.Thread(target=flood, daemon=True)
        attacker.start()
        until(lambda: len(idle) > 3_000, 60, "the flood is there")
        self.normal.until_progress(5, 10 * 4_096)
        until(lambda: self.client.run("list").code == 0, 20, "a newcomer is served under the flood")
        over.set()
        attacker.join(30)
        for sock in idle:
            sock.close()
        until(lambda: self.lab.gateway.established(self.gateway.port) < 50, 90, "the flood is over")

    def test_slow_loris_is_cut_off(self):
        slow = []
        for _ in range(300):
            try:
                sock = tls(self.stranger(timeout=10))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
                slow.append(sock)
            except OSError:
                continue  # refusing more of one address is a fair answer
        self.assertGreater(len(slow), 10)
        self.assertEqual(self.client.agent_names(), ["home"])

        def all_cut():
            for sock in list(slow):
                try:
                    sock.sendall(b"X-A: b\r\n")  # one header field more, for ever
                except OSError:
                    slow.remove(sock)
            time.sleep(0.5)  # the pace of the attack
            return not slow
        until(all_cut, 90, "every slow visitor is cut off")
        self.normal.until_progress(5, 10 * 4_096)


if __name__ == "__main__":
    main()
