"""Just enough of a WebSocket client (RFC 6455) to listen to a host, on the standard library."""

import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


@dataclass(frozen=True)
class Message:
    """What the host sent: JSON with a type and its data, or bytes (a preview picture)."""

    kind: str
    data: dict[str, Any]
    binary: bytes = b""


class WebSocket:
    """One connection; messages come one by one until the time is up."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        answer, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(f"The host answered {answer[:80]!r} instead of a WebSocket.")

    def send(self, message: dict[str, Any]) -> None:
        """Send one JSON message."""
        self._send_frame(_TEXT, json.dumps(message).encode())

    def messages(self, timeout_s: float) -> Iterator[Message]:
        """Messages as they come.

        Raises:
            TimeoutError: nothing came for `timeout_s` seconds.
        """
        self._socket.settimeout(timeout_s)
        while True:
            code, payload = self._frame()
            if code == _TEXT:
                content = json.loads(payload)
                yield Message(content["type"], content.get("data") or {})
            elif code == _BINARY:
                yield Message("binary", {}, payload)
            elif code == _PING:
                self._send_frame(_PONG, payload)
            elif code == _CLOSE:
                return

    def close(self) -> None:
        self._socket.close()

    def _frame(self) -> tuple[int, bytes]:
        last, code, payload = self._fragment()
        while not last:
            last, _, more = self._fragment()
            payload += more
        return code, payload

    def _fragment(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        return bool(first & 128), first & 15, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("The host closed the connection.")
        self._buffer += data

    def _send_frame(self, code: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        header = bytes([128 | code])
        header += (
            bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack(">H", size)
        )
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.sendall(header + mask + masked)
