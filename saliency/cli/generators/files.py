"""`saliency generator info`, `sample`, `convert`: what a generator is, draws, and becomes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.config import SamplingConfig
from saliency.cli.generators.official import facts_of, official_row
from saliency.cli.shared.options import add_config, add_json, read_config, report
from saliency.foundation.errors import InputError, UsageError
from saliency.stages.sources import GENERATOR_HELP, sampled_generator

if TYPE_CHECKING:
    from directions.generators import OpenedFile

PIXELS_AT_ONCE = 8 * 128 * 128
"""Images are made in batches of about so many pixels: one of 512 px, eight of 128."""
IGNORED_SHOWN = 3


class SampleConfig(SamplingConfig):
    """Options of `saliency generator sample`."""


def add_actions(actions: Any) -> None:
    """Declare the actions."""
    info = actions.add_parser("info", help="what a generator is, and how it is sampled")
    info.add_argument("generator", metavar="G", help=GENERATOR_HELP)
    add_json(info)
    sample = actions.add_parser("sample", help="draw a sheet of samples")
    sample.add_argument("generator", metavar="G", help=GENERATOR_HELP)
    sample.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    sample.add_argument("--count", type=int, default=32, metavar="N", help="samples (default: 32)")
    sample.add_argument("--columns", type=int, default=8, metavar="N", help="(default: 8)")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    sample.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(sample)
    add_config(sample, SampleConfig)
    convert = actions.add_parser(
        "convert", help="a published checkpoint, or NVIDIA's .pkl, to .safetensors with its config"
    )
    convert.add_argument("source", metavar="IN", help="checkpoint, .pkl, or official name")
    convert.add_argument("out", type=Path, metavar="OUT", help=".safetensors file to write")
    add_json(convert)


def show_info(arguments: argparse.Namespace) -> int:
    """What a generator is; of official weights that are not here, where to get them."""
    from directions.generators import FAMILIES, load_generator, open_generator, wrap_generator
    from directions.generators.foreign import is_torchscript

    source: str = arguments.generator
    known = [
        (weights, family)
        for family in FAMILIES.values()
        for weights in family.weights
        if weights.name == source
    ]
    official = official_row(*known[0]) if known else None
    if official and not official["here"]:
        _show(arguments, {**official, **facts_of(known[0][1]), "config": dict(known[0][0].config)})
        return 0
    if ".py:" in source or is_torchscript(Path(source)):
        generator, values = load_generator(source), {}
    else:
        opened = open_generator(source)
        generator, values = wrap_generator(opened, source), _contents(opened)
    values |= {
        "generator": source,
        "latent_dim": generator.latent_dim,
        "resolution": generator.resolution,
        "fingerprint": generator.fingerprint,
    }
    _show(arguments, {**(official or {}), **values})
    return 0


def _contents(opened: OpenedFile) -> dict[str, Any]:
    from directions.generators.classes import class_names

    facts = facts_of(opened.family)
    count = opened.config.get("classes")
    if count is not None and class_names(count) is None:
        facts["classes"] = f"{count}, without names"
    return {
        **facts,
        "config": opened.config,
        "parameters": sum(p.numel() for p in opened.network.parameters()),
        "inside": opened.key or "the whole file",
        "ignored": opened.ignored,
        "provenance": opened.provenance,
    }


def _show(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    shown = dict(values)
    ignored = shown.pop("ignored", {})
    if ignored:
        reasons: dict[str, list[str]] = {}
        for name, reason in ignored.items():
            reasons.setdefault(reason, []).append(name)
        shown["not needed"] = "; ".join(
            f"{len(names)} tensors ({', '.join(names[:IGNORED_SHOWN])}"
            f"{', ...' if len(names) > IGNORED_SHOWN else ''}): {reason}"
            for reason, names in reasons.items()
        )
    lines = [f"{name.replace('_', ' ') + ':':<15} {_plain(value)}" for name, value in shown.items()]
    report(arguments, values, "\n".join(lines))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value in (None, "") else str(value)


def draw_samples(arguments: argparse.Namespace) -> int:
    """A sheet of samples; of conditional generators, each sample's class is reported."""
    import torch

    from data.images.sheets import check_sheet, save_sheet
    from data.runtime.seeds import torch_stream
    from saliency.stages.devices import pick_device

    check_sheet("out", arguments.out, [arguments.generator])
    for option in ("count", "columns"):
        if getattr(arguments, option) < 1:
            raise UsageError(f"--{option} {getattr(arguments, option)}: must be at least 1")
    config = read_config(arguments, SampleConfig)
    device = pick_device(arguments.device)
    generator, config = sampled_generator(arguments.generator, config, device)
    latents = generator.sample(arguments.count, torch_stream("samples", arguments.seed))
    batch = max(1, PIXELS_AT_ONCE // generator.resolution**2)
    with torch.no_grad():
        images = torch.cat(
            [
                generator.generate(latents[start : start + batch]).cpu()
                for start in range(0, arguments.count, batch)
            ]
        )
    save_sheet(arguments.out, list(images.split(arguments.columns)))
    classes = None if latents.classes is None else latents.classes.tolist()
    values = {
        "sheet": str(arguments.out),
        "generator": arguments.generator,
        "resolution": generator.resolution,
        "count": arguments.count,
        "seed": arguments.seed,
        "classes": classes,
        "truncation": config.truncation,
    }
    drawn = f", of {len(set(classes))} classes" if classes else ""
    text = f"{arguments.out}: {arguments.count} samples of {generator.resolution} px{drawn}"
    report(arguments, values, text)
    return 0


def convert_file(arguments: argparse.Namespace) -> int:
    """Write a generator as a safetensors file with its family and config."""
    from data.store.files import check_writable, sha256_of
    from directions.generators import fingerprint, generator_file
    from directions.generators.files.store import save_generator

    out: Path = arguments.out
    if out.suffix != ".safetensors":
        raise UsageError(f"OUT {out}: must end in .safetensors")
    source = generator_file(arguments.source)
    check_writable("out", out, [source])
    opened = _opened(arguments.source)
    provenance = {"converted_from": source.name, "ignored": opened.ignored, **opened.provenance}
    if source.is_file():
        provenance["sha256"] = sha256_of(source)
    save_generator(out, opened.family.name, opened.network, opened.config, provenance)
    values = {
        "generator": str(out),
        "family": opened.family.name,
        "config": opened.config,
        "fingerprint": fingerprint(opened.network.state_dict()),
        "ignored": opened.ignored,
    }
    text = (
        f"{out}: {opened.family.name}, {opened.config['resolution']} px; "
        f"{len(opened.ignored)} published tensors not needed"
    )
    report(arguments, values, text)
    return 0


def _opened(source: str) -> OpenedFile:
    """A file that opens as it is, or one of NVIDIA's pickles through the restricted reader."""
    from directions.generators import FAMILIES, OpenedFile, open_generator
    from directions.generators.files.nvidia_pickle import convert_nvidia
    from directions.generators.loading import build

    path = Path(source)
    if ".py:" in source:
        raise InputError(f"{source}: a program has no config to be written; it is used as it is")
    if path.suffix != ".pkl":
        return open_generator(source)
    name, config, tensors, ignored = convert_nvidia(path)
    network = build(FAMILIES[name], config, tensors, path)
    return OpenedFile(FAMILIES[name], config, network, ignored)
