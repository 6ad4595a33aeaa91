"""What is measured over the lossy link: those of direct paths, each with its congestion control."""

from lab import until

from ..children import Failure
from ..direct import subjects as direct


class Tcp(direct.Tcp):
    def __init__(self, lab, programs, congestion):
        super().__init__(lab, programs)
        self.congestion = congestion
        self.name = f"tcp-{congestion}"
        self.port = {"cubic": 5201, "bbr": 5203}[congestion]


class BareQuic(direct.BareQuic):
    def __init__(self, lab, programs, program, payload, congestion, segment):
        super().__init__(lab, programs, program, payload)
        self.congestion, self.segment = congestion, segment
        self.name = f"quic-{congestion}" + ("-rfc" if segment == payload else "")

    def covers(self, streams, direction):
        return True  # up instead of down: the link is the same in both directions


class Narrowlink(direct.Narrowlink):
    """`tcp`: the congestion control of the WebSocket's TCP on the client's link, at both ends of it."""

    def __init__(self, lab, programs, nodes, way, tcp="cubic"):
        super().__init__(lab, programs, nodes, way)
        self.tcp = tcp
        if tcp != "cubic":
            self.name += f"-{tcp}"
        if nodes.congestion != "bbr":
            self.name += f"-{nodes.congestion}"

    def start(self):
        self.lab.choose_tcp(self.tcp)
        super().start()

    def transfer(self, streams, direction, seconds):
        until(lambda: self.status()["path"] == direct.PATHS[self.way], 20, f"the pair is on {direct.PATHS[self.way]}")
        result = super().transfer(streams, direction, seconds)
        # A session that was made anew has what the routes say now, which is for the subject started last.
        if self.way == "websocket" and (found := self.tcp_in_use()) != [self.tcp]:
            raise Failure(f"the TCP of the WebSocket has {' and '.join(found) or 'no congestion control'}")
        return result

    def tcp_in_use(self):
        """The congestion control of each TCP connection of the client to the gateway."""
        lines = self.lab.check(["ss", "-tinpH", "dst", self.lab.gateway_address], self.lab.client).out.splitlines()
        return [words.split()[0] for socket, words in zip(lines, lines[1:])
                if f"pid={self.forward.process.pid}," in socket]
