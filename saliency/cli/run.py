"""`saliency run`: discover, synth, train and eval in one go."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_config, add_json, report, stage_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.pipeline import RunConfig

    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument(
        "--generator",
        default="compact",
        metavar="G",
        help="name, .safetensors file, or file.py:function (default: compact)",
    )
    parser.add_argument(
        "--benchmark", type=Path, metavar="DIR", help="score on these photos and masks"
    )
    parser.add_argument("--quick", action="store_true", help="every stage for real, in minutes")
    add_json(parser)
    add_config(parser, RunConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from saliency.pipeline import RunConfig, as_json, summary
    from saliency.stages.run import run as run_stages

    made = run_stages(
        arguments.generator,
        out=arguments.out,
        benchmark=arguments.benchmark,
        quick=arguments.quick,
        progress=True,
        **stage_options(arguments, RunConfig),
    )
    report(arguments, as_json(made), summary(made))
    return 0
