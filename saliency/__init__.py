"""Latent Saliency: cuts the salient object out of a photo although nobody ever drew a mask for it.

>>> import saliency
>>> saliency.predict_mask("photo.jpg")          # doctest: +SKIP
array([[0.01, 0.02, ...]], dtype=float32)

The stages are calls, too: :func:`discover`, :func:`synthesise`, :func:`train`, :func:`self_train`,
:func:`evaluate`, and :func:`run` for all of them. Each means what the command of its name means.

The names are loaded when they are first used, so that ``import saliency`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data.synthesis import SynthConfig as SynthConfig
    from directions.discovery import DiscoverConfig as DiscoverConfig
    from saliency.cutting.cut_out import cut_out as cut_out
    from saliency.foundation.errors import ExportError as ExportError
    from saliency.foundation.errors import ImageError as ImageError
    from saliency.foundation.errors import InputError as InputError
    from saliency.foundation.errors import NotFoundInGeneratorError as NotFoundInGeneratorError
    from saliency.foundation.errors import OutputConflictError as OutputConflictError
    from saliency.foundation.errors import SaliencyError as SaliencyError
    from saliency.foundation.errors import SegmenterError as SegmenterError
    from saliency.foundation.errors import SkippedWarning as SkippedWarning
    from saliency.foundation.errors import UsageError as UsageError
    from saliency.inference.predict import predict_mask as predict_mask
    from saliency.inference.segmenter import Segmenter as Segmenter
    from saliency.pipeline import RunConfig as RunConfig
    from saliency.self_training.settings import SelfTrainConfig as SelfTrainConfig
    from saliency.stages.discover import discover as discover
    from saliency.stages.evaluate import evaluate as evaluate
    from saliency.stages.run import run as run
    from saliency.stages.self_train import self_train as self_train
    from saliency.stages.synthesise import synthesise as synthesise
    from saliency.stages.train import train as train
    from saliency.training.settings import TrainConfig as TrainConfig

_HOMES = {
    "DiscoverConfig": "directions.discovery",
    "ExportError": "saliency.foundation.errors",
    "ImageError": "saliency.foundation.errors",
    "InputError": "saliency.foundation.errors",
    "NotFoundInGeneratorError": "saliency.foundation.errors",
    "OutputConflictError": "saliency.foundation.errors",
    "RunConfig": "saliency.pipeline",
    "SaliencyError": "saliency.foundation.errors",
    "Segmenter": "saliency.inference.segmenter",
    "SegmenterError": "saliency.foundation.errors",
    "SelfTrainConfig": "saliency.self_training.settings",
    "SkippedWarning": "saliency.foundation.errors",
    "SynthConfig": "data.synthesis",
    "TrainConfig": "saliency.training.settings",
    "UsageError": "saliency.foundation.errors",
    "cut_out": "saliency.cutting.cut_out",
    "discover": "saliency.stages.discover",
    "evaluate": "saliency.stages.evaluate",
    "predict_mask": "saliency.inference.predict",
    "run": "saliency.stages.run",
    "self_train": "saliency.stages.self_train",
    "synthesise": "saliency.stages.synthesise",
    "train": "saliency.stages.train",
}

__all__ = [
    "DiscoverConfig",
    "ExportError",
    "ImageError",
    "InputError",
    "NotFoundInGeneratorError",
    "OutputConflictError",
    "RunConfig",
    "SaliencyError",
    "Segmenter",
    "SegmenterError",
    "SelfTrainConfig",
    "SkippedWarning",
    "SynthConfig",
    "TrainConfig",
    "UsageError",
    "cut_out",
    "discover",
    "evaluate",
    "predict_mask",
    "run",
    "self_train",
    "synthesise",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'saliency' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
