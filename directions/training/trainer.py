"""Training the `compact` generator on a folder of unlabelled photos.

Hinge loss (Lim and Ye 2017), spectral normalisation (Miyato et al. 2018), differentiable
augmentation (Zhao et al. 2020) and an exponential moving average of the generator's weights.
Step ``i`` draws all its randomness from (seed, i), so a resumed run sees what an undisturbed one
would have seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from data.config import StageConfig, code_version
from data.images.photos import centre_square, list_photos
from data.images.sheets import save_sheet
from data.runtime.precision import mixed_precision
from data.runtime.progress import progress
from data.runtime.seeds import numpy_stream, seeded, torch_stream
from data.store.files import claimed, read_record, replacing, restore, save_torch, write_json
from directions.generators.families.compact import CompactDiscriminator, CompactGenerator
from directions.generators.files.store import save_generator
from directions.training.augment import augment
from saliency.foundation.errors import InputError, reason_of
from saliency.foundation.images import to_rgb

M = TypeVar("M", bound=nn.Module)

RESOLUTIONS = (16, 32, 64, 128, 256)
MIN_PHOTOS = 100
CHECKPOINT_SECONDS = 120.0
SHEET_SECONDS = 240.0


class GeneratorTrainConfig(StageConfig):
    """Options of `saliency generator train`."""

    resolution: int = Field(64, description="side of the generated images: 16, 32, 64, 128 or 256")
    latent_dim: int = Field(96, ge=8, le=1024, description="length of a latent")
    width: int = Field(
        24, ge=4, le=256, description="number of the generator's channels at full resolution"
    )
    discriminator_width: int = Field(
        16, ge=4, le=256, description="number of the discriminator's channels at full resolution"
    )
    images: int = Field(1_000_000, ge=64, description="length of the training, in images seen")
    batch: int = Field(64, ge=4, le=4096, description="number of images in a step")
    generator_lr: float = Field(2e-4, gt=0, description="Adam's learning rate of the generator")
    discriminator_lr: float = Field(
        4e-4, gt=0, description="Adam's learning rate of the discriminator"
    )
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average")
    held_out: float = Field(
        0.05,
        ge=0,
        lt=0.9,
        description="share of the photos that are held out, to measure the generator on",
    )
    seed: int = Field(0, ge=0, description="random seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )

    @field_validator("resolution")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value not in RESOLUTIONS:
            raise ValueError(f"valid: {', '.join(str(side) for side in RESOLUTIONS)}")
        return value


@dataclass(frozen=True)
class TrainedGenerator:
    """What :func:`train_generator` made.

    Attributes:
        path: the generator's safetensors file.
        images_seen: training length.
        photos: number of photos used.
        skipped: unreadable files with the reason.
        held_out: photos kept away from training, listed in ``held-out.json``.
    """

    path: Path
    images_seen: int
    photos: int
    skipped: list[str]
    held_out: int


def pack_photos(photos: list[Path], side: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Central squares of all readable photos, and one line for each that is not.

    Returns:
        uint8 (N, 3, side, side), and the reasons.
    """
    squares, skipped = [], []
    with progress(len(photos), unit="photo", label="reading photos") as bar:
        for path in photos:
            try:
                squares.append(centre_square(to_rgb(path), side).transpose(2, 0, 1))
            except InputError as error:
                skipped.append(str(error))
            bar.update()
    if not squares:
        raise InputError(f"none of {len(photos)} photos can be read; the first: {skipped[0]}")
    return np.stack(squares), skipped


class GanTrainer:
    """Generator, discriminator, average and optimisers, one step at a time.

    Args:
        config: sizes, learning rates and seed.
        photos: uint8 (N, 3, R, R).
        device: where to compute.
    """

    def __init__(
        self, config: GeneratorTrainConfig, photos: NDArray[np.uint8], device: torch.device
    ) -> None:
        self.config, self.device = config, device
        self.photos = torch.from_numpy(photos)
        sizes = config.latent_dim, config.resolution, config.width
        with seeded(config.seed):
            self.generator = self._place(CompactGenerator(*sizes))
            self.average = self._place(CompactGenerator(*sizes)).eval()
            self.discriminator = self._place(
                CompactDiscriminator(config.resolution, config.discriminator_width)
            )
        self.average.load_state_dict(self.generator.state_dict())
        betas = (0.0, 0.99)
        self.generator_adam = torch.optim.Adam(
            self.generator.parameters(), config.generator_lr, betas
        )
        self.discriminator_adam = torch.optim.Adam(
            self.discriminator.parameters(), config.discriminator_lr, betas
        )
        self.step_number = 0

    def _place(self, module: M) -> M:
        module.to(self.device).to(memory_format=torch.channels_last)
        return module

    @property
    def images_seen(self) -> int:
        """Real images shown so far."""
        return self.step_number * self.config.batch

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        modules = (
            "generator",
            "average",
            "discriminator",
            "generator_adam",
            "discriminator_adam",
        )
        return {name: getattr(self, name).state_dict() for name in modules} | {
            "step_number": self.step_number
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        for name, value in state.items():
            if name == "step_number":
                self.step_number = value
            else:
                getattr(self, name).load_state_dict(value)

    def step(self) -> tuple[float, float]:
        """One discriminator and one generator update; returns their losses."""
        rng = torch_stream("gan", self.config.seed, self.step_number)
        discriminator_loss = self._update_discriminator(rng)
        generator_loss = self._update_generator(rng)
        self._update_average()
        self.step_number += 1
        return discriminator_loss, generator_loss

    def _latents(self, rng: torch.Generator) -> Tensor:
        return torch.randn(self.config.batch, self.config.latent_dim, generator=rng).to(self.device)

    def _real(self, rng: torch.Generator) -> Tensor:
        """A random batch of photos, mirrored half of the time."""
        index = torch.randint(len(self.photos), (self.config.batch,), generator=rng)
        batch = self.photos[index].to(self.device).float() / 127.5 - 1
        mirrored = (torch.rand(len(batch), 1, 1, 1, generator=rng) < 0.5).to(self.device)
        return torch.where(mirrored, batch.flip(3), batch)

    def _update_discriminator(self, rng: torch.Generator) -> float:
        with mixed_precision(self.device):
            with torch.no_grad():
                fake = self.generator(self._latents(rng)).float()
            seen = augment(torch.cat([self._real(rng), fake]), rng)
            real_score, fake_score = self.discriminator(seen).float().chunk(2)
            loss = F.relu(1 - real_score).mean() + F.relu(1 + fake_score).mean()
        self.discriminator_adam.zero_grad()
        loss.backward()
        self.discriminator_adam.step()
        return float(loss.detach())

    def _update_generator(self, rng: torch.Generator) -> float:
        self.discriminator.requires_grad_(False)  # its gradients are not needed in this half
        with mixed_precision(self.device):
            fake = self.generator(self._latents(rng)).float()
            loss = -self.discriminator(augment(fake, rng)).float().mean()
        self.generator_adam.zero_grad()
        loss.backward()
        self.generator_adam.step()
        self.discriminator.requires_grad_(True)
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # short memory at first, so that the random start is forgotten (as in StyleGAN2's ramp-up)
        decay = min(self.config.ema, (1 + self.step_number) / (10 + self.step_number))
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, new in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def train_generator(
    sources: list[Path], out: Path, config: GeneratorTrainConfig, device: torch.device
) -> TrainedGenerator:
    """Train on all photos of ``sources``; goes on where a killed run stopped.

    Writes ``generator.safetensors``, ``samples.png`` (refreshed every few minutes), and
    ``checkpoint.pt`` into ``out``. The checkpoint stays, since a run may be made longer later.

    Raises:
        InputError: fewer than 100 readable photos.
        OutputConflictError: ``out`` belongs to another configuration.
    """
    photos = list_photos(sources)
    # the length may be raised later, to train on from the same checkpoint
    settings = {**config.settings(), "photos": [str(source.resolve()) for source in sources]}
    settings.pop("images")
    with claimed(out, "generator train", settings):
        training, held_out = split_photos(photos, config.held_out, config.seed)
        packed, skipped = _packed_photos(training, config.resolution, out)
        write_json(out / "held-out.json", [str(path) for path in held_out])
        trainer = GanTrainer(config, packed, device)
        checkpoint = out / "checkpoint.pt"
        if checkpoint.exists():
            restore(checkpoint, trainer.load_state)
        path = out / "generator.safetensors"
        _loop(trainer, config, checkpoint, path, out / "samples.png", len(packed))
    return TrainedGenerator(path, trainer.images_seen, len(packed), skipped, len(held_out))


def split_photos(photos: list[Path], share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Photos to train on and photos kept away, both in the given order."""
    chosen = numpy_stream("held-out photos", seed).permutation(len(photos))[
        : round(share * len(photos))
    ]
    away = set(chosen.tolist())
    training = [path for index, path in enumerate(photos) if index not in away]
    return training, [photos[index] for index in sorted(away)]


def _packed_photos(photos: list[Path], side: int, out: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """The packed photos, kept in ``out`` since decoding them again costs minutes."""
    store, record = out / "photos.npy", out / "skipped.json"
    if not store.exists():
        squares, skipped = pack_photos(photos, side)
        if len(squares) < MIN_PHOTOS:
            raise InputError(f"{len(squares)} readable photos; at least {MIN_PHOTOS} are needed")
        write_json(record, skipped)
        with replacing(store) as temporary, open(temporary, "wb") as file:
            _write_array(file, squares)
    try:
        packed: Any = np.load(store, mmap_mode="c", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{store}: damaged ({reason_of(error)}); remove it") from None
    is_array = isinstance(packed, np.ndarray) and packed.dtype == np.uint8
    if not is_array or packed.shape[1:] != (3, side, side):
        raise InputError(f"{store}: not the packed photos of {side} px; remove it")
    return packed, read_record(record, list)


def _write_array(file: IO[bytes], array: NDArray[np.uint8]) -> None:
    """As ``np.save``, which hides the system's reason of a failure."""
    described = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(file, described)
    for row in array:
        file.write(row.tobytes())


def _loop(
    trainer: GanTrainer,
    config: GeneratorTrainConfig,
    checkpoint: Path,
    path: Path,
    sheet: Path,
    photos: int,
) -> None:
    def save() -> None:
        save_torch(checkpoint, trainer.state())
        save_generator(
            path,
            "compact",
            trainer.average,
            trainer.average.config(),
            {
                "images_seen": trainer.images_seen,
                "photos": photos,
                "training": config.settings(),
                "code": code_version(),
            },
        )

    fixed = torch.randn(64, config.latent_dim, generator=torch_stream("sheet"))
    saved = drawn = time.monotonic()
    with progress(config.images, initial=trainer.images_seen, unit="img", label="GAN") as bar:
        while trainer.images_seen < config.images:
            discriminator_loss, generator_loss = trainer.step()
            bar.update(config.batch)
            bar.set_postfix(D=f"{discriminator_loss:.2f}", G=f"{generator_loss:.2f}", refresh=False)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save()
                saved = time.monotonic()
            if time.monotonic() - drawn > SHEET_SECONDS:
                _draw(trainer, fixed, sheet)
                drawn = time.monotonic()
    save()
    _draw(trainer, fixed, sheet)


@torch.no_grad()
def _draw(trainer: GanTrainer, latents: Tensor, sheet: Path) -> None:
    save_sheet(sheet, list(trainer.average(latents.to(trainer.device)).float().cpu().split(8)))
