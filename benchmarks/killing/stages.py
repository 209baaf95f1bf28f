"""Every long stage at a size at which it takes some seconds."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ENCODER = "tu-mobilenetv3_small_050"
NETWORK = ("--encoder", ENCODER, "--encoder-weights", "none", "--decoder-channels", "16,16,8,8,8")
PLANTED = f"{Path(__file__).resolve().parents[2] / 'tests' / 'planted.py'}:make_generator"
CPU = ("--device", "cpu")
CHECKPOINT_SECONDS = 0.3
"""Instead of a minute or so, which is longer than a tiny run."""
ARCHIVE_BYTES = 3_000_000
BYTES_PER_SECOND = 2_000_000
DISCOVER = {"steps": 60, "batch": 8, "samples": 16, "refine_steps": 60, "directions": 8}
QUICK: dict[str, dict[str, Any]] = {
    "discover": DISCOVER,
    "synth": {"count": 300},
    "train": {"encoder": ENCODER, "encoder_weights": "none", "size": 32, "steps": 20, "batch": 4,
              "decoder_channels": (16, 16, 8, 8, 8), "validate_every": 10},
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A command that writes into a folder.

    Attributes:
        name: of the stage.
        command: its arguments, given the output folder.
        prepare: what is changed in a process before it runs: sizes that are no options.
    """

    name: str
    command: Callable[[Path], list[str]]
    prepare: Callable[[], object] = field(default=lambda: None)


def stages(inputs: Path, url: str) -> list[Stage]:
    """All of them; what some make is what others read.

    Args:
        inputs: folder of the undisturbed outputs, by stage, and of :func:`write_inputs`.
        url: of the server that has the benchmark.
    """
    photos, bench = inputs / "photos", inputs / "benchmark"
    generator = str(inputs / "generator train" / "generator.safetensors")
    segmenter = str(inputs / "train")

    def words(*arguments: object) -> list[str]:
        return [str(argument) for argument in arguments]

    found = [f"--{name.replace('_', '-')}={value}" for name, value in DISCOVER.items()]
    return [
        Stage("discover", lambda out: words("discover", "--generator", PLANTED, *found, *CPU,
                                            "--out", out)),
        Stage("synth", lambda out: words("synth", "--generator", PLANTED, "--direction",
                                         inputs / "discover" / "direction.safetensors",
                                         "--count", 900, "--workers", 1, *CPU, "--out", out),
              _small_shards),
        Stage("train", lambda out: words("train", inputs / "synth", *NETWORK, "--size", 32,
                                         "--steps", 40, "--batch", 4, "--validate-every", 10,
                                         "--workers", 0, *CPU, "--out", out)),
        Stage("generator train", lambda out: words(
            "generator", "train", photos, "--images", 800, "--resolution", 32, "--latent-dim", 8,
            "--width", 4, "--discriminator-width", 4, "--batch", 16, "--held-out", 0, *CPU,
            "--out", out)),
        Stage("generator invert", lambda out: words(
            "generator", "invert", photos, "--generator", generator, "--steps", 12, "--tries", 8,
            "--starts", 1, "--workers", 1, *CPU, "--out", out), _small_parts),
        Stage("self-train", lambda out: words(
            "self-train", photos, "--from", segmenter, *NETWORK, "--evidence", "none",
            "--sharpen", "none", "--label-size", 32, "--rounds", 2, "--sizes", "32,64",
            "--start", "fresh", "--count", 32, "--steps", "16,16", "--batch", 4,
            "--min-area", 0, "--max-area", 1,
            "--workers", 1, *CPU, "--out", out), _forked_labelling),
        Stage("eval", lambda out: words(
            "eval", "--benchmark", bench, "--model", segmenter, *CPU, "--protocol", "pysod",
            "--out", out / "score.json", "--report", out / "score.html")),
        Stage("predict", lambda out: words("predict", photos, "--model", segmenter, "--cutout",
                                           "--skip-existing", *CPU, "--out", out)),
        Stage("run", lambda out: words("run", "--quick", "--generator", PLANTED, "--workers", 0,
                                       *CPU, "--out", out), _tiny_pipeline),
        Stage("data fetch", lambda out: words("data", "fetch", "ecssd", "--to", out),
              lambda: _local_benchmark(url)),
    ]  # fmt: skip


def frequent_checkpoints() -> None:
    """In this process, for all stages."""
    from directions.search import loop as search
    from directions.training import trainer as gan_training
    from saliency.training import loop as training

    for module in (training, search, gan_training):
        module.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS  # type: ignore[attr-defined]
    gan_training.SHEET_SECONDS = CHECKPOINT_SECONDS


def _small_shards() -> None:
    from data import synthesis

    synthesis.SHARD_BLOCKS = 2


def _small_parts() -> None:
    from directions.photos import inversion

    inversion.SHARD_PIXELS = 10 * 32**2


def _forked_labelling() -> None:
    """Labelling starts fresh processes, which load PyTorch for seconds; forked ones do not."""
    import multiprocessing

    from saliency.self_training import labelling

    labelling.SHARD = 16
    vars(labelling)["get_context"] = lambda _: multiprocessing.get_context("fork")


def _tiny_pipeline() -> None:
    from saliency import pipeline

    pipeline.QUICK = QUICK
    _small_shards()


def _local_benchmark(url: str) -> None:
    from data.benchmarks import published as benchmarks

    small = benchmarks.Published(
        "ecssd", "Test", 12, (benchmarks.Archive(f"{url}/images.zip"),
                              benchmarks.Archive(f"{url}/masks.zip")),
        ".", url, "none",
    )  # fmt: skip
    benchmarks.PUBLISHED["ecssd"] = replace(small)


def scene(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A bright disc on a dark ground, and its mask."""
    y, x = np.mgrid[:side, :side] / side
    centre, radius = rng.uniform(0.35, 0.65, 2), rng.uniform(0.2, 0.33)
    mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    image = np.where(mask[..., None], 210, 20) + rng.integers(0, 30, (side, side, 3))
    return image.astype(np.uint8), mask


def write_inputs(folder: Path) -> None:
    """Photos, and a benchmark."""
    rng = np.random.default_rng(0)
    for kind in ("photos", "benchmark/images", "benchmark/masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(110):
        image, _ = scene(rng, 48)
        Image.fromarray(image).save(folder / "photos" / f"{number:03d}.png")
    for number in range(40):
        image, mask = scene(rng, 96)
        Image.fromarray(image).save(folder / "benchmark" / "images" / f"{number:03d}.jpg")
        Image.fromarray(mask).save(folder / "benchmark" / "masks" / f"{number:03d}.png")


def _archive(kind: str) -> bytes:
    """A zip file of twelve photos or masks that does not shrink."""
    buffer = io.BytesIO()
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(12):
            image, mask = scene(rng, 64)
            picture = io.BytesIO()
            if kind == "images":
                Image.fromarray(image).save(picture, "PNG")
            else:
                Image.fromarray(mask).save(picture, "PNG")
            archive.writestr(f"{kind}/{number:03d}.png", picture.getvalue())
        archive.writestr(f"{kind}/.padding", rng.bytes(ARCHIVE_BYTES // 2))
    return buffer.getvalue()


@contextmanager
def server() -> Iterator[str]:
    """A slow server of the benchmark's archives on 127.0.0.1; gives its address."""
    files = {f"/{kind}.zip": _archive(kind) for kind in ("images", "masks")}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files[self.path]
            wanted = self.headers.get("Range", "bytes=0-")
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            try:
                for place in range(start, len(content), 50_000):
                    self.wfile.write(content[place : place + 50_000])
                    time.sleep(50_000 / BYTES_PER_SECOND)
            except OSError:
                return  # it was killed

        def log_message(self, *_: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        listener.shutdown()
        listener.server_close()
