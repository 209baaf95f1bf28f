"""Worker processes that die, hang and leave; and the server that stops."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from conftest import TESTS
from server_workers import COMMAND

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")

from saliency.foundation.errors import SegmenterError
from saliency.serving.settings import ServeSettings
from saliency.serving.workers.frames import Frame
from saliency.serving.workers.pool import NoWorkerError, Pool, WorkerDiedError


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, sys.path)]))


def pooled(count: int, use: Callable[[Pool], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Pool(count, COMMAND) as pool:
            await use(pool)

    asyncio.run(main())


async def asked(pool: Pool, order: str, seconds: float = 30, wait: float = 30) -> bytes:
    now = time.monotonic()
    frame, _ = await pool.run(Frame({}, [order.encode()]), now + wait, now + seconds)
    return frame.blobs[0]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def test_workers_share_the_work_and_end_with_the_pool() -> None:
    pids = []

    async def use(pool: Pool) -> None:
        pids.extend(pool.pids)
        orders = ["sleep 0.5", "sleep 0.5", *(f"photo {number}" for number in range(20))]
        work = asyncio.gather(*(asked(pool, order) for order in orders))
        await until(lambda: pool.idle == 0)
        assert [answer.decode() for answer in await work] == orders
        assert (pool.alive, pool.idle, pool.restarts) == (2, 2, 0)

    pooled(2, use)
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_large_photo_goes_through_the_pipes() -> None:
    async def use(pool: Pool) -> None:
        photo = "x" * 5_000_000
        assert await asked(pool, photo) == photo.encode()

    pooled(1, use)


def test_a_worker_that_is_killed_is_replaced_and_its_photo_is_cut_by_another() -> None:
    async def use(pool: Pool) -> None:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        work = asyncio.ensure_future(asked(pool, "photo"))
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        assert await work == b"photo"
        assert pool.restarts == 1
        assert pool.pids != [pid]

    pooled(1, use)


def test_an_idle_worker_that_is_killed_costs_no_request() -> None:
    async def use(pool: Pool) -> None:
        os.kill(pool.pids[0], signal.SIGKILL)
        assert await asyncio.gather(*(asked(pool, "photo") for _ in range(5))) == [b"photo"] * 5
        await until(lambda: pool.alive == 2)

    pooled(2, use)


def test_a_photo_that_kills_is_tried_twice(tmp_path: Path) -> None:
    async def use(pool: Pool) -> None:
        once = f"die once {tmp_path / 'died'}"
        assert await asked(pool, once) == once.encode()
        with pytest.raises(WorkerDiedError):
            await asked(pool, "die")
        assert await asked(pool, "photo") == b"photo"
        assert pool.restarts == 3

    pooled(1, use)


def test_work_is_ended_when_its_time_is_over() -> None:
    async def use(pool: Pool) -> None:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            await asked(pool, "sleep 60", 0.3)
        assert await asked(pool, "photo") == b"photo"
        assert time.monotonic() - start < 20
        assert pool.restarts == 1

    pooled(1, use)


def test_who_waits_too_long_for_a_worker_is_told_so() -> None:
    async def use(pool: Pool) -> None:
        busy = asyncio.ensure_future(asked(pool, "sleep 1"))
        await asyncio.sleep(0.05)
        with pytest.raises(NoWorkerError):
            await asked(pool, "photo", wait=0.2)
        assert await busy == b"sleep 1"

    pooled(1, use)


def test_work_of_a_client_that_leaves_does_not_cost_a_worker() -> None:
    async def use(pool: Pool) -> None:
        left = asyncio.ensure_future(asked(pool, "sleep 0.5"))
        await asyncio.sleep(0.1)
        left.cancel()
        assert await asked(pool, "photo") == b"photo"
        assert pool.restarts == 0

    pooled(1, use)


def test_a_worker_that_cannot_start_is_said() -> None:
    async def main(code: str) -> None:
        async with Pool(2, [sys.executable, "-c", code]):
            pass

    with pytest.raises(SegmenterError, match="ended while it started"):
        asyncio.run(main("raise SystemExit(1)"))
    telling = (
        "import sys; from saliency.serving.workers.frames import *; "
        "write_frame(sys.stdout.buffer, Frame({'error': 'no segmenter there'}))"
    )
    with pytest.raises(SegmenterError, match="no segmenter there"):
        asyncio.run(main(telling))


SERVER = """
import sys
from server_workers import COMMAND
from saliency.serving import running
from saliency.serving.settings import ServeSettings
from saliency.serving.workers.pool import Pool
running.make_pool = lambda settings: Pool(settings.processes, COMMAND)
running.serve(ServeSettings.build({"port": 0, "workers": 1}))
"""


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    yield process, found[0]
    process.kill()
    process.communicate()


def post(url: str, content: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{url}/api/remove", content, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def counter(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    assert found
    return float(found[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_accepted(
    server: tuple[subprocess.Popen[str], str], number: signal.Signals
) -> None:
    process, url = server
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(post(url, b"sleep 0.7"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while counter(url, "saliency_requests_held") < 3:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == 0
    for thread in threads:
        thread.join()
    assert answers == [(200, b"sleep 0.7")] * 3
    with pytest.raises(urllib.error.URLError):
        post(url, b"photo")


def test_the_server_answers_while_a_photo_is_cut(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = server
    thread = threading.Thread(target=post, args=(url, b"sleep 1.5"))
    thread.start()
    while counter(url, "saliency_workers_idle") > 0:
        time.sleep(0.02)
    assert counter(url, "saliency_requests_held") == 1
    assert thread.is_alive()
    thread.join()


def test_a_photo_that_kills_its_worker_is_no_error_of_the_server(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = server
    status, content = post(url, b"die")
    assert (status, b"worker" in content) == (503, True)
    assert post(url, b"photo") == (200, b"photo")
    assert counter(url, "saliency_worker_restarts_total") == 2


def test_a_large_body_is_refused_and_the_client_sees_why(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    _, url = server
    status, content = post(url, bytes(26_000_000))
    assert (status, b"25 MB" in content) == (413, True)


def test_an_address_that_is_taken(server: tuple[subprocess.Popen[str], str]) -> None:
    from saliency.foundation.errors import UsageError
    from saliency.serving.running import serve

    port = int(server[1].rpartition(":")[2])
    with pytest.raises(UsageError, match=f"`port` {port}"):
        serve(ServeSettings.build({"port": port}))
