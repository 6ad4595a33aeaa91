"""Direct paths: throughput and cost beside bare QUIC, TCP and WireGuard, the time to one, and the stalls of switches.

Built on the laboratories of tests/e2e and tests/lab; needs root for their network namespaces.
"""

import sys

from .. import machine

sys.path[:0] = [str(machine.repository / "tests" / "lab"), str(machine.repository / "tests" / "e2e")]
