"""What several test files share: tiny generators, pairs and segmenters."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import make_generator, planted_direction

from data.images.masks import Filters
from data.store.pairs import Pair, write_shard
from data.synthesis import Masking
from directions.direction import Direction
from directions.generators import Generator, NetworkGenerator
from directions.generators.families.compact import CompactGenerator
from saliency.cli import main
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter
from saliency.self_training.settings import SelfTrainConfig

TINY_ENCODER = "tu-mobilenetv3_small_050"
TESTS = Path(__file__).parent

# networks this small are fastest on one thread, above all on a busy machine
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


def run_python(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run ``code`` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd or TESTS,
        timeout=120,
    )


class Outcome:
    """What a command left: exit status and both streams."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def complaint(self, status: int) -> str:
        """The one line about what went wrong."""
        assert self.status == status, self.err
        assert "Traceback" not in self.err + self.out
        lines = [line for line in self.err.splitlines() if line.startswith("saliency: error:")]
        assert len(lines) == 1, self.err
        return lines[0]


def digests(folder: Path, pattern: str = "*") -> dict[str, str]:
    """SHA-256 of each visible file of a folder."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(pattern))
        if path.is_file() and not path.name.startswith(".")
    }


def disc_pair(rng: np.random.Generator, sample: int, side: int = 32) -> Pair:
    """A bright disc on a dark ground: a task that any network learns."""
    y, x = np.mgrid[:side, :side]
    centre, radius = rng.uniform(0.35, 0.65, 2) * side, rng.uniform(0.2, 0.33) * side
    mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    noise = rng.integers(0, 30, (side, side, 3))
    image = np.where(mask[..., None], 210, 20) + noise
    return Pair(image.astype(np.uint8), mask, sample, 0, float(mask.mean()), 0.0)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's own way out
            status = int(error.code or 0)
        return Outcome(status, *capfd.readouterr())

    return run


def tiny_round(**changed: object) -> SelfTrainConfig:
    """One round of self-training that takes a second or two; ``changed`` are further options."""
    options: dict[str, object] = {
        "encoder": TINY_ENCODER,
        "encoder_weights": "none",
        "evidence": "none",
        "views": "one",
        "rounds": 1,
        "sizes": "32",
        "steps": "1",
        "keep": "1",
        "count": 16,
        "min_area": 0,
        "max_area": 1,
        "batch": 2,
        "workers": 1,
    }
    return SelfTrainConfig.build(options | changed)


@pytest.fixture(scope="session")
def planted() -> Generator:
    return make_generator()


@pytest.fixture(scope="session")
def barren() -> Generator:
    return make_generator(whitens=False)


@pytest.fixture
def compact() -> Generator:
    torch.manual_seed(0)
    return NetworkGenerator(
        CompactGenerator(latent_dim=8, resolution=16, width=4),
        name="tiny",
        fingerprint="c3" * 32,
        latent_dim=8,
        resolution=16,
    )


@pytest.fixture(scope="session")
def planted_recipe() -> Masking:
    return Masking(6.0 * planted_direction(), "intensity", 0.95, Filters())


@pytest.fixture
def save_planted_direction() -> Callable[..., Path]:
    def save(path: Path, generator: Generator) -> Path:
        Direction(
            vector=planted_direction(),
            magnitude=6.0,
            mask_rule="intensity",
            threshold=0.95,
            score=0.9,
            generator=generator.name,
            fingerprint=generator.fingerprint,
        ).save(path)
        return path

    return save


@pytest.fixture(scope="session")
def disc_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 easy pairs in two shards."""
    folder = tmp_path_factory.mktemp("discs") / "pairs"
    rng = np.random.default_rng(0)
    for shard in range(2):
        pairs = [disc_pair(rng, 30 * shard + number) for number in range(30)]
        note = {"drawn": 30, "survived": 30, "kept": 30, "rejected": {}}
        write_shard(folder / f"pairs-{shard:05d}.parquet", pairs, note)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter's folder, random weights."""
    torch.manual_seed(0)
    config = SegmenterConfig(TINY_ENCODER, (16, 16, 8, 8, 8), size=64)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    Segmenter(build_network(config), config, "cpu").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 small photos and one text file that only says so by its name."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(120):
        pair = disc_pair(rng, number, 24)
        Image.fromarray(pair.image).save(folder / f"{number:03d}.png")
    (folder / "not-a-photo.jpg").write_text("I only look like a photo")
    return folder
