"""`/api/remove`: a photo comes in, its cut-out goes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from saliency.foundation.errors import SaliencyError
from saliency.serving.bodies import Body, read_body, too_long
from saliency.serving.limits import (
    Admission,
    Arriving,
    Refused,
    declared_length,
    drained,
    send_within,
)
from saliency.serving.metrics import Metrics
from saliency.serving.options import read_options
from saliency.serving.settings import ServeSettings
from saliency.serving.urls import fetch
from saliency.serving.workers.frames import Frame
from saliency.serving.workers.pool import NoWorkerError, Pool, WorkerDiedError

T = TypeVar("T")
PATH = "/api/remove"
WAITING = 0.5
"""Share of a request's time in which it must have arrived and found a worker. The rest is for the
work: on a busy server all would else begin just before their time is over, and end with their
workers."""
GONE = 499
"""What is counted for clients that left before their answer."""


class Remove:
    """The endpoint, an ASGI application: a request is held until its answer is sent.

    Args:
        settings: what is refused.
        pool: who does the work.
        admission: who is let in.
        metrics: where it is counted.
    """

    def __init__(
        self,
        settings: ServeSettings,
        pool: Pool,
        admission: Admission,
        metrics: Metrics,
    ) -> None:
        self.settings, self.pool, self.admission = settings, pool, admission
        self.metrics, self.segmenters = metrics, settings.segmenters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arriving = Arriving(receive)
        request = Request(scope, arriving)
        start = time.monotonic()
        try:
            with self.admission.enter(self._size(request)):
                response = await self._answer(request, start)
                with self.admission.holding(len(response.body)):
                    self.metrics.observed(time.monotonic() - start)
                    self.metrics.counted(PATH, response.status_code)
                    await send_within(response, self.settings.timeout, send)
        except ClientDisconnect:
            self.metrics.counted(PATH, GONE)
        except Refused as refused:
            self.metrics.counted(PATH, refused.status)
            response = refused.response()
            if not await drained(arriving):
                response.headers["Connection"] = "close"
            await response(scope, receive, send)

    def _size(self, request: Request) -> int:
        """Bytes that the body may have."""
        length = declared_length(request)
        if length is not None and length > self.settings.max_bytes:
            raise too_long(self.settings.max_bytes)
        return self.settings.max_bytes if length is None or request.method == "GET" else length

    async def _answer(self, request: Request, start: float) -> Response:
        start_by = start + self.settings.timeout * WAITING
        slow = f"the photo did not arrive within {self.settings.timeout * WAITING:g} s"
        body = await _until(start_by, self._body(request), Refused(408, slow))
        try:
            picture = body.picture is not None
            options = read_options(body.fields)
            name = options.segmenter(list(self.segmenters))
            job = options.job(self.segmenters[name], picture=picture)
        except SaliencyError as error:
            raise Refused(400, str(error)) from None
        files = [body.photo] if body.picture is None else [body.photo, body.picture]
        answer = await _unless_gone(request, self._cut(Frame(job, files), start))
        if "error" in answer.header:
            again = self.admission.wait() if answer.header["status"] == 503 else None
            raise Refused(answer.header["status"], answer.header["error"], again)
        headers = {
            "X-Confidence": str(answer.header["confidence"]),
            "X-Model": name,
            "Cache-Control": "no-store",
        }
        return Response(answer.blobs[0], 200, headers, "image/png")

    async def _body(self, request: Request) -> Body:
        """The photo and its options; those of the form win over those of the query."""
        query = dict(request.query_params)
        if request.method == "POST":
            body = await read_body(request, self.settings.max_bytes)
            return Body(body.photo, body.picture, {**query, **body.fields})
        url = query.pop("url", "")
        if not url:
            raise Refused(400, "no photo; send it by POST, or its address as `url`")
        if not self.settings.allow_urls:
            raise Refused(403, "`url`: this server fetches nothing; send the photo by POST")
        return Body(await fetch(url, self.settings.max_bytes), None, query)

    async def _cut(self, frame: Frame, start: float) -> Frame:
        limit = self.settings.timeout
        try:
            answer, seconds = await self.pool.run(frame, start + limit * WAITING, start + limit)
        except NoWorkerError:
            busy = f"no worker became free within {limit * WAITING:g} s; ask again later"
            raise Refused(503, busy, self.admission.wait()) from None
        except TimeoutError:
            raise Refused(
                504, f"the photo took longer than {limit:g} s; try a smaller one"
            ) from None
        except WorkerDiedError:
            died = "the worker ended twice while it worked on this photo"
            raise Refused(503, died, self.admission.wait()) from None
        self.admission.took(seconds)
        return answer


async def _until(deadline: float, work: Awaitable[T], otherwise: Refused) -> T:
    """The result of ``work``, or a refusal where there is none in time."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await work
    except TimeoutError:
        raise otherwise from None


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``, which is given up when the client leaves.

    Raises:
        ClientDisconnect: it left.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
