"""Who reaches what: user spaces, and policies by address, domain, port, protocol and agent."""

from lab import Dnsmasq, Exit, Scenario, TcpServer, UdpEcho, echo, main, start_all


class Users(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def test_two_users_may_have_an_agent_of_the_same_name_and_never_meet(self):
        lab = self.lab
        mine = TcpServer(lab, lab.agent, lambda c: c.sendall(b"the first user's"))
        theirs = self.gateway.agent("home", "--user", "second", namespace=lab.stranger).start()
        other = self.gateway.client("theirs", "--user", "second").until_agent("home")
        TcpServer(lab, lab.stranger, lambda c: c.sendall(b"the second user's"), port=mine.port)

        for client, expected in ((self.client, b"the first user's"), (other, b"the second user's")):
            self.assertEqual(client.agent_names(), ["home"])
            with client.forward("home", mine.target).connect() as sock:
                self.assertEqual(sock.recv(100), expected)
        theirs.process.stop()

    def test_a_user_does_not_see_the_agents_of_another(self):
        self.gateway.agent("secret", "--user", "third").start()
        self.gateway.client("third-client", "--user", "third").until_agent("secret")
        self.assertNotIn("secret", self.client.agent_names())
        process = self.client.connect("secret", "127.0.0.1:22")
        self.assertEqual(process.wait(20), Exit.agent_unknown, process.tail())


class Policies(Scenario):
    _number = 0

    @classmethod
    def prepare(cls):
        lab = cls.lab
        cls.gateway, cls.agent, cls.client = start_all(lab)
        for address in ("10.5.0.1", "10.5.0.2", "10.6.0.1"):
            lab.agent.configure([f"address add {address}/32 dev lo"])
        cls.port = TcpServer(lab, lab.agent, echo, "0.0.0.0").port
        cls.other_port = TcpServer(lab, lab.agent, echo, "0.0.0.0").port
        TcpServer(lab, lab.agent, echo, "fd10::2", cls.port)
        Dnsmasq(lab, lab.agent, [("allowed.lab.test", ["10.5.0.1"]), ("denied.lab.test", ["10.5.0.2"]),
                                 ("deep.below.lab.test", ["10.6.0.1"]),
                                 ("also-denied.lab.test", ["10.5.0.2"])])

    def client_with(self, *policies):
        """A client whose policies are (type, rule, rule…)."""
        tokens = []
        for kind, *rules in policies:
            Policies._number += 1
            tokens.append(self.gateway.token(
                "policy", f"policy{self._number}", "--id", str(self._number), "--type", kind,
                *(word for rule in rules for word in ("--rule", rule))))
        Policies._number += 1
        return self.gateway.client(f"client{self._number}",
                                   *(word for token in tokens for word in ("--policy", token)))

    def reaches(self, client, target):
        """Does `connect` carry bytes there? Otherwise it has to say that a policy denies it."""
        process = client.connect("home", target)
        out, _ = process.popen.communicate(b"hello", timeout=30)
        if process.popen.returncode == Exit.ok:
            self.assertEqual(out, b"hello")
            return True
        self.assertEqual(process.popen.returncode, Exit.policy_denied, process.tail())
        self.assertEqual(out, b"")
        return False

    def assert_reaches(self, client, allowed, denied):
        for target in allowed:
            self.assertTrue(self.reaches(client, target), f"{target} should be allowed")
        for target in denied:
            self.assertFalse(self.reaches(client, target), f"{target} should be denied")

    def test_a_client_without_policies_reaches_everything(self):
        self.assert_reaches(self.client, [f"10.5.0.1:{self.port}", f"denied.lab.test:{self.port}"], [])

    def test_a_white_list_of_addresses(self):
        self.assert_reaches(self.client_with(("white", "ip:10.5.0.0/16")),
                            [f"10.5.0.1:{self.port}", f"10.5.0.2:{self.port}", f"allowed.lab.test:{self.port}"],
                            [f"10.6.0.1:{self.port}", f"127.0.0.1:{self.port}", f"[fd10::2]:{self.port}",
                             f"deep.below.lab.test:{self.port}"])

    def test_a_black_list_of_addresses_counts_for_names_too(self):
        self.assert_reaches(self.client_with(("black", "ip:10.5.0.2/32")),
                            [f"10.5.0.1:{self.port}", f"10.6.0.1:{self.port}"],
                            [f"10.5.0.2:{self.port}", f"denied.lab.test:{self.port}"])

    def test_an_ipv4_rule_cannot_be_passed_by_a_mapped_ipv6_address(self):
        self.assert_reaches(self.client_with(("black", "ip:10.5.0.2/32")), [],
                            [f"[::ffff:10.5.0.2]:{self.port}"])

    def test_a_white_list_of_domains(self):
        self.assert_reaches(self.client_with(("white", "domain:*.lab.test")),
                            [f"allowed.lab.test:{self.port}", f"deep.below.lab.test:{self.port}"],
                            [f"10.5.0.1:{self.port}"])

    def test_a_denied_domain_cannot_be_reached_by_its_address_or_another_name(self):
        self.assert_reaches(self.client_with(("black", "domain:denied.lab.test")),
                            [f"10.5.0.1:{self.port}", f"allowed.lab.test:{self.port}"],
                            [f"denied.lab.test:{self.port}", f"DENIED.lab.test:{self.port}",
                             f"denied.lab.test.:{self.port}", f"10.5.0.2:{self.port}",
                             f"also-denied.lab.test:{self.port}"])

    def test_rules_by_port(self):
        self.assert_reaches(self.client_with(("white", f"ip:0.0.0.0/0,port={self.port}")),
                            [f"10.5.0.1:{self.port}"], [f"10.5.0.1:{self.other_port}"])

    def test_rules_by_agent(self):
        self.assert_reaches(self.client_with(("white", "ip:10.5.0.0/16,agent=home", "ip:10.6.0.0/16,agent=office")),
                            [f"10.5.0.1:{self.port}"], [f"10.6.0.1:{self.port}"])

    def test_rules_by_protocol(self):
        server = UdpEcho(self.lab, self.lab.agent)
        tcp_only = self.client_with(("white", "ip:127.0.0.0/8,protocol=tcp"))
        self.assert_reaches(tcp_only, [f"127.0.0.1:{self.port}"], [])
        process = tcp_only.connect("home", server.target, "-u")
        process.stdin.write(b"hello")
        process.stdin.flush()
        self.assertEqual(process.wait(20), Exit.policy_denied, process.tail())

        udp_only = self.client_with(("white", "ip:127.0.0.0/8,protocol=udp"))
        self.assert_reaches(udp_only, [], [f"127.0.0.1:{self.port}"])
        with udp_only.forward("home", server.target, udp=True).udp() as sock:
            sock.send(b"hello")
            self.assertEqual(sock.recv(100), b"hello")

    def test_every_white_list_has_to_allow_and_no_black_list_may_deny(self):
        self.assert_reaches(self.client_with(("white", "ip:10.0.0.0/8"), ("black", "ip:10.5.0.2/32")),
                            [f"10.5.0.1:{self.port}", f"10.6.0.1:{self.port}"],
                            [f"10.5.0.2:{self.port}", f"127.0.0.1:{self.port}"])
        self.assert_reaches(self.client_with(("white", "ip:10.5.0.0/16"), ("white", "ip:10.6.0.0/16")),
                            [], [f"10.5.0.1:{self.port}", f"10.6.0.1:{self.port}"])


if __name__ == "__main__":
    main()
