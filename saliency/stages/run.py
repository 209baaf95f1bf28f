"""`run`: discover, synthesise, train and evaluate in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.runtime.progress import progress_shown
from directions.generators import load_generator
from saliency.pipeline import RunConfig, RunReport, run_pipeline
from saliency.recipes.settings import Settings, stage_config
from saliency.stages.devices import pick_device
from saliency.stages.paths import AnyPath


def run(
    generator: str = "compact",
    *,
    out: AnyPath,
    benchmark: AnyPath | None = None,
    quick: bool = False,
    config: Settings | None = None,
    progress: bool = False,
    **options: Any,
) -> RunReport:
    """Run the whole pipeline, as `saliency run` does.

    The same call goes on where a killed one stopped.

    Args:
        generator: see :func:`saliency.discover`.
        out: folder; gets ``discover/``, ``pairs/``, ``segmenter/``, ``score.json`` and
            ``picture.png``.
        benchmark: folder of photos and masks to score on; ``None``: pairs that were held out.
        quick: every stage for real, in minutes on two cores.
        config: a :class:`~saliency.pipeline.RunConfig`, a mapping, or a TOML file.
        progress: show bars on stderr.
        **options: single fields of :class:`~saliency.pipeline.RunConfig`: ``seed``, ``workers``,
            ``device``.

    Returns:
        One line per stage, the segmenter's folder, the picture, and the score.

    Raises:
        SaliencyError: as the stages do.
    """
    settings = stage_config(RunConfig, config=config, options=options)
    opened = load_generator(generator, pick_device(settings.device, say=progress))
    scored_on = None if benchmark is None else Path(benchmark)
    with progress_shown(progress):
        return run_pipeline(opened, settings, Path(out), quick=quick, benchmark=scored_on)
