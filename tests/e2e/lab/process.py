"""A program under test or a real server: started in a namespace, logged, ended by its own id."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from .errors import LabError, until


class Process:
    """One running program. Its output goes to files, which a failing scenario prints."""

    def __init__(self, command, name, folder, namespace=None, environment=None, stdin=None,
                 stdout=None, cwd=None):
        # The kernel ends the program when the *thread* that started it ends (prctl(2)).
        if threading.current_thread() is not threading.main_thread():
            raise LabError(f"{name}: start programs from the main thread only")
        self.name = name
        self.error_file = unused(folder, name, "err")
        self.output_file = self.error_file.with_suffix(".out")
        inside = ["ip", "netns", "exec", namespace.name] if namespace else []
        self.command = [str(word) for word in command]
        with self.error_file.open("wb") as error, self.output_file.open("wb") as output:
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *inside, *self.command],
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=output if stdout is None else stdout, stderr=error,
                env=environment, cwd=cwd)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def stdin(self):
        return self.popen.stdin

    @property
    def stdout(self):
        return self.popen.stdout

    def running(self):
        return self.popen.poll() is None

    def error(self):
        return self.error_file.read_text(errors="replace")

    def output(self):
        return self.output_file.read_text(errors="replace")

    def wait(self, timeout):
        """The exit code; a program ended by a signal has minus its number."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {timeout} s\n{self.tail()}") from None

    def send_signal(self, number):
        self.popen.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout=10):
        """Asks the program to end and returns its exit code."""
        if self.running():
            self.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        if self.running():
            self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def until(self, condition, timeout, what):
        """Waits for `condition`; ends early when the program has ended."""
        def check():
            value = condition()
            if not value and not self.running():
                raise LabError(f"{self.name} ended with {self.popen.returncode} before {what}\n"
                               f"{self.tail()}")
            return value
        try:
            return until(check, timeout, f"{self.name}: {what}")
        except LabError as failure:
            raise LabError(f"{failure}\n{self.tail()}") from None

    def resident_bytes(self):
        """Memory the program holds now (VmRSS)."""
        for line in Path("/proc", str(self.pid), "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LabError(f"{self.name} has no VmRSS: has it ended?\n{self.tail()}")

    def tail(self, lines=60):
        parts = [f"--- {self.name} (pid {self.pid}, exit {self.popen.poll()}): "
                 f"{' '.join(shorten(word) for word in self.command)}"]
        for path in (self.error_file, self.output_file):
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - 16_384))
                text = stream.read().decode(errors="replace").splitlines()
            if text:
                parts += [f"    [{path.name}]", *(f"    {line[:400]}" for line in text[-lines:])]
        return "\n".join(parts)


class Completed:
    """How a command that has ended did."""

    def __init__(self, process, code):
        self.code = code
        self.out = process.output()
        self.err = process.error()
        self.name = process.name

    def __str__(self):
        return f"{self.name} ended with {self.code}\nstdout: {self.out!r}\nstderr: {self.err}"


def shorten(word):
    return word if len(word) <= 120 else word[:100] + "…"


def unused(folder, name, suffix):
    number = 0
    while True:
        path = Path(folder, f"{name}.{number}.{suffix}")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return path
        except FileExistsError:
            number += 1
