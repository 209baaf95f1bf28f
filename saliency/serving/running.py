"""The server from its first request to its last."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import uvicorn

from saliency.foundation.errors import UsageError, reason_of
from saliency.serving.app import make_app, make_pool
from saliency.serving.settings import ServeSettings

CONNECTIONS = 1000
"""At a time; more are answered with status 503."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn's, which leaves signals to whoever runs it."""

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        host, port = sockets[0].getsockname()[:2]
        place = f"[{host}]" if ":" in host else host
        print(
            f"saliency: serving on http://{place}:{port} (Ctrl-C stops it)",
            file=sys.stderr,
            flush=True,
        )


def serve(settings: ServeSettings) -> None:
    """Serve until SIGINT or SIGTERM; what was accepted by then is finished. A second SIGINT ends
    the server at once.

    Raises:
        UsageError: the address cannot be had.
        SegmenterError: the segmenter cannot be used.
    """
    logging.basicConfig(format="saliency: %(message)s", level=logging.WARNING)
    asyncio.run(_serve(settings))


async def _serve(settings: ServeSettings) -> None:
    pool = make_pool(settings)
    config = uvicorn.Config(
        make_app(settings, pool, starts_pool=False),
        lifespan="off",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS,
        server_header=False,
        ws="none",
    )
    server = _Server(config)
    with _listening(settings) as listener, _stopped_by_signals(server):
        async with pool:
            if not server.should_exit:
                await server.serve(sockets=[listener])


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[Any]:
    """The socket, taken before workers start, since they take seconds."""
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            where = f"`host` {settings.host}, `port` {settings.port}"
            raise UsageError(f"{where}: cannot be listened on ({reason_of(error)})") from None
        yield listener


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    before = {number: signal.signal(number, server.handle_exit) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
