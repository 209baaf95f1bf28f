"""The application: its routes, and what goes around them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.config import code_version
from saliency.serving.limits import Admission
from saliency.serving.metrics import Metrics
from saliency.serving.openapi import openapi, reference_page
from saliency.serving.removing import PATH, Remove
from saliency.serving.settings import ServeSettings
from saliency.serving.workers.pool import Pool
from saliency.serving.workers.process import command

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere, and runs no other script."""


def make_pool(settings: ServeSettings) -> Pool:
    """The workers that the settings ask for; they start when the pool is entered."""
    return Pool(
        settings.processes,
        command(
            {
                "model": next(iter(settings.segmenters.values())),
                "device": None if settings.device == "auto" else settings.device,
                "threads": settings.threads,
                "max_pixels": settings.max_pixels,
            }
        ),
    )


def make_app(settings: ServeSettings, pool: Pool, *, starts_pool: bool = True) -> Starlette:
    """The ASGI application.

    Args:
        settings: of the server.
        pool: who cuts.
        starts_pool: whether the application's lifespan is the pool's; else somebody else enters it.
    """
    served = list(settings.segmenters)
    admission = Admission(settings.processes + settings.queue, settings.processes)
    metrics = Metrics(
        {
            "requests_held": ("Requests in hand.", lambda: admission.requests),
            "bytes_held": ("Bytes of their bodies and results.", lambda: admission.bytes),
            "workers": ("Worker processes.", lambda: pool.alive),
            "workers_idle": ("Worker processes without work.", lambda: pool.idle),
            "worker_restarts_total": ("Workers that were replaced.", lambda: pool.restarts),
        }
    )

    async def health(request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok" if pool.alive else "no workers",
                "version": code_version(),
                "workers": pool.alive,
                "models": served,
                "max_bytes": settings.max_bytes,
                "max_pixels": settings.max_pixels,
            },
            200 if pool.alive else 503,
        )

    async def counters(request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    async def interface(request: Request) -> Response:
        return JSONResponse(openapi(settings, served))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if not starts_pool:
            yield
            return
        async with pool:
            yield

    remove = Remove(settings, pool, admission, metrics)
    reference = reference_page(settings, served).encode()
    routes = [
        Route(PATH, remove, methods=["GET", "POST"]),
        Route("/health", health),
        Route("/metrics", counters),
        Route("/openapi.json", interface),
        Route("/api", _asset("api.html", reference)),
        *_page(),
    ]
    middleware = [Middleware(Around, metrics=metrics)]
    if settings.cors:
        exposed = ["X-Confidence", "X-Model", "Retry-After"]
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors),
                allow_methods=["GET", "POST"],
                allow_headers=["Content-Type"],
                expose_headers=exposed,
            )
        )
    handlers: dict[Any, Any] = {HTTPException: _refusal}
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan
    )


class Around:
    """Headers that every answer has, and a count of those that no endpoint counts itself."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                if "endpoint" not in scope or not isinstance(scope["endpoint"], Remove):
                    known = "endpoint" in scope
                    path = scope["path"] if known else "other"
                    self.metrics.counted(path, message["status"])
            await send(message)

        await self.app(scope, receive, noting)


def _page() -> list[Route]:
    """The page and everything that it loads, kept in memory."""
    folder = files("saliency.serving.page")
    routes = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        suffix = file.name[file.name.rfind(".") :]
        if suffix in MEDIA and file.name != "api.html":
            path = "/" if file.name == "index.html" else f"/page/{file.name}"
            routes.append(Route(path, _asset(file.name, file.read_bytes())))
    return routes


def _asset(name: str, content: bytes) -> Any:
    """An endpoint that sends a file, or says that the client's copy is still right."""
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
    }
    media = MEDIA[name[name.rfind(".") :]]

    async def send_asset(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media)

    return send_asset


async def _refusal(request: Request, error: HTTPException) -> Response:
    """Starlette's own refusals (no such page, no such method) as JSON, like all others."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
