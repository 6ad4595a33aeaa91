"""What the tests of the laboratory have in common."""

import signal
import socket
import unittest

from classify import open_udp
from lab import tool
from lab.namespace import require_root


class NatTestCase(unittest.TestCase):
    longMessage = True
    maxDiff = 4_000

    def end(self, lab, site, observer, number=0, family=socket.AF_INET):
        """A new socket of a host, and the mapped address the gateway sees."""
        sock = open_udp(site.host(number), family=family)
        lab.at_end(sock.close)
        return sock, observer.mapped_address(sock)


def main():
    """Runs the tests of the program; fails, and does not skip, where no lab can be built."""
    require_root()
    tool("conntrack")
    for number in (signal.SIGTERM, signal.SIGHUP):  # unwinds the stack, so that labs are closed
        signal.signal(number, _interrupt)
    unittest.main(verbosity=2)


def _interrupt(number, frame):
    raise KeyboardInterrupt(f"signal {number}")
