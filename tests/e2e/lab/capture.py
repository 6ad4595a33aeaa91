"""Reads every packet of a link and remembers which of the given marks were on it in plain sight."""

import socket
import threading

ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_OUTGOING = 4
IPV6_FRAGMENT = 44


def is_fragment(frame):
    if frame[12:14] == b"\x86\xdd":
        return frame[20] == IPV6_FRAGMENT
    # An offset, or "more fragments".
    return frame[12:14] == b"\x08\x00" and int.from_bytes(frame[20:22], "big") & 0x3FFF != 0


class Capture:
    """Listens on one interface of a namespace until stop()."""

    def __init__(self, lab, namespace, interface, marks):
        self._sock = namespace.open_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self._sock.bind((interface, 0))
        self._sock.settimeout(0.2)
        self._marks = marks
        self._stopping = threading.Event()
        self.seen = dict.fromkeys(marks, 0)
        self.bytes = 0
        self.largest_sent = 0  # of the frames that leave the namespace here
        self.fragments = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        lab.at_end(self.stop)

    def _run(self):
        while True:
            try:
                frame, (_, _, direction, *_) = self._sock.recvfrom(262_144)
            except TimeoutError:
                if self._stopping.is_set():
                    return
                continue
            self.bytes += len(frame)
            if direction == PACKET_OUTGOING:
                self.largest_sent = max(self.largest_sent, len(frame))
            self.fragments += is_fragment(frame)
            for mark in self._marks:
                if mark in frame:
                    self.seen[mark] += 1

    def stop(self):
        """Ends the capture after the last packet is read; returns how many packets were missed."""
        if self._stopping.is_set():
            return 0
        self._stopping.set()
        self._thread.join(10)
        statistics = self._sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        self._sock.close()
        return int.from_bytes(statistics[4:8], "little")
