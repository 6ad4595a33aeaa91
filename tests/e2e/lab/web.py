"""What a stranger or an attacker sends: plain sockets, TLS without trust, raw WebSocket frames."""

import base64
import json
import os
import re
import ssl
import struct

from .errors import LabError
from .laboratory import GATEWAY


class JoinString:
    """The parts of a join string, read without knowing more of its form than docs/protocol.md says."""

    def __init__(self, text):
        encoded = text.split(".", 1)[1]
        plain = b""
        for piece in encoded.split("."):
            try:
                plain += base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
            except ValueError:
                continue
        tokens = re.findall(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+", plain)
        address = re.search(rb"wss?:[\\/]+[^\"]+", plain)
        if not tokens or not address:
            raise LabError(f"no token or no address in the join string {text}")
        self.token = tokens[0].decode()
        self.url = address[0].decode().replace("\\/", "/")
        self.host, self.path = re.match(r"wss?://([^/]+)(.*)", self.url).groups()
        self.path = self.path or "/"


def tls(sock, host=GATEWAY):
    """TLS without checking who answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(sock, server_hostname=host)


def read_head(sock):
    """Everything up to the empty line after the HTTP header, and what came with it behind."""
    text = b""
    while b"\r\n\r\n" not in text:
        data = sock.recv(16_384)
        if not data:
            break
        text += data
        if len(text) > 1 << 20:
            raise LabError("an HTTP header of more than 1 MiB")
    head, _, rest = text.partition(b"\r\n\r\n")
    return head, rest


class Response:
    def __init__(self, sock):
        head, rest = read_head(sock)
        lines = head.decode("latin-1").split("\r\n")
        if not lines[0].startswith("HTTP/1."):
            raise LabError(f"no HTTP answer: {head[:200]!r}")
        self.status = int(lines[0].split()[1])
        self.head = "\n".join(lines)
        self.fields = {name.lower(): value.strip() for name, _, value in
                       (line.partition(":") for line in lines[1:])}
        size = int(self.fields.get("content-length", 0))
        while len(rest) < size:
            data = sock.recv(16_384)
            if not data:
                break
            rest += data
        self.body = rest.decode("latin-1")


def request(sock, method="GET", path="/", fields=None, host=GATEWAY):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}",
             *(f"{name}: {value}" for name, value in (fields or {}).items())]
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def upgrade_fields(token=None):
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    return fields


class RawWebSocket:
    """A WebSocket whose frames we may make as wrong as we like."""

    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

    def __init__(self, sock, join):
        self.sock = sock
        request(sock, path=join.path, fields=upgrade_fields(join.token), host=join.host)
        answer = Response(sock)
        if answer.status != 101:
            raise LabError(f"the gateway answers {answer.status} to a valid token: {answer.head}")
        self._rest = answer.body.encode("latin-1")

    def frame(self, opcode, payload, final=True, masked=True, reserved=0, claimed_size=None):
        size = len(payload) if claimed_size is None else claimed_size
        head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65_536:
            head += struct.pack(">BH", mask_bit | 126, size)
        else:
            head += struct.pack(">BQ", mask_bit | 127, size)
        if masked:
            head += bytes(4)  # the mask 0 leaves the payload as it is
        self.sock.sendall(head + payload)

    def text(self, value):
        self.frame(self.TEXT, (value if isinstance(value, str) else json.dumps(value)).encode())

    def hello(self, **changes):
        """The message a node begins with (docs/protocol.md)."""
        self.text({"type": "hello", "version_min": 1, "version_max": 1, "features": [],
                   "key": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="),
                   "instance": os.urandom(16).hex(), "software": "e2e", "policies": [], **changes})

    def read(self):
        """The next (opcode, payload), or None when the gateway has closed the connection."""
        try:
            head = self._take(2)
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(self._take(8), "big")
            return head[0] & 0x0F, self._take(size)
        except (EOFError, ConnectionError, ssl.SSLError):
            return None

    def read_message(self, kind):
        """Skips to the control message of this type."""
        while (frame := self.read()) is not None:
            if frame[0] == self.TEXT:
                message = json.loads(frame[1])
                if message.get("type") == kind:
                    return message
        raise LabError(f"the gateway closed the connection before a message '{kind}'")

    def until_closed(self):
        """Reads until the gateway closes; the socket's timeout bounds the silence in between."""
        while self.read() is not None:
            pass

    def _take(self, size):
        while len(self._rest) < size:
            data = self.sock.recv(65_536)
            if not data:
                raise EOFError
            self._rest += data
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
