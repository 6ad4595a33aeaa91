"""Nothing happens for a while, and then somebody leaves."""

import threading
import time

from lab import Scenario, TcpServer, main, start_all, until

IDLE_SECONDS = 16


class Idle(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def test_an_idle_agent_keeps_its_session(self):
        """Longer than every deadline of the control session; the gateway tells how old the session is."""
        deadline = time.monotonic() + 60
        until(lambda: self.age() >= IDLE_SECONDS or time.monotonic() > deadline, 70, "the session grows old")
        self.assertGreaterEqual(self.age(), IDLE_SECONDS, self.agent.process.tail())
        self.assertNotIn("gateway_lost", self.agent.process.error())

    def age(self):
        [agent] = self.client.list()
        return agent["connected_seconds"]

    def test_a_client_that_is_ended_takes_its_connections_with_it(self):
        begun, ended = threading.Event(), threading.Event()

        def wait_for_the_end(sock):
            try:
                while sock.recv(4_096):
                    begun.set()
            except ConnectionError:
                pass
            ended.set()
        server = TcpServer(self.lab, self.lab.agent, wait_for_the_end)
        forward = self.client.forward("home", server.target, "--relay")
        with forward.connect() as sock:
            sock.sendall(b"x")
            self.assertTrue(begun.wait(10), "the target has the byte")
            forward.stop()
            self.assertTrue(ended.wait(5), "the target's connection has ended")


if __name__ == "__main__":
    main()
