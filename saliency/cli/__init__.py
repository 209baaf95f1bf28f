"""The `saliency` command: one file a subcommand.

A subcommand's module has ``add_arguments(parser)`` and ``run(arguments) -> exit
status``; it is imported when its name is on the command line, so that `saliency --help` is fast.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from data.config import code_version
from data.runtime.memory import keep_freed_memory
from saliency.cli.shared.parser import USAGE, Parser
from saliency.cli.shared.process import Terminated, short_waits, skipped_in_one_line, terminable
from saliency.foundation.errors import (
    InputError,
    SaliencyError,
    UsageError,
    named,
    reason_of,
    system_message,
)
from saliency.foundation.terminal import printable

COMMANDS = {
    "discover": "find a generator's background-removal direction",
    "synth": "make image/mask pairs with it",
    "train": "train a segmenter on pairs",
    "self-train": "let a segmenter teach a new one on unlabelled photos",
    "eval": "score a segmenter on a benchmark",
    "predict": "segment photos",
    "video": "cut the object out of a video",
    "serve": "cut-outs over HTTP, and a page for them",
    "export": "write a segmenter for ONNX, TorchScript, OpenVINO or rembg",
    "run": "all of it in one go",
    "generator": "fetch, look at, convert, train generators; photos as latents",
    "data": "fetch a benchmark from its official source",
    "recipes": "settings named after the papers, for --recipe",
}
TRAINING = ("train", "self-train", "run")
"""Commands whose steps each need gigabytes again, see :mod:`data.runtime.memory`."""
DONE, FAILED, PARTLY = 0, 1, 3
INTERRUPTED, TERMINATED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 done, 1 failed, 2 wrong usage, 3 done in part (inputs were skipped, each named), 130
    interrupted, 143 terminated.

    Args:
        argv: the words after the program's name. Without them it is the program that runs, and
            SIGTERM is handled; in each case the process is left as it was.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None and words and words[0] in TRAINING:
        keep_freed_memory()
    with skipped_in_one_line(), short_waits():
        try:
            with terminable() if argv is None else nullcontext():
                return _run(words)
        except KeyboardInterrupt as error:
            print("saliency: interrupted; the same command goes on from here", file=sys.stderr)
            return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


def _run(words: list[str]) -> int:
    """Parse the command line and run the command, with one line for each kind of failure."""
    options: dict[str, str] | None = None
    try:
        _check_working_directory()
        arguments = _parser(words).parse_args(words)
        options = arguments.option_names
        status: int = arguments.run(arguments)
        with named("standard output"):
            sys.stdout.flush()
        return status
    except SaliencyError as error:
        status = USAGE if isinstance(error, UsageError) else FAILED
        return _complain(error.for_command_line(options), status)
    except BrokenPipeError:  # the reader of our output has gone, as in `saliency ... | head`
        _drop_output()
        return FAILED
    except OSError as error:
        _complain(system_message(error), FAILED)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return FAILED


def _check_working_directory() -> None:
    """Libraries end the program when it is gone, with messages that do not say so."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(f"the working directory: {reason_of(error)}; change to one") from None


def _drop_output() -> None:
    """What is left in the buffer of stdout goes nowhere, or Python would fail again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, status: int) -> int:
    print(f"saliency: error: {printable(message)}", file=sys.stderr)
    return status


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = Parser(
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
