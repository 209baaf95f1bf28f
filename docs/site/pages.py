"""Pages of the site that stand elsewhere in the repository, or are written by the program itself.

Model cards, README and CONTRIBUTING stay where people look for them; here they become pages, and
links between them lead to pages. The command reference comes from the commands' own parsers.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "saliency/weights/default/README.md": "model-cards/default.md",
    "saliency/weights/strict/README.md": "model-cards/strict.md",
    "directions/weights/compact.md": "model-cards/compact.md",
}
"""Files of the repository and the pages that they become."""
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
WIDTH = 96


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    texts = {page: (ROOT / source).read_text("utf-8") for source, page in ELSEWHERE.items()}
    texts["commands.md"] = command_reference()
    for page, text in texts.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to other files of the repository lead to the site's pages."""
    home = page.file.src_uri
    source = next((path for path, name in ELSEWHERE.items() if name == home), f"docs/{home}")

    def relinked(link: re.Match[str]) -> str:
        target = link[2]
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = normpath(str(PurePosixPath(source).parent / target))
        name = ELSEWHERE.get(path, path.removeprefix("docs/"))
        if path not in ELSEWHERE and not path.startswith("docs/"):
            return f"{link[1]}{target}{link[3] or ''}{link[4]}"  # strict mode reports it
        return f"{link[1]}{relpath(name, str(PurePosixPath(home).parent))}{link[3] or ''}{link[4]}"

    return _LINK.sub(relinked, markdown)


def command_reference() -> str:
    """Every command's help, as its parser prints it."""
    from saliency.cli import COMMANDS, _parser

    lines = ["# Commands", "", "What `saliency COMMAND --help` prints, for every command.", ""]
    for name in COMMANDS:
        for title, parser in _with_actions(name, _subparser(_parser([name]), name)):
            parser.formatter_class = _Wide
            lines += [f"## saliency {title}", "", "```text", parser.format_help().rstrip(), "```"]
            lines.append("")
    return "\n".join(lines)


class _Wide(argparse.HelpFormatter):
    """As wide as the site's code blocks, whatever the terminal."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, width=WIDTH)


def _subparser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    return dict(_choices(parser))[name]


def _with_actions(
    title: str, parser: argparse.ArgumentParser
) -> list[tuple[str, argparse.ArgumentParser]]:
    """The command itself, then its actions, such as ``generator train``."""
    listed = [(title, parser)]
    for name, action in _choices(parser):
        listed += _with_actions(f"{title} {name}", action)
    return listed


def _choices(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    groups = [
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ]
    return [choice for group in groups for choice in group.choices.items()]
