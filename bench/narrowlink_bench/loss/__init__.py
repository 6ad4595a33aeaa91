"""Throughput where single packets get lost: the relays and the direct path beside TCP and bare QUIC.

Built on `direct` and on the delay line of tests/lab; needs root for its network namespaces.
"""

from .. import direct  # noqa: F401 (puts the laboratories on the path of modules)
