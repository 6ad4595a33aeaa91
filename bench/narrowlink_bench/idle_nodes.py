"""Idle agents, as light as they can be: WebSocket sessions that say hello, answer pings and send their own.

Run as a program. Standard input: one JSON list of [url, token], then lines with how many more to connect. It prints
"connected N" for each such line and ends with its input.
"""

import asyncio
import base64
import json
import os
import secrets
import ssl
import struct
import sys
from urllib.parse import urlsplit

PING_INTERVAL = 4.0  # below the 10 s of silence after which a gateway gives a node up
CONNECTIONS_PER_SECOND = 80  # from one address; a gateway allows 100 by default
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Refused(Exception):
    pass


class IdleNode:
    def __init__(self, url: str, token: str):
        self.url = urlsplit(url)
        self.token = token

    async def connect(self) -> None:
        secure = self.url.scheme == "wss"
        port = self.url.port or (443 if secure else 80)
        self.reader, self.writer = await asyncio.open_connection(
            self.url.hostname, port, ssl=trusting_context() if secure else None, limit=16 * 1024)
        await self.upgrade()
        self.send_json({"type": "hello", "version_min": 1, "version_max": 1, "features": [],
                        "key": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="),
                        "instance": secrets.token_hex(16), "software": "bench", "policies": []})
        while (message := await self.receive_json())["type"] != "welcome":
            if message["type"] == "closing":
                raise Refused(f"the gateway closed the session: {message}")
            self.answer(message)

    async def upgrade(self) -> None:
        path = (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")
        self.writer.write((f"GET {path} HTTP/1.1\r\nHost: {self.url.netloc}\r\nUpgrade: websocket\r\n"
                           f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
                           f"Authorization: Bearer {self.token}\r\n\r\n").encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0] + b" ":
            raise Refused("no upgrade: " + head.split(b"\r\n")[0].decode("latin-1"))

    def send(self, opcode: int, payload: bytes) -> None:
        # RFC 6455 §5.3: a client masks. Zero is a valid key, and leaves the payload as it is.
        size = len(payload)
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size) if size < 126 else \
            struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        self.writer.write(head + bytes(4) + payload)

    def send_json(self, message: dict) -> None:
        self.send(TEXT, json.dumps(message, separators=(",", ":")).encode())

    async def receive(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(await self.reader.readexactly(width))
        return first & 0x0F, await self.reader.readexactly(size)

    async def receive_json(self) -> dict:
        while True:
            opcode, payload = await self.receive()
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == PING:
                self.send(PONG, payload)
            if opcode == CLOSE:
                raise Refused(f"the gateway closed the WebSocket: {payload[2:].decode('utf-8', 'replace')}")

    def answer(self, message: dict) -> None:
        if message["type"] == "ping":
            self.send_json({"type": "pong", "id": message["id"]})

    async def stay(self) -> None:
        pinging = asyncio.create_task(self.ping_for_ever())
        try:
            while True:
                message = await self.receive_json()
                if message["type"] == "closing":
                    raise Refused(f"the gateway closed the session: {message}")
                self.answer(message)
        finally:
            pinging.cancel()

    async def ping_for_ever(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(PING_INTERVAL)
            number += 1
            self.send_json({"type": "ping", "id": number})


_context: ssl.SSLContext | None = None


def trusting_context() -> ssl.SSLContext:
    # On this loopback the gateway is a child of the same run; its self-signed certificate is not the question.
    global _context
    if not _context:
        _context = ssl.create_default_context()
        _context.check_hostname = False
        _context.verify_mode = ssl.CERT_NONE
    return _context


class Crowd:
    def __init__(self, logins: list[list[str]]):
        self.logins = iter(logins)
        self.staying: list[asyncio.Task] = []
        self.limit = asyncio.Semaphore(16)  # a gateway may well bound handshakes in flight from one address

    async def add(self, count: int) -> None:
        joining = []
        for _ in range(count):
            joining.append(asyncio.create_task(self.join(IdleNode(*next(self.logins)))))
            await asyncio.sleep(1 / CONNECTIONS_PER_SECOND)
        await asyncio.gather(*joining)
        for task in self.staying:
            if task.done():
                task.result()
        print("connected", len(self.staying), flush=True)

    async def join(self, node: IdleNode) -> None:
        async with self.limit:
            await node.connect()
        self.staying.append(asyncio.create_task(node.stay()))


async def main() -> None:
    input_reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(input_reader), sys.stdin)
    crowd = Crowd(json.loads(await input_reader.readline()))
    while line := await input_reader.readline():
        await crowd.add(int(line))
    for task in crowd.staying:
        task.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (Refused, OSError, EOFError) as error:
        sys.exit(f"idle_nodes: {error or type(error).__name__}")
