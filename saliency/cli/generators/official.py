"""`saliency generator list`, `fetch`: families, and official weights by name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from saliency.cli.shared.options import add_json, report
from saliency.foundation.errors import UsageError

if TYPE_CHECKING:
    from directions.generators import Family
    from directions.generators.family import Weights


def add_actions(actions: Any) -> None:
    """Declare the actions."""
    add_json(actions.add_parser("list", help="families, and official weights by name"))
    fetch = actions.add_parser("fetch", help="download official weights into the cache folder")
    fetch.add_argument("name", metavar="NAME", help="as in `saliency generator list`")
    add_json(fetch)


def list_generators(arguments: argparse.Namespace) -> int:
    """Families, and the weights that have a name."""
    from directions.generators import EMBEDDED, FAMILIES
    from directions.generators.files.official import cache_folder

    official = [
        official_row(weights, family) for family in FAMILIES.values() for weights in family.weights
    ]
    families = [facts_of(family) for family in FAMILIES.values()]
    lines = ["Families:"]
    lines += [f"  {family.name:<12} {family.paper}" for family in FAMILIES.values()]
    lines += ["", "By name:"]
    lines += [f"  {name:<24} comes with the package" for name in EMBEDDED]
    for row in official:
        place = "here" if row["here"] else row["way"]
        size = f"{row['resolution']} px" if row["resolution"] else ""
        lines.append(f"  {row['name']:<24} {size:>8}  {place:<9} {row['licence']}")
    lines += [
        "",
        f"here: in the cache folder, {cache_folder()} (SALIENCY_CACHE moves it)",
        "download: comes when it is first used, or by `saliency generator fetch NAME`",
        "convert: `saliency generator fetch NAME` gets a pickle and says how to convert it",
        "by hand: `saliency generator info NAME` says from where, and where to put it",
    ]
    values = {"families": families, "embedded": list(EMBEDDED), "official": official}
    report(arguments, values, "\n".join(lines))
    return 0


def official_row(weights: Weights, family: Family) -> dict[str, Any]:
    """Official weights: where from, where to, and whether they are here."""
    from directions.generators.files.official import (
        checksum_of,
        converted_path,
        official_path,
        way_of,
    )

    path, way = official_path(weights), way_of(weights)
    published = path.exists() and way != "convert"
    return {
        "name": weights.name,
        "family": family.name,
        "resolution": weights.config.get("resolution"),
        "here": published or converted_path(weights).exists(),
        "way": way,
        "path": str(path),
        "url": weights.url,
        "checksum": checksum_of(weights),
        "licence": weights.licence,
        "note": weights.note,
    }


def fetch_weights(arguments: argparse.Namespace) -> int:
    """Download official weights now rather than when they are first used."""
    from data.store.files import sha256_of
    from directions.generators import FAMILIES
    from directions.generators.files.official import (
        fetch_official,
        how_to_convert,
        official_weights,
        way_of,
    )

    named = official_weights(FAMILIES)
    if arguments.name not in named:
        raise UsageError(f"NAME {arguments.name}: no official weights; valid: {', '.join(named)}")
    weights = named[arguments.name]
    path = fetch_official(weights)
    way = way_of(weights)
    values = {
        "name": weights.name,
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "licence": weights.licence,
        "way": way,
    }
    usage = f"use it as --generator {weights.name}"
    text = f"{path}: {values['bytes']:,} bytes, SHA-256 {values['sha256']}"
    report(arguments, values, f"{text}\n{how_to_convert(weights) if way == 'convert' else usage}")
    return 0


def facts_of(family: Family) -> dict[str, Any]:
    """What a family declares, in words."""
    return {
        "family": family.name,
        "paper": family.paper,
        "latent": family.latent,
        "spaces": list(family.spaces),
        "value_range": family.value_range,
        "classes": family.classes or "none",
        "truncation": family.truncation or "none",
        "recognised_by": family.looked_for,
    }
