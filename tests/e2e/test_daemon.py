"""The agent in the background, and under a service manager."""

import os
import signal
import socket
from pathlib import Path

from lab import Exit, Gateway, Scenario, TcpServer, echo, main, until


class Daemon(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway = Gateway(cls.lab).start()
        cls.client = cls.gateway.client()

    def test_the_command_returns_and_the_agent_works_in_the_background(self):
        lab, agent = self.lab, self.gateway.agent()
        agent.start("-d")
        self.assertEqual(agent.process.wait(15), Exit.ok, agent.process.tail())
        pid_files = list(agent.folder.rglob("*.pid"))
        self.assertEqual(len(pid_files), 1, f"one pid file below {agent.folder}")
        pid = int(pid_files[0].read_text())
        lab.at_end(lambda: end(pid, lab.program("agent")))
        self.assertEqual(executable(pid), lab.program("agent").resolve())
        self.assertNotEqual(os.getsid(pid), os.getsid(0), "it has left our session")
        for descriptor in (0, 1, 2):
            self.assertNotRegex(os.readlink(f"/proc/{pid}/fd/{descriptor}"), r"^/dev/(pts|tty)")

        self.client.until_agent()
        server = TcpServer(lab, lab.agent, echo)
        with self.client.forward("home", server.target).connect() as sock:
            sock.sendall(b"daemon")
            self.assertEqual(sock.recv(6), b"daemon")

        os.kill(pid, signal.SIGTERM)
        until(lambda: executable(pid) is None, 2, "the daemon ends")
        self.assertEqual(list(agent.folder.rglob("*.pid")), [], "the pid file goes with it")

    def test_a_daemon_that_cannot_start_says_so_before_it_leaves(self):
        agent = self.gateway.agent("broken")
        agent._arguments[1] = agent.join[:-7]
        agent.start("--daemon")
        self.assertEqual(agent.process.wait(15), Exit.configuration)
        self.assertIn("join string", agent.process.error())

    def test_a_service_manager_is_told_when_the_agent_is_ready(self):
        folder, _ = self.lab.home("systemd")
        path = str(folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(15)
            agent = self.gateway.agent("service", environment={"NOTIFY_SOCKET": path}).start()
            self.assertIn("READY=1", self.until_told(manager, "READY=1"))
            self.assertIn("service", self.client.agent_names(), "ready means connected")
            agent.process.send_signal(signal.SIGTERM)
            self.assertIn("STOPPING=1", self.until_told(manager, "STOPPING=1"))
            self.assertEqual(agent.process.wait(2), Exit.ok)

    @staticmethod
    def until_told(manager, line):
        while True:
            message = manager.recv(4_096).decode().splitlines()
            if line in message:
                return message


def executable(pid):
    try:
        return Path(os.readlink(f"/proc/{pid}/exe"))
    except FileNotFoundError:
        return None


def end(pid, program):
    """Ends the daemon, if that process is still the one we started."""
    if executable(pid) == program.resolve():
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
