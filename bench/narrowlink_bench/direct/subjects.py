"""What is measured from one end of a place to the other."""

import itertools
import copy
import json
import os
import subprocess

from lab import Agent, Client, Gateway, until

from ..children import Failure, cpu_seconds

PATHS = {"direct": "direct-udp", "websocket": "relay-websocket", "udp": "relay-udp"}


class Subject:
    name: str
    title: str

    def __init__(self, lab, programs):
        self.lab = lab
        self.programs = programs  # of the benchmark

    def start(self):
        """Returns when transfers can begin."""

    def stop(self):
        """What still runs ends with the lab."""

    def transfer(self, streams, direction, seconds):
        """Returns {"bytes", "gigabits_per_second"} and the CPU seconds of each process: {part: seconds}."""
        raise NotImplementedError

    def covers(self, streams, direction):
        return True


class Tcp(Subject):
    """iperf3 from one place to the other."""

    name = "tcp"
    title = "TCP (iperf3)"
    port = 5201
    congestion = None  # that of the route

    def address(self):
        return self.lab.far_address

    def start(self):
        server = self.lab.start(["iperf3", "-s", "-B", self.address(), "-p", str(self.port)], f"{self.name}-iperf3",
                                self.lab.agent)
        server.until(lambda: self.lab.agent.listens(self.port), 10, "it listens")

    def transfer(self, streams, direction, seconds):
        report = self.iperf3(streams, direction, seconds)
        used = report["end"]["cpu_utilization_percent"]
        received = report["end"]["sum_received"]
        result = {"bytes": received["bytes"], "gigabits_per_second": received["bits_per_second"] * 1e-9}
        return result, {"near": used["host_total"] / 100 * received["seconds"],
                        "far": used["remote_total"] / 100 * received["seconds"]}

    def iperf3(self, streams, direction, seconds):
        command = ["iperf3", "-c", self.address(), "-p", str(self.port), "-t", f"{max(1, round(seconds))}", "-P",
                   str(streams), "-J", *(["-R"] if direction == "down" else []),
                   *(["-C", self.congestion] if self.congestion else [])]
        done = self.lab.run(command, self.lab.client, timeout=seconds + 30)
        report = json.loads(done.out or "{}")
        if done.code != 0 or "error" in report or "sum_received" not in report.get("end", {}):
            raise Failure(f"iperf3 ended with {done.code}: {report.get('error') or done.err}")
        return report


class WireGuard(Tcp):
    """iperf3 through wireguard-go, WireGuard in user space; CPU is that of its two processes."""

    name = "wireguard"
    title = "WireGuard (wireguard-go)"
    port = 5202
    addresses = {"near": "10.78.0.1", "far": "10.78.0.2"}
    listen_port = 51820
    devices = itertools.count(1)
    overhead = 60  # bytes of IPv4, UDP and WireGuard around a packet

    def address(self):
        return self.addresses["far"]

    def start(self):
        self.ends = {"near": (self.lab.client, self.lab.near_address), "far": (self.lab.agent, self.lab.far_address)}
        keys = {end: self.key_pair() for end in self.ends}
        self.processes = {end: self.run_end(end, keys) for end in self.ends}
        super().start()

    def key_pair(self):
        private = subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout
        public = subprocess.run(["wg", "pubkey"], check=True, capture_output=True, text=True, input=private).stdout
        return private.strip(), public.strip()

    def run_end(self, end, keys):
        namespace, _ = self.ends[end]
        other = "far" if end == "near" else "near"
        device = f"nlwg{os.getpid()}.{next(self.devices)}"  # their control sockets are in one folder
        process = self.lab.start(["wireguard-go", "-f", device], f"wireguard-{end}", namespace,
                                 environment={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LOG_LEVEL": "error",
                                              "WG_PROCESS_FOREGROUND": "1"})
        process.until(lambda: self.lab.run(["wg", "show", device], namespace).code == 0, 10, "it runs")
        secret = self.lab.folder / f"wireguard-{end}.key"
        secret.write_text(keys[end][0])
        self.lab.check(["wg", "set", device, "private-key", secret, "listen-port", str(self.listen_port),
                        "peer", keys[other][1], "allowed-ips", f"{self.addresses[other]}/32", "endpoint",
                        f"{self.ends[other][1]}:{self.listen_port}"], namespace)
        namespace.configure([f"address add {self.addresses[end]}/32 dev {device}",
                             f"link set {device} mtu {self.lab.mtu - self.overhead} up",
                             f"route add {self.addresses[other]}/32 dev {device} src {self.addresses[end]} "
                             "congctl cubic"])
        return process

    def transfer(self, streams, direction, seconds):
        before = {end: cpu_seconds(process.pid) for end, process in self.processes.items()}
        result, _ = super().transfer(streams, direction, seconds)
        return result, {end: cpu_seconds(process.pid) - before[end] for end, process in self.processes.items()}


class BareQuic(Subject):
    """ngtcp2 and nothing above it, one stream from near to far, with packets of the direct path's size."""

    name = "quic"
    title = "bare QUIC (ngtcp2)"
    congestion = "cubic"
    segment = 0  # bytes of a full packet to its congestion control; 0: the payload

    def __init__(self, lab, programs, program, payload):
        super().__init__(lab, programs)
        self.program, self.payload = program, payload

    def covers(self, streams, direction):
        return (streams, direction) == (1, "up")  # there is no difference between the directions

    def transfer(self, streams, direction, seconds):
        receiver = self.lab.start([self.program, "receive", "--local", f"{self.lab.far_address}:0", "--payload",
                                   self.payload], "quic_bare-receive", self.lab.agent, stdout=subprocess.PIPE)
        line = receiver.stdout.readline().decode().split()
        if line[:1] != ["listening"]:
            raise Failure(f"quic_bare does not listen: {receiver.error()}")
        done = self.lab.run([self.program, "send", "--local", f"{self.lab.near_address}:0", "--to", line[1],
                             "--payload", self.payload, "--cc", self.congestion, "--segment", self.segment,
                             "--milliseconds", round(seconds * 1000)],
                            self.lab.client, timeout=seconds + 60)
        if done.code != 0:
            raise Failure(f"quic_bare send ended with {done.code}: {done.err}")
        sent = json.loads(done.out)
        received = json.loads(receiver.stdout.read())
        receiver.wait(10)
        if received["bytes"] != sent["bytes"]:
            raise Failure(f"quic_bare: {sent['bytes']} bytes sent, {received['bytes']} received")
        return sent, {"sender": sent["cpu_seconds"], "receiver": received["cpu_seconds"]}


class Nodes:
    """A gateway, an agent and a target, for all clients of a place."""

    agent_name = "far"
    congestion = "bbr"

    def __init__(self, lab, programs):
        self.gateway = Gateway(lab, port=4430, public=f"{lab.gateway_address}:4430").start()
        self.agent = self.gateway.agent(self.agent_name).start()
        self.join = self.gateway.token("client", "near")
        target = lab.start([programs / "bench_target"], "bench_target", lab.agent, stdout=subprocess.PIPE)
        self.target = target.stdout.readline().decode().split()[1]

    def with_congestion(self, congestion):
        """The same with another agent, which sends with this congestion control, as its clients have to."""
        nodes = copy.copy(self)
        nodes.agent_name, nodes.congestion = f"{self.agent_name}-{congestion}", congestion
        nodes.agent = self.gateway.agent(nodes.agent_name, configuration=f"congestion_control: {congestion}\n").start()
        return nodes


class Narrowlink(Subject):
    """A client that runs `forward`, on a direct path or held on one of the relays."""

    def __init__(self, lab, programs, nodes, way):
        super().__init__(lab, programs)
        self.nodes, self.way = nodes, way
        self.name = f"narrowlink-{way}"
        self.title = {"direct": "Narrowlink, direct", "websocket": "relay over WebSocket",
                      "udp": "relay over UDP"}[way]
        self.mtu = None

    def start(self):
        relay = "udp" if self.way == "udp" else "websocket"
        self.client = Client(self.lab, None, f"client-{self.name}",
                             configuration=f"join: {self.nodes.join}\nrelay: {relay}\n"
                                           f"congestion_control: {self.nodes.congestion}\n")
        self.client.until_agent(self.nodes.agent_name)
        self.forward = self.client.forward(self.nodes.agent_name, self.nodes.target,
                                           *([] if self.way == "direct" else ["--relay"]))
        self.forward.connect().close()
        until(lambda: self.status()["path"] == PATHS[self.way], 20, f"the pair is on {PATHS[self.way]}")

    def status(self):
        done = self.client.run("status", "--json")
        reports = json.loads(done.out) if done.code == 0 else []
        if len(reports) != 1:
            raise Failure(f"status has to tell of one client: {done}")
        return reports[0]

    def transfer(self, streams, direction, seconds):
        processes = {"client": self.forward.process.pid, "agent": self.nodes.agent.process.pid,
                     "gateway": self.nodes.gateway.process.pid}
        before = {part: cpu_seconds(pid) for part, pid in processes.items()}
        host, port = self.forward.address
        done = self.lab.run([self.programs / "bench_load", "throughput", "--to", f"{host}:{port}", "--streams",
                             streams, "--direction", direction, "--milliseconds", round(seconds * 1000)],
                            self.lab.client, timeout=seconds * 4 + 60)
        spent = {part: cpu_seconds(pid) - before[part] for part, pid in processes.items()}
        if done.code != 0:
            raise Failure(f"bench_load ended with {done.code}: {done.err}")
        status = self.status()
        if status["path"] != PATHS[self.way]:
            raise Failure(f"the pair has moved to {status['path']}")
        self.mtu = status["mtu"]
        return json.loads(done.out), spent

    def stop(self):
        self.forward.process.kill()
