"""`token revoke` cuts the live session of that node, and only of that node."""

from lab import Exit, PacedStream, Scenario, TcpServer, echo, main, start_all, until

WITHIN = 3  # seconds


class Revoke(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        cls.server = TcpServer(cls.lab, cls.lab.agent, echo)

    def stream(self, client, seed, agent="home"):
        stream = PacedStream(client.forward(agent, self.server.target).connect(), seed)
        stream.until_progress(10, 5 * 4_096)
        return stream

    def revoke(self, name):
        done = self.gateway.token_command("revoke", self.gateway.token_id(name))
        self.assertEqual(done.code, Exit.ok, done)

    def test_a_revoked_client_is_cut_and_another_is_not(self):
        guest = self.gateway.client("guest")
        cut, kept = self.stream(guest, 1), self.stream(self.client, 2)
        self.revoke("guest")
        cut.until_ended(WITHIN)
        self.assertEqual(guest.run("list").code, Exit.token_refused)
        kept.until_progress(5, 50 * 4_096)
        kept.finish()
        self.assertLess(kept.longest_gap, 2)

    def test_a_revoked_agent_is_cut_and_another_is_not(self):
        self.gateway.agent("spare").start()
        self.client.until_agent("spare")
        cut, kept = self.stream(self.client, 3, "spare"), self.stream(self.client, 4)
        self.revoke("spare")
        cut.until_ended(WITHIN)
        until(lambda: self.client.agent_names() == ["home"], 5, "the list no longer has the agent")
        kept.until_progress(5, 50 * 4_096)
        kept.finish()

    def test_the_list_shows_what_is_revoked_also_after_a_restart(self):
        self.gateway.token("client", "shown")
        self.revoke("shown")

        def entry():
            return next(token for token in self.gateway.tokens() if token["name"] == "shown")
        self.assertTrue(entry()["revoked"])
        self.assertEqual(entry()["kind"], "client")
        text = self.gateway.token_command("list")
        self.assertEqual(text.code, Exit.ok, text)
        self.assertRegex(text.out, rf"{entry()['id']}.*shown.*revoked")
        self.gateway.process.stop()
        self.gateway.start()
        self.assertTrue(entry()["revoked"])
        self.client.until_agent()


if __name__ == "__main__":
    main()
