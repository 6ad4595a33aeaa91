"""Holds each packet of a TUN device for a while and gives it back; a program of its own.

    delay_line.py DEVICE

Each line on standard input is a JSON object {"PREFIX": SECONDS, ...} that replaces the one before. A packet
waits as long as the prefixes of its source and its destination say together. Each line is answered with
`applied`. The kernel here has no sch_netem. Python holds some thousand packets per second.
"""

import fcntl
import heapq
import ipaddress
import itertools
import json
import os
import selectors
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000


def open_tun(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class DelayTable:
    def __init__(self, seconds_by_prefix):
        networks = [(ipaddress.ip_network(prefix), seconds)
                    for prefix, seconds in seconds_by_prefix.items()]
        self._rows = {version: [(int(n.network_address), int(n.netmask), seconds)
                                for n, seconds in networks if n.version == version] for version in (4, 6)}

    def seconds(self, packet):
        version = packet[0] >> 4
        if version == 4:
            ends = packet[12:16], packet[16:20]
        else:
            ends = packet[8:24], packet[24:40]
        return sum(self._of(version, int.from_bytes(end, "big")) for end in ends)

    def _of(self, version, address):
        return next((seconds for network, mask, seconds in self._rows[version]
                     if address & mask == network), 0)


def main():
    device = open_tun(sys.argv[1])
    table = DelayTable({})
    waiting = []  # (when, number, packet); the number keeps packets of equal delay in order
    numbers = itertools.count()
    selector = selectors.DefaultSelector()
    selector.register(device, selectors.EVENT_READ)
    selector.register(sys.stdin.buffer, selectors.EVENT_READ)
    while True:
        pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(pause):
            if key.fileobj != device:
                line = sys.stdin.buffer.readline()
                if not line:
                    return
                table = DelayTable(json.loads(line))
                print("applied", flush=True)
                continue
            for packet in packets(device):
                heapq.heappush(waiting, (time.monotonic() + table.seconds(packet), next(numbers), packet))
        while waiting and waiting[0][0] <= time.monotonic():
            os.write(device, heapq.heappop(waiting)[2])


def packets(device, most=64):
    """What has come; at most so many, then those that are due get their turn."""
    for _ in range(most):
        try:
            yield os.read(device, 65_536)
        except BlockingIOError:
            return


if __name__ == "__main__":
    main()
