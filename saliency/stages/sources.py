"""Generators as the stages' options ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from data.config import SamplingConfig

if TYPE_CHECKING:
    import torch

    from directions.generators import Generator

C = TypeVar("C", bound=SamplingConfig)

GENERATOR_HELP = (
    "official name (`saliency generator list`), checkpoint, TorchScript file, or file.py:function"
)


def sampled_generator(source: str, config: C, device: torch.device) -> tuple[Generator, C]:
    """A generator that samples as ``config`` says, and the config with its classes resolved.

    The resolved config has indices where a user wrote names or a list file, so that the folder it
    is recorded in belongs to the classes, not to a spelling.

    Raises:
        InputError: no such generator.
        UsageError: classes, truncation or space that it does not have.
    """
    from directions.generators import ClassGenerator, Sampling, load_generator

    sampling = Sampling(config.classes, config.truncation, config.space)
    generator = load_generator(source, device, sampling)
    if config.classes is not None and isinstance(generator, ClassGenerator):
        indices = ",".join(map(str, generator.classes.tolist()))
        config = config.model_copy(update={"classes": indices})
    return generator, config


def as_discovered(config: C, found: dict[str, Any]) -> C:
    """``config`` with a direction's own sampling where it names none.

    Args:
        config: of a later stage.
        found: the settings with which the direction was found.
    """
    names = SamplingConfig.model_fields
    own = {name: found[name] for name in names if found.get(name) is not None}
    given = {name for name in names if getattr(config, name) is not None}
    return config.model_copy(update={name: own[name] for name in own.keys() - given})
