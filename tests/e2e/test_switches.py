"""One stream of 1 GiB in each direction, moved between relay and direct path again and again."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from lab import PacedStream, Scenario, TcpServer, echo, main, start_all, until  # noqa: E402
from nat_lab import NatLab  # noqa: E402

SIZE = 1 << 30
DIRECT, RELAY = "path=direct-udp", "path=relay-websocket"


class Switches(Scenario):
    laboratory = NatLab

    def changes(self):
        return [line for line in self.forward.process.error().splitlines() if "path_changed" in line]

    def until_path(self, path, after=0):
        """Waits until the client has taken this path, as a change after the first `after`."""
        until(lambda: len(changes := self.changes()) > after and path in changes[-1], 30, f"the pair is on {path}")

    def test_no_byte_is_lost_by_ten_switches_gateway_restarts_and_a_nat_reboot(self):
        lab = self.lab
        # After a reboot the client's router maps to other ports, and what the agent sends to the old ones is lost.
        home, away = lab.site("full_cone"), lab.site("symmetric_random")
        lab.agent, lab.client = home.host(0), away.host(0)
        gateway, _, client = start_all(lab)
        server = TcpServer(lab, lab.agent, echo)
        self.forward = client.forward("home", server.target)
        stream = PacedStream(self.forward.connect(), seed=1, chunk=600_000, interval=0.02)
        direct = lab.core.count_udp(home, away)
        stalls = []

        def switch(path, how, changes=True):
            stream.longest_gap = 0.0
            seen = len(self.changes()) if changes else 0
            how()
            self.until_path(path, seen)
            crossed = direct.packets
            stream.until_progress(30, 2_000_000)
            if path == DIRECT:
                self.assertGreater(direct.packets - crossed, 2 * 2_000_000 / 65_536, "from site to site, in trains")
            stalls.append(f"{how.__name__} {stream.longest_gap:.2f} s")

        def cut_udp():
            away.link.set_loss(100)

        def restore_udp():
            away.link.set_loss(0)

        def kill_gateway():
            gateway.kill()
            time.sleep(1)
            gateway.start()

        def reboot_nat():
            away.router.reboot()  # the client finds out by the silence, goes to the relay, and finds another path

        self.until_path(DIRECT)
        for round in range(5):
            switch(RELAY, cut_udp)
            if round == 2:
                switch(RELAY, kill_gateway)
            switch(DIRECT, restore_udp)
            if round == 1:
                switch(DIRECT, kill_gateway, changes=False)
            if round == 3:
                switch(DIRECT, reboot_nat)
        until(lambda: stream.sent >= SIZE or stream.failure, 200, "1 GiB has been sent")
        stream.finish()
        self.assertGreaterEqual(stream.received, SIZE)
        self.assertEqual((server.accepted, server.failures), (1, []), "one connection to the target, never broken")
        print("longest stalls:", *stalls, sep="\n  ")


if __name__ == "__main__":
    main()
