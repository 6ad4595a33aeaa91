"""OpenSSH through `connect` as its ProxyCommand: a command, a terminal, large files, rsync."""

import fcntl
import hashlib
import os
import pty
import random
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

from lab import LabError, Scenario, Sshd, main, start_all


def make_file(path, size, seed):
    """A file of reproducible random bytes; returns its SHA-256."""
    generator, digest = random.Random(seed), hashlib.sha256()
    with open(path, "wb") as stream:
        for _ in range(size >> 20):
            block = generator.randbytes(1 << 20)
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


def sha256(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Terminal:
    """A pseudo-terminal with a program on it, and a person who reads and types."""

    def __init__(self, lab, command, namespace):
        self._screen, line = pty.openpty()
        self.resize(24, 80)
        self.process = lab.start(command, "terminal", namespace, stdin=line, stdout=line)
        os.close(line)
        lab.at_end(lambda: os.close(self._screen))
        self._text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self._screen, text.encode())

    def until_shown(self, pattern, timeout=20):
        """Waits until the screen shows `pattern` behind what was already waited for."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self._text)):
            ready, _, _ = select.select([self._screen], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise LabError(f"the terminal does not show {pattern!r}: {self._text!r}")
            try:
                self._text += os.read(self._screen, 65_536).decode(errors="replace")
            except OSError:
                raise LabError(f"the terminal closed before {pattern!r}: {self._text!r}") from None
        self._text = self._text[match.end():]
        return match


class Ssh(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        cls.sshd = Sshd(cls.lab, cls.lab.agent)
        proxy = shlex.join(cls.client.command("connect", "-n", "home")) + " %h:%p"
        cls.options = cls.sshd.options(proxy)

    def ssh(self, *command, **options):
        return self.lab.run(["ssh", *self.options, "127.0.0.1", *command], self.lab.client,
                            environment=self.client.environment, **options)

    def test_a_command_runs_and_its_exit_code_comes_back(self):
        done = self.ssh("echo to stdout; echo to stderr >&2; exit 7")
        self.assertEqual((done.code, done.out), (7, "to stdout\n"), done)
        self.assertIn("to stderr\n", done.err)

    def test_the_proxy_command_writes_nothing_a_person_would_see(self):
        done = self.ssh("true")
        self.assertEqual((done.code, done.out, done.err), (0, "", ""))

    def test_a_person_works_in_an_interactive_terminal(self):
        terminal = Terminal(self.lab, ["ssh", "-tt", *self.options, "127.0.0.1", "sh", "-i"],
                            self.lab.client)
        terminal.until_shown(r"[#$] ")
        terminal.type("PS1='rea''dy> '\n")  # what we type is echoed, and must not look like the prompt
        terminal.until_shown(r"ready> ")
        terminal.type("stty size; echo $((6 * 7))\n")
        terminal.until_shown(r"24 80\r\n42\r\n")

        terminal.resize(50, 132)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.type("stty size\n")
        terminal.until_shown(r"50 132")

        terminal.type("sleep 100\n")
        terminal.until_shown(r"sleep 100\r\n")
        terminal.type("\x03")
        terminal.until_shown(r"ready> ")
        terminal.type("exit 5\n")
        self.assertEqual(terminal.process.wait(20), 5)

    def test_many_key_strokes_come_back_in_order(self):
        terminal = Terminal(self.lab, ["ssh", "-tt", *self.options, "127.0.0.1", "echo begin; cat"],
                            self.lab.client)
        terminal.until_shown("begin\r\n")
        for number in range(200):
            terminal.type(f"<{number}>\n")
            terminal.until_shown(rf"<{number}>\r\n<{number}>\r\n")
        terminal.type("\x04")
        self.assertEqual(terminal.process.wait(20), 0)

    def test_scp_of_one_gib_towards_the_agent_arrives_whole(self):
        self.copy(1 << 30, lambda here, there: (here, f"127.0.0.1:{there}"))

    def test_scp_of_256_mib_from_the_agent_arrives_whole(self):
        self.copy(256 << 20, lambda here, there: (f"127.0.0.1:{here}", there))

    def copy(self, size, ends):
        source, copy = self.lab.folder / "source", self.lab.folder / "copy"
        digest = make_file(source, size, seed=size)
        try:
            self.lab.check(["scp", "-q", *self.options, *ends(source, copy)], self.lab.client,
                           environment=self.client.environment, timeout=300)
            self.assertEqual(sha256(copy), digest)
        finally:
            source.unlink()
            copy.unlink(missing_ok=True)

    def test_rsync_copies_a_tree_and_then_only_what_changed(self):
        tree, copy = self.lab.folder / "tree", self.lab.folder / "tree-copy"
        for number in range(200):
            file = tree / f"folder{number % 10}" / f"file{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(random.Random(number).randbytes(1_000 + number * 997))
        command = ["rsync", "--archive", "--checksum", "--stats", "--delete",
                   "-e", shlex.join(["ssh", *self.options]), f"{tree}/", f"127.0.0.1:{copy}/"]
        self.lab.check(command, self.lab.client, environment=self.client.environment)
        self.assertEqual(subprocess.run(["diff", "-r", tree, copy]).returncode, 0)

        (tree / "folder3" / "file13").write_bytes(b"changed")
        again = self.lab.check(command, self.lab.client, environment=self.client.environment)
        self.assertRegex(again.out, r"files transferred: 1\n")
        self.assertEqual(subprocess.run(["diff", "-r", tree, copy]).returncode, 0)


if __name__ == "__main__":
    main()
