"""What the server takes on at a time: full queues, slow workers, clients that leave."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Outcome

pytest.importorskip("starlette")
pytest.importorskip("python_multipart")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient

from saliency.cli import serve
from saliency.foundation.errors import UsageError
from saliency.serving import limits
from saliency.serving.app import make_app
from saliency.serving.limits import Admission, Refused
from saliency.serving.settings import ServeSettings
from saliency.serving.workers.frames import Frame
from saliency.serving.workers.pool import NoWorkerError, WorkerDiedError

ANSWER = Frame({"confidence": 0.5, "width": 1, "height": 1}, [b"png" * 100_000])


class Workers:
    """Stands for a pool: fails, or answers after a while."""

    alive = idle = restarts = 1

    def __init__(self, failure: Exception | None = None, seconds: float = 0) -> None:
        self.failure, self.seconds, self.cancelled, self.done = failure, seconds, 0, 0

    async def run(self, frame: Frame, start_by: float, deadline: float) -> tuple[Frame, float]:
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        self.done += 1
        return ANSWER, 1.0


def app_of(workers: Workers, **settings: Any) -> Any:
    values = {"workers": 1, "queue": 1, **settings}
    return make_app(ServeSettings.build(values), workers, starts_pool=False)  # type: ignore[arg-type]


class Request:
    """A request by hand, so that its parts come when a test wants them."""

    def __init__(self, app: Any, parts: list[bytes], *, ends: bool = True, leaves: bool = False):
        self.app, self.leaves, self.sent = app, leaves, []
        self.messages: Iterator[dict[str, Any]] = iter(
            {"type": "http.request", "body": part, "more_body": not ends or part is not parts[-1]}
            for part in parts
        )

    async def receive(self) -> dict[str, Any]:
        message = next(self.messages, None)
        if message is not None:
            return message
        if not self.leaves:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> int | None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/remove",
            "headers": [],
            "query_string": b"",
        }
        await self.app(scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None


@pytest.mark.parametrize(
    ("failure", "status", "again"),
    [(NoWorkerError(), 503, True), (WorkerDiedError(), 503, True), (TimeoutError(), 504, False)],
)
def test_what_workers_fail_at_is_no_error_of_the_server(
    failure: Exception, status: int, again: bool
) -> None:
    answer = TestClient(app_of(Workers(failure))).post("/api/remove", content=b"x")
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == again


def test_more_than_the_queue_holds_is_told_to_come_back() -> None:
    async def main() -> list[int | None]:
        app = app_of(Workers(seconds=0.2), queue=2)
        return await asyncio.gather(*[Request(app, [b"x"]).run() for _ in range(5)])

    assert sorted(asyncio.run(main())) == [200, 200, 200, 429, 429]


def test_a_place_is_free_again_whatever_became_of_the_request() -> None:
    async def main() -> None:
        workers = Workers()
        app = app_of(workers, queue=0)
        for parts in ([b""], [b"x"], [bytes(1 << 20)] * 30):
            await Request(app, parts).run()
        assert await Request(app, [b"x"]).run() == 200

    asyncio.run(main())


def test_bytes_are_counted_too() -> None:
    admission = Admission(100, 1)
    with admission.enter(limits.HELD_BYTES - 10):
        with admission.enter(10):
            pass
        with pytest.raises(Refused) as refused, admission.enter(11):
            pass
        assert refused.value.status == 429
        assert (admission.requests, admission.bytes) == (1, limits.HELD_BYTES - 10)
    with admission.enter(2 * limits.HELD_BYTES):  # one alone is always taken
        pass
    assert (admission.requests, admission.bytes) == (0, 0)


def test_the_advised_wait_grows_with_the_queue() -> None:
    admission = Admission(100, 2)
    for _ in range(50):
        admission.took(2.0)
    assert admission.wait() == 1
    admission.requests = 40
    assert admission.wait() == pytest.approx(20, abs=1)
    admission.requests = 4000
    assert admission.wait() == 60


def test_an_upload_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.05)

    async def main() -> None:
        request = Request(app_of(Workers(), timeout=0.2), [b"x"], ends=False)
        start = time.monotonic()
        assert await request.run() == 408
        assert time.monotonic() - start < 10
        assert (b"connection", b"close") in request.sent[0]["headers"]

    asyncio.run(main())


def test_who_leaves_is_not_worked_for() -> None:
    async def main() -> None:
        workers = Workers(seconds=30)
        assert await Request(app_of(workers), [b"x"], leaves=True).run() is None
        await asyncio.sleep(0)
        assert (workers.cancelled, workers.done) == (1, 0)

    asyncio.run(main())


def test_a_client_that_does_not_read_is_cut_off() -> None:
    class Stuck(Request):
        async def send(self, message: dict[str, Any]) -> None:
            await super().send(message)
            if len(self.sent) > 2:
                await asyncio.sleep(60)

    async def main() -> None:
        app = app_of(Workers(), timeout=0.2, queue=0)
        with pytest.raises(TimeoutError):
            await Stuck(app, [b"x"]).run()
        assert await Request(app, [b"x"]).run() == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("workers", "0"),
        ("queue", "-1"),
        ("timeout", "0"),
        ("max_megabytes", "nan"),
        ("max_megapixels", "1000"),
        ("cors", ["shop.example"]),
    ],
)
def test_impossible_settings(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        ServeSettings.build({name: value})


def test_a_missing_extra_is_named(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else name)
    line = run("serve", "--port", "0").complaint(2)
    assert 'uvicorn; pip install "latent-saliency[serve]"' in line


def test_impossible_options_of_the_command(run: Callable[..., Outcome]) -> None:
    assert "--port" in run("serve", "--port", "70000").complaint(2)
    assert "origin" in run("serve", "--cors", "shop.example").complaint(2)
