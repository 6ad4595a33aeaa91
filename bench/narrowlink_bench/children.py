"""Processes of a benchmark: started, accounted for and stopped by pid, whatever happens in between."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
libc = ctypes.CDLL(None, use_errno=True)
ticks_per_second = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A measurement that could not be made, with the reason a person can act on."""


def die_with_parent() -> None:
    # So that even kill -9 of bench/run leaves nothing behind.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str], **popen):
        self.name = name
        self.log = log
        with open(log, "ab") as errors:
            # A session of its own: a Ctrl-C at the terminal reaches bench/run only, which then stops everything in order.
            self.process = subprocess.Popen(command, stderr=errors, env=environment, start_new_session=True,
                                            preexec_fn=die_with_parent, **popen)

    @property
    def pid(self) -> int:
        return self.process.pid

    def check_running(self) -> None:
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it said nothing"

    def stop(self) -> None:
        family = descendants(self.pid)
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
        for pid, started in family.items():
            if started_at(pid) == started:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


class Children:
    """Owns every process of the run and the temporary folder with their state and logs."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="narrowlink-bench-"))
        self.running: list[Child] = []
        # What sshd or a client leaves behind becomes our child: it is stopped, and its CPU time counts as ours.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),  # nothing of the user's own configuration or keys takes part
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    def start(self, name: str, command: list[str], **popen) -> Child:
        child = Child(name, [str(word) for word in command], self.folder / f"{name.replace(' ', '_')}.log",
                      popen.pop("environment", self.environment), **popen)
        self.running.append(child)
        return child

    def stop(self, child: Child) -> None:
        child.stop()
        self.running.remove(child)

    def output_of(self, name: str, command: list[str], seconds: float) -> str:
        """Runs a command to its end."""
        child = self.start(name, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            output, _ = child.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} did not end within {seconds:.0f} s: {child.last_words()}") from None
        finally:
            self.stop(child)
        if child.process.returncode != 0:
            raise Failure(f"{name} ended with {child.process.returncode}: {child.last_words()}")
        return output

    def close(self) -> None:
        for child in reversed(list(self.running)):
            self.stop(child)
        for orphan in descendants(os.getpid()):
            os.kill(orphan, signal.SIGKILL)  # a zombie, at worst: nobody but us can have waited for it
        try:
            while os.waitpid(-1, 0):
                pass
        except ChildProcessError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


def stat_fields(pid: int) -> list[str]:
    # The second field, the name, may itself hold spaces and brackets.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def started_at(pid: int) -> str | None:
    try:
        return stat_fields(pid)[19]
    except OSError:
        return None


def descendants(pid: int) -> dict[int, str]:
    """Every process below `pid`, with its start time, which tells it from a later one of the same number."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = stat_fields(int(entry))
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append((int(entry), fields[19]))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child, started in parents.get(waiting.pop(), []):
            found[child] = started
            waiting.append(child)
    return found


def tree(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its descendants, and those of its children it has waited for."""
    total = 0
    for member in tree(pid):
        try:
            fields = stat_fields(member)
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / ticks_per_second


def memory_kib(pid: int) -> dict[str, float]:
    """RSS and PSS of the process and its descendants; PSS counts a page shared by n processes as 1/n."""
    sums = {"rss": 0.0, "pss": 0.0}
    for member in tree(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name.lower() in sums:
                sums[name.lower()] += float(rest.split()[0])
    return sums


def wait_until(condition, seconds: float, what: str):
    """Repeats `condition` until it returns something true, or raises Failure with its last reason."""
    deadline = time.monotonic() + seconds
    reason = "it never answered"
    while time.monotonic() < deadline:
        try:
            if result := condition():
                return result
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(error)
        time.sleep(0.05)
    raise Failure(f"{what} was not ready within {seconds:.0f} s: {reason}")
