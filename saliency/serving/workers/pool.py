"""The server's worker processes: asked one photo at a time, replaced when they die."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Self

from saliency.foundation.errors import SegmenterError
from saliency.serving.workers.frames import Frame, receive_frame

ATTEMPTS = 2
"""A photo whose worker dies is tried once more: the worker need not have died of it."""
PAUSE = 1.0
"""Seconds between the starts of workers that do not start."""
LEAVE = 5.0
"""Seconds for a worker to end by itself."""
BUFFER = 1 << 20
log = logging.getLogger("saliency.serving")


class WorkerDiedError(Exception):
    """A worker ended before it answered."""


class NoWorkerError(Exception):
    """No worker became free in time."""


class Worker:
    """One worker process.

    Args:
        process: with pipes for what it reads and writes.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process, self._questions, self._answers = process, process.stdin, process.stdout
        self.device = ""

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start a process and wait until it is ready.

        Args:
            command: of :func:`saliency.serving.workers.process.command`.

        Raises:
            SegmenterError: its segmenter cannot be used.
            WorkerDiedError: it ended.
        """
        pipe = asyncio.subprocess.PIPE
        worker = cls(
            await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=BUFFER)
        )
        try:
            header = (await worker._received()).header
            if "error" in header:
                raise SegmenterError(header["error"])
        except BaseException as error:
            if not isinstance(error, WorkerDiedError):
                worker.kill()
            await worker.ended()
            raise
        worker.device = header["device"]
        return worker

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.process.returncode is None

    async def ask(self, frame: Frame) -> Frame:
        """Have a photo cut.

        Raises:
            WorkerDiedError: it ended before it answered.
        """
        try:
            for part in frame.packed():
                self._questions.write(part)
            await self._questions.drain()
        except ConnectionError:
            raise WorkerDiedError from None
        return await self._received()

    async def _received(self) -> Frame:
        try:
            return await receive_frame(self._answers)
        except asyncio.IncompleteReadError:
            raise WorkerDiedError from None

    def kill(self) -> None:
        """End it at once."""
        if self.alive:
            self.process.kill()

    async def ended(self) -> int:
        """Let it end by itself, in a short time; its exit status."""
        self._questions.close()
        try:
            await asyncio.wait_for(self.process.wait(), LEAVE)
        except TimeoutError:
            self.kill()
        await self._answers.read()  # to its end, so that the pipe is closed
        return await self.process.wait()


class Pool:
    """So many workers; an asynchronous context manager, within which they are there.

    Args:
        count: of workers.
        command: of :func:`saliency.serving.workers.process.command`.
    """

    def __init__(self, count: int, command: Sequence[str]) -> None:
        self.count, self.command = count, command
        self.restarts = 0
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._alive: set[Worker] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._busy = 0

    async def __aenter__(self) -> Self:
        """Start all workers.

        Raises:
            SegmenterError: the segmenter cannot be used, or a worker ends at once.
        """
        starts = [Worker.start(self.command) for _ in range(self.count)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        for worker in started:
            if isinstance(worker, Worker):
                self._add(worker)
                self._spawn(self._keep(worker))
        for failure in started:
            if isinstance(failure, BaseException):
                await self.__aexit__()
                if isinstance(failure, WorkerDiedError):
                    raise SegmenterError("a worker ended while it started; see above why")
                raise failure
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.ended() for worker in self._alive))
        self._alive.clear()

    @property
    def alive(self) -> int:
        """Workers that are ready or at work."""
        return sum(worker.alive for worker in self._alive)

    @property
    def idle(self) -> int:
        """Workers that wait for a photo."""
        return self.alive - self._busy

    @property
    def pids(self) -> list[int]:
        """Of the workers."""
        return sorted(worker.process.pid for worker in self._alive)

    async def run(self, frame: Frame, start_by: float, deadline: float) -> tuple[Frame, float]:
        """Have a photo cut by the next worker that is free.

        A caller that is cancelled leaves its worker to finish, which is cheaper than a new one.

        Args:
            frame: header of a :class:`saliency.serving.workers.jobs.Job` and its files.
            start_by: of ``time.monotonic()``. Work that has not begun by then is not begun.
            deadline: likewise. Work that is not done by then is ended together with its worker,
                which is dear: it should be well after ``start_by``.

        Returns:
            The answer, and the seconds that it took the worker.

        Raises:
            NoWorkerError: none was free in time.
            TimeoutError: the work was not done in time.
            WorkerDiedError: workers ended over it, once and again.
        """
        for attempt in range(ATTEMPTS):
            worker = await self._free(start_by if attempt == 0 else deadline)
            start = time.monotonic()
            try:
                answer = await asyncio.shield(self._spawn(self._ask(worker, frame, deadline)))
            except WorkerDiedError:
                continue
            return answer, time.monotonic() - start
        raise WorkerDiedError

    async def _free(self, deadline: float) -> Worker:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                while True:
                    worker = await self._idle.get()
                    if worker.alive:
                        return worker
        except TimeoutError:
            raise NoWorkerError from None

    async def _ask(self, worker: Worker, frame: Frame, deadline: float) -> Frame:
        self._busy += 1
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                answer = await worker.ask(frame)
        except WorkerDiedError:
            self._spawn(worker.ended())
            raise
        except BaseException:  # the pipes may be in the middle of a message
            worker.kill()
            raise
        finally:
            self._busy -= 1
        self._idle.put_nowait(worker)
        return answer

    async def _keep(self, worker: Worker) -> None:
        """Replace a worker whenever it ends."""
        while True:
            await worker.process.wait()
            status = await worker.ended()
            self._alive.discard(worker)
            log.warning("worker %d ended with status %s", worker.process.pid, status)
            self.restarts += 1
            worker = await self._restarted()
            self._add(worker)

    async def _restarted(self) -> Worker:
        while True:
            try:
                return await Worker.start(self.command)
            except (WorkerDiedError, SegmenterError, OSError) as error:
                log.error("a worker does not start: %s", error or type(error).__name__)
                await asyncio.sleep(PAUSE)

    def _add(self, worker: Worker) -> None:
        self._alive.add(worker)
        self._idle.put_nowait(worker)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, since whoever asked may have left
