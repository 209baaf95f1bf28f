"""`saliency data`: list the published benchmarks, and fetch them from their official source."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from saliency.cli.shared.options import add_json, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    from data.benchmarks.published import PUBLISHED

    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what can be fetched, and from where")
    listing.set_defaults(action=show)
    fetching = actions.add_parser("fetch", help="download and unpack one")
    fetching.add_argument("name", choices=tuple(PUBLISHED), help="which one")
    fetching.add_argument("--to", type=Path, required=True, metavar="DIR", help="target folder")
    fetching.set_defaults(action=get)
    for action in (listing, fetching):
        add_json(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the action."""
    status: int = arguments.action(arguments)
    return status


def show(arguments: argparse.Namespace) -> int:
    """Print every published benchmark."""
    from data.benchmarks.published import PUBLISHED

    lines = []
    for each in PUBLISHED.values():
        lines.append(f"{each.name:10} {each.title}, {each.photos:,} photos")
        lines += [f"{'':10} {archive.url}" for archive in each.archives]
        lines.append(f"{'':10} terms: {each.homepage}")
    values = {name: asdict(each) for name, each in PUBLISHED.items()}
    report(arguments, values, "\n".join(lines))
    return 0


def get(arguments: argparse.Namespace) -> int:
    """Fetch one; the terms come first."""
    from data.benchmarks.fetching import fetch
    from data.benchmarks.published import PUBLISHED

    published = PUBLISHED[arguments.name]
    notice = f"{published.title}: {published.notice}\nHomepage: {published.homepage}"
    print(notice, file=sys.stderr, flush=True)
    fetched = fetch(published, arguments.to)
    digests = "".join(f"\n  {digest}  {name}" for name, digest in fetched.sha256.items())
    report(
        arguments,
        {"name": published.name, **asdict(fetched), "folder": str(fetched.folder)},
        f"{fetched.folder}: {fetched.photos:,} pairs; score with --benchmark {fetched.folder}"
        f"\nSHA-256 of what they came in:{digests}",
    )
    return 0
