"""Bytes whose every position is known, servers that echo or misbehave, and a stream that is watched."""

import random
import socket
import struct
import threading
import time

from .errors import LabError, until

PRIME = 65_521  # no power of two: a block that is lost, repeated or swapped shows at once


class Pattern:
    """An endless stream of bytes that depends on its seed; any part of it can be named."""

    def __init__(self, seed):
        self._block = random.Random(seed).randbytes(PRIME)

    def part(self, offset, size):
        start = offset % PRIME
        needed = start + size
        return (self._block * (needed // PRIME + 1))[start:needed]

    def check(self, offset, received):
        expected = self.part(offset, len(received))
        if received != expected:
            wrong = next(i for i, (a, b) in enumerate(zip(received, expected)) if a != b)
            raise LabError(f"byte {offset + wrong} of the stream is not the one that was sent")


class TcpServer:
    """Accepts in a namespace and runs `handle(connection)` in a thread for each connection."""

    def __init__(self, lab, namespace, handle, address="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = namespace.open_socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(1_024)
        self._handle = handle
        self.accepted = 0
        self.failures = []
        self.port = self._listener.getsockname()[1]
        self.target = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        lab.at_end(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                self._handle(connection)
        except OSError as failure:
            self.failures.append(failure)


def echo(connection):
    """Sends back what it gets; ends its direction after the other one has ended."""
    while data := connection.recv(65_536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def send_reset(connection):
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_exactly(sock, size):
    parts = bytearray()
    while len(parts) < size:
        data = sock.recv(min(262_144, size - len(parts)))
        if not data:
            raise LabError(f"the stream ended after {len(parts)} of {size} bytes")
        parts += data
    return bytes(parts)


def exchange(sock, size):
    """Sends `size` bytes to an echo, part by part, and checks each that comes back."""
    longest = 50_000
    pattern = Pattern(size)
    for offset in range(0, size, longest):
        part = pattern.part(offset, min(longest, size - offset))
        sock.sendall(part)
        pattern.check(offset, read_exactly(sock, len(part)))


def read_to_end(sock):
    parts = bytearray()
    while data := sock.recv(262_144):
        parts += data
    return bytes(parts)


class UdpEcho:
    """Sends every datagram back to where it came from."""

    def __init__(self, lab, namespace, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sock = namespace.open_socket(family, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.bind((address, 0))
        self.port = self._sock.getsockname()[1]
        self.target = f"{address}:{self.port}"
        self._closed = False
        lab.at_end(self.close)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self._closed = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes recvfrom()
        except OSError:
            pass
        self._sock.close()

    def _run(self):
        while not self._closed:
            try:
                datagram, sender = self._sock.recvfrom(65_536)
                if sender is not None and not self._closed:
                    self._sock.sendto(datagram, sender)
            except OSError:
                if self._closed:
                    return


class PacedStream:
    """Sends a pattern at a steady pace to an echo server and checks every byte that comes back.

    Nothing is ever sent again by us: what arrives proves what the stream underneath delivered.
    """

    def __init__(self, sock, seed, chunk=4_096, interval=0.02):
        self._sock = sock
        self._sock.settimeout(None)
        self._pattern = Pattern(seed)
        self._chunk, self._interval = chunk, interval
        self._stopping = threading.Event()
        self.sent = 0
        self.received = 0
        self.longest_gap = 0.0
        self.failure = None
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                         for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _guard(self, work):
        try:
            work()
        except (OSError, LabError) as failure:
            self.failure = self.failure or failure

    def _send(self):
        while not self._stopping.wait(self._interval):
            self._sock.sendall(self._pattern.part(self.sent, self._chunk))
            self.sent += self._chunk
        self._sock.shutdown(socket.SHUT_WR)

    def _receive(self):
        last = time.monotonic()
        while data := self._sock.recv(65_536):
            self._pattern.check(self.received, data)
            self.received += len(data)
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            last = now
        if not self._stopping.is_set():
            raise LabError(f"the stream ended after {self.received} bytes")

    def until_progress(self, timeout, amount=1):
        """Waits until `amount` more bytes came back than had at the call; returns the time it took."""
        begun, before = time.monotonic(), self.received

        def progressed():
            if self.failure:
                raise LabError(f"the stream failed after {self.received} bytes: {self.failure}")
            return self.received >= before + amount
        until(progressed, timeout, f"{amount} more bytes than {before} on the paced stream")
        return time.monotonic() - begun

    def until_ended(self, timeout):
        """Waits until the stream was ended or reset from outside."""
        until(lambda: self.failure, timeout, "the stream is cut")

    def finish(self, timeout=30):
        """Ends the stream in order; every byte sent has to have come back."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout)
            if thread.is_alive():
                raise LabError(f"the stream does not end: {self.received} of {self.sent} bytes back")
        self._sock.close()
        if self.failure:
            raise LabError(f"the stream failed after {self.received} bytes: {self.failure}")
        if self.received != self.sent:
            raise LabError(f"{self.received} of {self.sent} bytes came back")
