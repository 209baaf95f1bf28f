"""The `saliency` command: one file a subcommand.

A subcommand's module has ``add_arguments(parser)`` and ``run(arguments) -> exit
status``; it is imported when its name is on the command line, so that `saliency --help` is fast.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from data.config import code_version
from saliency.foundation.errors import SaliencyError, SkippedWarning, UsageError

COMMANDS = {
    "discover": "find a generator's background-removal direction",
    "synth": "make image/mask pairs with it",
    "train": "train a segmenter on pairs",
    "self-train": "let a segmenter teach a new one on unlabelled photos",
    "eval": "score a segmenter on a benchmark",
    "predict": "segment photos",
    "run": "all of it in one go",
    "generator": "fetch, look at, convert, train generators; photos as latents",
    "data": "fetch a benchmark from its official source",
    "recipes": "settings named after the papers, for --recipe",
}
DONE, FAILED, USAGE, PARTLY = 0, 1, 2, 3
INTERRUPTED = 130
SPINS = "5000"
"""How often a waiting thread of GNU OpenMP looks again before it sleeps. Its default, hundreds of
thousands, keeps a core from whatever else wants it: beside another busy program every layer of a
network waits for threads that wait (``benchmarks/busy_machine.py``)."""

_python_shows = warnings.showwarning


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 done, 1 failed, 2 wrong usage, 3 done in part (inputs were skipped, each named).
    """
    warnings.showwarning = _show_warning
    if "OMP_WAIT_POLICY" not in os.environ:  # read when PyTorch is loaded, which is later
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    arguments_given = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(arguments_given).parse_args(arguments_given)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        return _complain(error, USAGE)
    except SaliencyError as error:
        return _complain(error, FAILED)
    except BrokenPipeError:  # the reader of our output has gone, as in `saliency ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        print("saliency: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Skipped inputs in one line, once each; anything else as Python does."""
    if issubclass(category, SkippedWarning):
        print(f"saliency: skipped: {message}", file=sys.stderr)
    else:
        _python_shows(message, category, filename, lineno, file, line)


def _complain(error: Exception, status: int) -> int:
    if isinstance(error, SaliencyError):
        message = error.for_command_line()
    else:
        message = " ".join(str(error).split())
    print(f"saliency: error: {message}", file=sys.stderr)
    return status


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="saliency",
        description="Cuts the salient object out of a photo although nobody ever drew a mask.",
    )
    parser.add_argument("--version", action="version", version=f"saliency {code_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == wanted:
            module = importlib.import_module(f"saliency.cli.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
