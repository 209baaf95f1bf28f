"""Sampling speed against the bare network, and the memory that loading takes.

    python benchmarks/generators.py --generator biggan-512      # random weights, published sizes
    python benchmarks/generators.py --generator G_ema.pth

A name of `SIZES` writes a checkpoint of random weights in the published layout into a temporary
folder first, so that nothing has to be downloaded. Speed: medians of alternating runs in one
process. Memory (Linux only): of a fresh process that loads and draws one batch, beyond what the
libraries take.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

SIZES = {
    "biggan-128": (120, [1536, 1536, 768, 384, 192, 96], 3),
    "biggan-256": (140, [1536, 1536, 768, 768, 384, 192, 96], 4),
    "biggan-512": (128, [1536, 1536, 768, 768, 384, 192, 96, 96], 3),
}


def random_checkpoint(name: str, folder: Path) -> Path:
    """A file of random weights in the layout of ajbrock/BigGAN-PyTorch."""
    from biggan_layouts import biggan_shapes  # type: ignore[import-not-found]

    latent_dim, widths, attention = SIZES[name]
    rng = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for key, shape in biggan_shapes(latent_dim, widths, attention, 1000, 128).items():
        tensors[key] = torch.randn(shape, generator=rng)
        if key.endswith("stored_var"):
            tensors[key] = tensors[key].abs() + 0.1
    path = folder / f"{name}.pth"
    torch.save(tensors, path)
    return path


def speed(source: str, batch: int, repeats: int) -> None:
    """Images per second of a generator's sample-and-generate, and of its bare network."""
    from directions.generators import load_generator

    generator = load_generator(source)
    latents = generator.sample(batch, torch.Generator().manual_seed(0))
    inputs = (latents.z,) if latents.classes is None else (latents.z, latents.classes)
    network = generator.network  # type: ignore[attr-defined]
    rng = torch.Generator().manual_seed(0)

    def whole() -> None:
        generator.generate(generator.sample(batch, rng))

    def bare() -> None:
        network(*inputs)

    taken: dict[str, list[float]] = {"whole": [], "bare": []}
    with torch.no_grad():
        whole()
        bare()
        for _ in range(repeats):
            for name, run in (("whole", whole), ("bare", bare)):
                start = time.perf_counter()
                run()
                taken[name].append(time.perf_counter() - start)
    rate = {name: batch / statistics.median(times) for name, times in taken.items()}
    print(
        f"speed: {rate['whole']:.2f} images/s, bare network {rate['bare']:.2f}; "
        f"ratio {rate['whole'] / rate['bare']:.3f} (batch {batch}, {repeats} runs each)"
    )


def memory(source: str, batch: int) -> None:
    """Peak of a fresh process: libraries alone, with the generator loaded, with one batch drawn."""
    peaks = {}
    for stage in ("nothing", "load", "draw"):
        command = [sys.executable, __file__, "--generator", source, "--stage", stage]
        command += ["--batch", str(batch)]
        peaks[stage] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    weights = Path(source).stat().st_size / 2**20
    print(
        f"memory beyond the libraries' {peaks['nothing']} MiB: file {weights:.0f} MiB, "
        f"loading {peaks['load'] - peaks['nothing']} MiB, "
        f"loading and one batch of {batch} {peaks['draw'] - peaks['nothing']} MiB"
    )


def stage(name: str, source: str, batch: int) -> None:
    """One stage of :func:`memory`; prints the peak of this process's anonymous memory in MiB.

    Mapped pages of the file are not counted: the system takes them back when it needs them.
    """
    from directions.generators import load_generator

    peak, done = [0], threading.Event()

    def look() -> None:
        status = Path("/proc/self/status").read_text()
        peak[0] = max(peak[0], int(status.split("RssAnon:")[1].split()[0]) // 1024)

    def watch() -> None:
        while not done.wait(0.002):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    torch.randn(512, 512) @ torch.randn(512, 512)  # the libraries' own buffers
    with torch.device("meta"):  # and what PyTorch imports for this
        torch.nn.Conv2d(8, 8, 3)
    if name != "nothing":
        generator = load_generator(source)
        if name == "draw":
            with torch.no_grad():
                generator.generate(generator.sample(batch, torch.Generator()))
    done.set()
    watcher.join()
    look()
    print(peak[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generator", required=True, help=f"file, or {', '.join(SIZES)}")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--stage", choices=("nothing", "load", "draw"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        stage(given.stage, given.generator, given.batch)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source = given.generator
        if source in SIZES:
            source = str(random_checkpoint(source, Path(folder)))
        speed(source, given.batch, given.repeats)
        memory(source, given.batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
