"""How much the server takes on at a time, and how it says no."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Send

HELD_BYTES = 256 << 20
"""Of the bodies and results of all requests together; a single one may be larger."""
PATIENCE = 2.0
"""Seconds for which a body that is refused is still taken in, unread: a client that is cut off in
the middle of its upload does not see the answer."""
CHUNK = 1 << 16


class Refused(Exception):
    """A request that is answered without its cut-out.

    Args:
        status: of HTTP.
        message: one line for the client.
        retry_after: seconds after which it may ask again.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after

    def response(self) -> Response:
        """As JSON."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return JSONResponse({"error": self.message}, self.status, headers)


class Admission:
    """Counts the requests that are held, and their bytes.

    Args:
        capacity: requests at a time, those at work included.
        workers: processes that work on them.
    """

    def __init__(self, capacity: int, workers: int) -> None:
        self.capacity, self.workers = capacity, workers
        self.requests = self.bytes = 0
        self.seconds = 0.5
        """That a photo takes a worker, averaged over the latest ones."""

    @contextmanager
    def enter(self, size: int) -> Iterator[None]:
        """Hold a request.

        Args:
            size: bytes of its body, or the most that it may have.

        Raises:
            Refused: there is no room.
        """
        if self.requests >= self.capacity or (self.requests and self.bytes + size > HELD_BYTES):
            raise Refused(429, "too many requests at a time; ask again later", self.wait())
        self.requests += 1
        try:
            with self.holding(size):
                yield
        finally:
            self.requests -= 1

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count bytes for as long as they are held."""
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size

    def took(self, seconds: float) -> None:
        """A photo took a worker so long."""
        self.seconds += 0.1 * (seconds - self.seconds)

    def wait(self) -> int:
        """Seconds until half of what is held will be done."""
        return max(1, min(60, math.ceil(self.requests * self.seconds / self.workers / 2)))


def declared_length(request: Request) -> int | None:
    """Bytes of the body as its header says; ``None`` where it comes in chunks."""
    length = request.headers.get("content-length")
    return int(length) if length is not None and length.isdecimal() else None


class Arriving:
    """A request's body as ASGI hands it over, which knows whether that was all.

    Args:
        receive: of the request.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive, self.ended = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.ended = True
        return message


async def drained(arriving: Arriving) -> bool:
    """Take in what is left of a body, unread, for a short time; whether that was all of it."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not arriving.ended:
                await arriving()
    except TimeoutError:
        return False
    return True


async def send_within(response: Response, seconds: float, send: Send) -> None:
    """Send a response part by part, so that a client that does not read holds it for so long only.

    Raises:
        TimeoutError: the client was too slow; the server cuts the connection.
    """
    body = bytes(response.body)
    async with asyncio.timeout(seconds):
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        for start in range(0, len(body), CHUNK):
            part = body[start : start + CHUNK]
            more = start + CHUNK < len(body)
            await send({"type": "http.response.body", "body": part, "more_body": more})
