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

    def current_path(self):
        lines = [line for line in self.forward.process.error().splitlines() if "path_changed" in line]
        return lines[-1] if lines else ""

    def until_path(self, path):
        until(lambda: path in self.current_path(), 30, f"the pair is on {path}")

    def test_no_byte_is_lost_by_ten_switches_a_gateway_restart_and_a_nat_reboot(self):
        lab = self.lab
        home, away = lab.site("port_restricted"), lab.site("endpoint_independent_random")
        lab.agent, lab.client = home.host(0), away.host(0)
        gateway, _, client = start_all(lab)
        self.forward = client.forward("home", TcpServer(lab, lab.agent, echo).target)
        stream = PacedStream(self.forward.connect(), seed=1, chunk=600_000, interval=0.02)
        stalls = []

        def switch(path, how):
            stream.longest_gap = 0.0
            how()
            self.until_path(path)
            before = stream.received
            until(lambda: stream.received > before + 2_000_000, 30, f"the stream goes on over {path}")
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
            away.router.reboot()

        self.until_path(DIRECT)
        for round in range(5):
            switch(RELAY, cut_udp)
            switch(DIRECT, restore_udp)
            if round == 1:
                switch(DIRECT, kill_gateway)
            if round == 3:
                switch(DIRECT, reboot_nat)
        until(lambda: stream.sent >= SIZE or stream.failure, 200, "1 GiB has been sent")
        stream.finish()
        self.assertGreaterEqual(stream.received, SIZE)
        print("longest stalls:", *stalls, sep="\n  ")


if __name__ == "__main__":
    main()
