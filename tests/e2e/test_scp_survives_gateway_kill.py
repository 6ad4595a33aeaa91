"""kill -9 of the gateway in the middle of an scp: ssh does not notice, and the file is whole."""

import hashlib
import random
import shlex
import time

from lab import Scenario, Sshd, main, start_all, until

SIZE = 1 << 30
KILLS_AT = (SIZE // 5, SIZE // 2)


class GatewayKill(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        cls.sshd = Sshd(cls.lab, cls.lab.agent)

    def test_scp_goes_on_after_the_gateway_was_killed_twice(self):
        lab = self.lab
        source, copy = lab.folder / "source", lab.folder / "copy"
        generator, digest = random.Random(7), hashlib.sha256()
        with source.open("wb") as stream:
            for _ in range(SIZE >> 20):
                block = generator.randbytes(1 << 20)
                digest.update(block)
                stream.write(block)

        proxy = shlex.join(self.client.command("connect", "--relay", "-n", "home")) + " %h:%p"
        scp = lab.start(["scp", "-q", *self.sshd.options(proxy), source, f"127.0.0.1:{copy}"], "scp",
                        lab.client, environment=self.client.environment)
        for size in KILLS_AT:
            scp.until(lambda: copy.exists() and copy.stat().st_size >= size, 120,
                      f"{size} bytes have arrived")
            self.gateway.kill()
            # What was under way arrives, and then nothing more does: it really was cut.
            until(lambda: self.stands_still(copy), 10, "the copy stands still")
            self.assertLess(copy.stat().st_size, SIZE, "the gateway died too late to prove anything")
            before = copy.stat().st_size
            self.gateway.start()
            scp.until(lambda: copy.stat().st_size > before, 30, "the copy goes on")

        self.assertEqual(scp.wait(300), 0, scp.tail())
        with copy.open("rb") as stream:
            self.assertEqual(hashlib.file_digest(stream, "sha256").hexdigest(), digest.hexdigest())
        self.assertEqual(self.sshd.logins(), 1, "ssh logged in once and never again")

    @staticmethod
    def stands_still(file):
        before = file.stat().st_size
        time.sleep(0.3)
        return file.stat().st_size == before


if __name__ == "__main__":
    main()
