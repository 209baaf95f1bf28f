"""A parser that complains in one line, for the command that was meant, with the nearest name."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from saliency.foundation.errors import UsageError

USAGE = 2
EXIT_STATUS = (
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 done in part (inputs were skipped, each named "
    "with its reason), 130 interrupted, 143 terminated."
)


class Parser(argparse.ArgumentParser):
    """Declares a command's options; subcommands are parsed by others of this kind.

    The help ends with what the exit statuses mean.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"epilog": EXIT_STATUS, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Print this command's own usage and the message, a line each; exit with status 2."""
        error = UsageError(message.removeprefix("argument "))
        print(f"{self._usage()}\nsaliency: error: {error.for_command_line()}", file=sys.stderr)
        raise SystemExit(USAGE)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As of the base class, but nothing may stay unknown: a command parses all its words."""
        words = sys.argv[1:] if args is None else list(args)
        for option in self._options_among(words):
            if not any(known.startswith(option) for known in self._option_string_actions):
                self.error(self._unknown(option, self._option_string_actions, "options"))
        parsed, rest = super().parse_known_args(words, namespace)
        names = {each.dest: _name(each) for each in self._actions}
        parsed.option_names = names | getattr(parsed, "option_names", {})
        if rest:
            self.error(f"{' '.join(rest)}: not expected; `{self.prog} --help` says what is")
        return parsed, rest

    def _options_among(self, words: Iterable[str]) -> Iterable[str]:
        """Long options before the name of a subcommand; argparse takes no such word for a value."""
        subcommands = {
            name
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name in action.choices
        }
        for word in words:
            if word == "--" or word in subcommands:
                return
            if word.startswith("--"):
                yield word.split("=", 1)[0]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, or an unknown subcommand."""
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, self._unknown(str(value), names, "commands"))
        raise argparse.ArgumentError(None, f"{_name(action)} {value}: valid are {', '.join(names)}")

    def _unknown(self, name: str, known: Iterable[str], what: str) -> str:
        near = difflib.get_close_matches(name, sorted(known), n=1)
        if near:
            return f"{name}: unknown; did you mean {near[0]}?"
        return f"{name}: unknown; `{self.prog} --help` lists the {what}"

    def _usage(self) -> str:
        """What must be given, on one line; the whole of it is in ``--help``."""
        needed = [each for each in self._actions if each.required or not each.option_strings]
        formatter = argparse.HelpFormatter(f"{self.prog} [OPTIONS]", width=1000)
        formatter.add_usage(None, needed, [])
        return formatter.format_help().strip()


def _name(action: argparse.Action) -> str:
    """What messages call an option or a positional argument."""
    if action.option_strings:
        return action.option_strings[-1]
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()
