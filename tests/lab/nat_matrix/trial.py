"""Runs one case with the real programs and a live stream, and says what came of it."""

import datetime
import json
import re
import time
from dataclasses import asdict, dataclass

from lab import Agent, Client, Gateway, LabError, PacedStream, TcpServer, echo, until

from .expectations import Technique, technique_of
from .watch import PeerTraffic, SiteTraffic, gateway_bytes

PATH_CHANGED = re.compile(r"^(\S+) info path_changed .*\bpath=(\S+)", re.MULTILINE)
PATH_MEASURED = re.compile(r"^(\S+) info path_measured .*\bpath=relay-", re.MULTILINE)
WAY_OPENED = re.compile(r" way_opened .*\bkind=(\S+)")
DIRECT = "direct-udp"
AGENT = "home"
PROOF_CHUNKS = 50  # of the stream: one second
DRAINING = 0.5  # seconds after a switch in which what is on its way may still arrive over the path before


@dataclass
class Result:
    """One round. What is None was not measured, because it does not apply or because something failed before."""

    case: str
    round: int
    ok: bool = False
    outcome: str | None = None  # direct, relay
    technique: str | None = None
    seconds: float | None = None  # from the client's start to the direct path, or until the reason was shown
    after_relay: float | None = None  # from when a round trip over the relay was measured to the direct path
    probes: int | None = None  # sent by both sides until then
    ports: list | None = None  # of these probes: local and remote ones of the agent, and of the client
    kind: str | None = None  # of the address that was found, in the client's words
    reason: str | None = None  # in the client's words
    stall: float | None = None  # of the stream while it moved, seconds
    change_seconds: float | None = None  # from what happened to the next outcome
    change_stall: float | None = None
    error: str | None = None
    log: str | None = None  # of the programs, where something failed

    def to_json(self):
        return {key: value for key, value in asdict(self).items() if value is not None}


def epoch_seconds(timestamp):
    return datetime.datetime.fromisoformat(timestamp).timestamp()


class Trial:
    """A network with a case in it; rounds one after another, each with new programs that know nothing."""

    def __init__(self, case, lab):
        self.case, self.lab = case, lab
        self.scene = case.build(lab)
        self._gateway = Gateway(lab, **(self.scene.gateway or {})).start()
        self._joins = {kind: self._gateway.token(kind, AGENT) for kind in ("agent", "client")}
        self._gateway.kill()
        self._server = TcpServer(lab, self.scene.agent, echo)

    def round(self, number):
        result = Result(self.case.name, number)
        begun_at = len(self.lab.processes)
        try:
            self._run(result)
            result.ok = True
        except (LabError, OSError, ValueError) as failure:
            result.error = str(failure).partition("\n")[0]
            result.log = "\n".join(process.tail(200) for process in self.lab.processes[begun_at:])
        finally:
            for process in reversed(self.lab.processes[begun_at:]):
                process.kill()
            del self.lab.processes[begun_at:]
        return result

    def _run(self, result):
        for site in self.lab.sites:
            if site.router:
                site.router.reboot()  # of what earlier rounds have opened nothing is left
        self._gateway.start()
        Agent(self.lab, self._joins["agent"], AGENT, namespace=self.scene.agent).start()
        self._client = Client(self.lab, self._joins["client"], AGENT, namespace=self.scene.client)
        self._client.until_agent(AGENT)
        peers = [PeerTraffic(host) for host in (self.scene.agent, self.scene.client)]
        try:
            self._begun = time.time()
            self._forward = self._client.forward(AGENT, self._server.target, "--log-level", "debug")
            self._stream = PacedStream(self._forward.connect(), result.round + 1, self.case.chunk)
            self._stream.until_progress(20)
            self._stream.longest_gap = 0.0  # until here it was the time to the first byte
            self._settle(result, peers)
            if self.case.change:
                self._change(result, peers)
            self._stream.finish()
        finally:
            for traffic in peers:
                traffic.remove()

    # ---- the first outcome

    def _settle(self, result, peers):
        expected = self.case.expected
        if expected.direct:
            self._until_direct(expected.limit)
        else:
            result.seconds = self._until_reason(result, expected)
            self._watch_relay(result, expected)
        found = [traffic.read() for traffic in peers]
        result.probes = sum(counts["probes"] for counts in found)
        result.ports = [(counts["local"], counts["remote"]) for counts in found]
        if not expected.direct:
            self._prove(expected.relay, peers)
            result.outcome, result.technique = "relay", Technique.none.value
            result.stall = round(self._stream.longest_gap, 3)
            return
        when, _ = self._path()
        result.seconds = round(when - self._begun, 3)
        result.after_relay = round(when - self._relay_measured(), 3)
        result.outcome = "direct"
        result.kind = (WAY_OPENED.findall(self._forward.process.error()) or [None])[-1]
        technique = technique_of(result.ports, expected.technique)
        result.technique = technique.value
        self._prove(DIRECT, peers)
        result.stall = round(self._stream.longest_gap, 3)
        if technique.effort > expected.technique.effort:
            raise LabError(f"direct by {technique.value}, where {expected.technique.value} is enough; "
                           f"ports {result.ports}")

    def _until_direct(self, limit):
        try:
            self._forward.process.until(lambda: self._path()[1] == DIRECT, limit, "there is a direct path")
        except LabError as failure:
            if reason := self._status().get("not_direct"):
                raise LabError(f"no direct path within {limit:g} s: {reason}") from None
            raise failure

    def _until_reason(self, result, expected):
        """Waits until the client says why there is no direct path; returns when that was."""
        begun = time.monotonic()
        while True:
            status = self._status()
            result.reason = status.get("not_direct")
            if result.reason == expected.reason:
                return round(time.time() - self._begun, 3)
            if time.monotonic() - begun > expected.limit:
                raise LabError(f'on {status["path"]}; the reason shown is "{result.reason}", not "{expected.reason}"')
            time.sleep(0.2)

    def _watch_relay(self, result, expected):
        """The relay stays, and so does the reason."""
        time.sleep(expected.watch)
        self._until_relay(expected)
        if self._path()[1] == DIRECT:
            result.outcome = "direct"
            raise LabError("there is a direct path, which nobody expected")
        result.reason = self._status().get("not_direct")
        if result.reason != expected.reason:
            raise LabError(f'the reason has become "{result.reason}"')

    def _until_relay(self, expected):
        until(lambda: self._path()[1] in (expected.relay, DIRECT), expected.limit, f"it is on {expected.relay}")

    # ---- what happens then

    def _change(self, result, peers):
        self._stream.longest_gap = 0.0
        begun = time.monotonic()
        self.case.change(self.scene)
        happened = time.monotonic()
        expected = self.case.then
        if expected.direct:
            between = SiteTraffic(self.lab.core, *self.scene.across)
            until(lambda: between.bytes > PROOF_CHUNKS * self.case.chunk // 2 and self._path()[1] == DIRECT,
                  expected.limit, "the stream goes from site to site again")
        else:
            self._until_reason(result, expected)
            self._until_relay(expected)
        result.change_seconds = round(time.monotonic() - happened, 3)
        self._stream.until_progress(30, PROOF_CHUNKS * self.case.chunk)
        # While a host is suspended there is no stream that could stall.
        result.change_stall = round(max(0.0, self._stream.longest_gap - (happened - begun)), 3)
        self._prove(DIRECT if expected.direct else expected.relay, peers)

    # ---- proof

    def _prove(self, path, peers):
        """A second of the stream goes where it should, and nowhere else."""
        across = self.scene.across
        between = SiteTraffic(self.lab.core, *across) if across and path == DIRECT else None
        time.sleep(DRAINING)
        self._stream.until_progress(30, 10 * self.case.chunk)
        self._until_caught_up()
        relayed, direct = gateway_bytes(self.lab), peers[0].read()["bytes"]
        crossed = between.bytes if between else 0
        received = self._stream.received
        self._stream.until_progress(30, PROOF_CHUNKS * self.case.chunk)
        amount = self._stream.received - received
        relayed, direct = gateway_bytes(self.lab) - relayed, peers[0].read()["bytes"] - direct
        told = (f"of {amount} bytes each way {relayed} passed the gateway, {direct} the agent's socket"
                + (f", {between.bytes - crossed} the core between the sites" if between else ""))
        if path == DIRECT:
            if relayed > max(amount / 5, 20_000) or direct < 1.5 * amount:
                raise LabError(f"not direct: {told}")
            if between and between.bytes - crossed < 1.5 * amount:
                raise LabError(f"not direct: {told}")
        elif relayed < 3 * amount or direct > max(amount / 2, 200_000):
            raise LabError(f"not relayed: {told}")
        if self._path()[1] != path or self._status()["path"] != path:
            raise LabError(f"the path has become {self._path()[1]}")

    def _until_caught_up(self):
        """A new path begins slowly; what has been held up meanwhile comes back in bursts, and has crossed before."""
        def backlog():
            return self._stream.sent - self._stream.received

        def is_steady():
            before = backlog()
            time.sleep(DRAINING)
            return before - backlog() < 5 * self.case.chunk
        until(is_steady, 30, "what was held up has come back")

    def _path(self):
        """When the client took its present path, in seconds of the Unix epoch, and which; None before the first."""
        changes = PATH_CHANGED.findall(self._forward.process.error())
        if not changes:
            return None, None
        when, path = changes[-1]
        return epoch_seconds(when), path

    def _relay_measured(self):
        """When the first round trip over the relay was measured, in seconds of the Unix epoch."""
        times = PATH_MEASURED.findall(self._forward.process.error())
        if not times:
            raise LabError("no round trip over the relay was measured")
        return epoch_seconds(times[0])

    def _status(self):
        done = self._client.run("status", "--json")
        reports = json.loads(done.out) if done.code == 0 else []
        self.lab.processes.remove(next(p for p in reversed(self.lab.processes) if p.name == "client-status"))
        if len(reports) != 1:
            raise LabError(f"status has to tell of one client: {done}")
        return reports[0]
