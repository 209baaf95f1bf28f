"""What the server is asked to do, and what it refuses."""

from __future__ import annotations

import os

from pydantic import Field, field_validator

from data.config import StageConfig
from saliency.inference.shipped import DEFAULT_MODEL, WEIGHTS, shipped

MEGA = 1_000_000
OWN = "own"
"""What clients call a segmenter that does not come with the package."""


class ServeSettings(StageConfig):
    """Settings of `saliency serve`; the defaults suit one computer and the people around it."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0: all of them")
    port: int = Field(7000, ge=0, le=65535, description="port; 0: any that is free")
    workers: int | None = Field(
        None, ge=1, le=64, description="processes that cut (default: one a core, 4 at most)"
    )
    queue: int = Field(
        64, ge=0, le=10_000, description="requests that wait for a worker; more get status 429"
    )
    timeout: float = Field(
        60,
        gt=0,
        le=3600,
        description="seconds for a request; half of them for its upload and its wait",
    )
    max_megabytes: float = Field(25, gt=0, le=1000, description="largest body of a request")
    max_megapixels: float = Field(50, gt=0, le=100, description="largest photo")
    model: str | None = Field(
        None, description="segmenter's folder or name (default: the one that ships)"
    )
    device: str = Field("auto", description="auto, cpu or cuda")
    allow_urls: bool = Field(False, description="fetch photos from public addresses that are named")
    cors: tuple[str, ...] = Field(
        (), description="origin of pages that may use the server, such as https://shop.example"
    )

    @field_validator("cors")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not host or "/" in host):
                raise ValueError("must be an origin such as https://shop.example, or *")
        return origins

    @property
    def max_bytes(self) -> int:
        """Of a request's body."""
        return int(self.max_megabytes * MEGA)

    @property
    def max_pixels(self) -> int:
        """Of a photo."""
        return int(self.max_megapixels * MEGA)

    @property
    def processes(self) -> int:
        """Worker processes; one on a GPU, which they would only share."""
        if self.workers is not None:
            return self.workers
        return 1 if self.device == "cuda" else max(1, min(4, _cores()))

    @property
    def segmenters(self) -> dict[str, str]:
        """Name to folder of what is served, the default first; clients learn of no folder."""
        folders = {name: str(WEIGHTS / name) for name in shipped()}
        model = self.model or DEFAULT_MODEL
        name = model if model in folders else OWN
        return {name: folders.get(name, model), **folders}

    @property
    def threads(self) -> int:
        """Threads of a worker: all workers together have the machine's cores."""
        return max(1, _cores() // self.processes)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
