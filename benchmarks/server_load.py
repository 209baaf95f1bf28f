"""Load on `saliency serve`: many clients at once, bad photos among the good, killed workers.

    python benchmarks/server_load.py --clients 200 --requests 2000

It starts a server on 127.0.0.1 and counts what becomes of the requests: a good one is lost unless
it ends with status 200, a bad one unless with 4xx. Clients that are told to come back (429, 503)
do. Two workers are killed on the way. Before the server starts, the same photos go through the
network alone, and through the whole of a worker's job, in as many processes as there are workers.
"""

from __future__ import annotations

import argparse
import http.client
import io
import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from saliency.cli.shared.process import short_waits

SIDES = (96, 128, 192, 256, 384)
"""Longest sides in pixels of the photos; ``--large`` adds 2000."""
BAD_SHARE = 0.05
BARE = 10
"""Photos that are timed without a server."""
COME_BACK = (429, 503)


@dataclass
class Outcome:
    """What became of the requests."""

    last: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    done: int = 0


def photos(large: bool) -> list[bytes]:
    """Pictures that come with scikit-image, at several sizes, as JPEG."""
    sources: tuple[Any, ...] = (data.astronaut, data.chelsea, data.coffee)
    pictures = [Image.fromarray(source()) for source in sources]
    made = []
    for picture, side in itertools.product(pictures, SIDES + ((2000,) if large else ())):
        scale = side / max(picture.size)
        size = tuple(max(1, round(length * scale)) for length in picture.size)
        content = io.BytesIO()
        picture.resize((size[0], size[1])).save(content, "JPEG", quality=90)
        made.append(content.getvalue())
    return made


def bad_photos(good: bytes) -> list[bytes]:
    """Nothing, text, a photo that is cut off, and a PNG that claims 10 gigapixels."""
    huge = io.BytesIO()
    Image.new("L", (1, 1)).save(huge, "PNG")
    claim = huge.getvalue().replace((1).to_bytes(4, "big") * 2, (100_000).to_bytes(4, "big") * 2)
    return [b"", b"I only look like a photo", good[: len(good) // 2], claim, bytes(1000)]


def bare_rates(contents: list[bytes], workers: int) -> tuple[float, float]:
    """Photos a second of the network alone, and of the whole job, in as many processes at once."""
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    context = multiprocessing.get_context("spawn")
    with short_waits(), context.Pool(workers) as pool:
        pool.map(_prepare, [threads] * workers, chunksize=1)
        rates = pool.map(_rates, [contents] * workers, chunksize=1)
    network, job = (sum(column) for column in zip(*rates, strict=True))
    return network, job


def _prepare(threads: int) -> None:
    """Load what is timed; both processes are kept here long enough to get one each."""
    import torch

    from saliency.serving.workers.jobs import warm_up

    torch.set_num_threads(threads)
    warm_up("default", "cpu")
    time.sleep(1)


def _rates(contents: list[bytes]) -> tuple[float, float]:
    from saliency.foundation.images import to_rgb
    from saliency.inference.predict import load_segmenter
    from saliency.serving.workers.jobs import Job, perform

    segmenter = load_segmenter("default", "cpu")
    chosen = list(itertools.islice(itertools.cycle(contents), BARE))
    pixels = [to_rgb(content) for content in chosen]
    start = time.perf_counter()
    for photo in pixels:
        segmenter.saliency_map(photo)
    between = time.perf_counter()
    for content in chosen:
        perform(Job("default"), [content], "cpu", 10**8)
    return BARE / (between - start), BARE / (time.perf_counter() - between)


class Server:
    """`saliency serve` on a free port of 127.0.0.1."""

    def __init__(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "saliency", "serve", "--port", "0", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        threading.Thread(target=self._pass_on, daemon=True).start()

    def _pass_on(self) -> None:
        for line in self.process.stderr or ():
            sys.stderr.write(line)

    @property
    def workers(self) -> list[int]:
        """Process numbers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def memory(self) -> tuple[int, int]:
        """Bytes of the server's process, and of all its processes, what they share counted once."""
        sizes = [_proportional(pid) for pid in (self.process.pid, *self.workers)]
        return sizes[0], sum(sizes)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def send(connection: http.client.HTTPConnection, content: bytes) -> tuple[int, float]:
    """Status, and after how many seconds to come back."""
    connection.request("POST", "/api/remove", content, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, float(answer.headers.get("Retry-After", 0))


def client(port: int, work: Any, lock: threading.Lock, outcome: Outcome, end: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while True:
        with lock:
            task = next(work, None)
        if task is None:
            return
        content, good = task
        start = time.perf_counter()
        lost = ""
        while True:
            sent = time.perf_counter()
            try:
                status, wait = send(connection, content)
            except (OSError, http.client.HTTPException) as error:
                lost = type(error).__name__
                connection.close()
                break
            with lock:
                outcome.answers[status] += 1
            if status not in COME_BACK or time.perf_counter() > end:
                right = status == 200 if good else 400 <= status < 500 and status not in COME_BACK
                lost = "" if right else f"status {status}"
                break
            connection.close()  # the server does not keep idle connections for long
            time.sleep(wait)
        with lock:
            outcome.done += 1
            if lost:
                outcome.lost.append(lost)
            elif good:
                outcome.last.append(time.perf_counter() - sent)
                outcome.total.append(time.perf_counter() - start)


def load(server: Server, arguments: argparse.Namespace, contents: list[bytes]) -> Outcome:
    """Send all requests; prints what happens to the workers and the memory."""
    rng = np.random.default_rng(0)
    bad = bad_photos(contents[0])
    tasks = []
    for number in range(arguments.requests):
        good = rng.random() >= BAD_SHARE
        pool = contents if good else bad
        tasks.append((pool[number % len(pool)], good))
    outcome, lock, work = Outcome(), threading.Lock(), iter(tasks)
    end = time.perf_counter() + arguments.seconds
    start = time.perf_counter()
    threads = [
        threading.Thread(target=client, args=(server.port, work, lock, outcome, end))
        for _ in range(arguments.clients)
    ]
    for thread in threads:
        thread.start()
    kills = [arguments.requests // 3, arguments.requests * 2 // 3]
    peak = (0, 0)
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        own, whole = server.memory()
        peak = max(peak[0], own), max(peak[1], whole)
        if kills and outcome.done >= kills[0]:
            victim = server.workers[0]
            os.kill(victim, signal.SIGKILL)
            print(f"killed worker {victim} after {outcome.done} requests")
            kills.pop(0)
    seconds = time.perf_counter() - start
    print(f"{arguments.requests} requests of {arguments.clients} clients in {seconds:.0f} s")
    print(f"throughput: {len(outcome.last) / seconds:.2f} cut-outs/s")
    print(
        f"peak memory: {peak[0] / 1e6:.0f} MB the server, {peak[1] / 1e6:.0f} MB with its workers"
    )
    return outcome


def say(outcome: Outcome) -> None:
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.answers.items()))
    print(f"answers: {counts}")
    print(f"lost: {len(outcome.lost)} {sorted(set(outcome.lost))}")
    for name, times in (("last try", outcome.last), ("with waits", outcome.total)):
        middle, high = np.percentile(times, [50, 95])
        print(f"seconds, {name}: p50 {middle:.2f}, p95 {high:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queue", default="64")
    parser.add_argument("--large", action="store_true", help="photos of 2000 pixels as well")
    parser.add_argument(
        "--seconds", type=float, default=3600, help="after which nobody comes back (default: 3600)"
    )
    arguments = parser.parse_args()
    contents = photos(arguments.large)
    network, job = bare_rates(contents, arguments.workers)
    print(f"without a server: the network {network:.2f} photos/s, the whole job {job:.2f} photos/s")
    server = Server(["--workers", str(arguments.workers), "--queue", arguments.queue])
    try:
        outcome = load(server, arguments, contents)
    finally:
        status = server.stop()
    say(outcome)
    print(f"the server's exit status: {status}")
    return int(bool(outcome.lost or outcome.answers[500] or status))


if __name__ == "__main__":
    sys.exit(main())
