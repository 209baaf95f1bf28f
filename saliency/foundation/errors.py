"""One tree of errors that a user can cause; the command line prints them as one line.

Messages name an option as its Python parameter in backquotes, as in "`size` 33: must be a
multiple of 32". The command line rewrites those names to its own, see
:meth:`SaliencyError.for_command_line`.
"""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


class SaliencyError(Exception):
    """Base of every error that names a file or an option, the problem, and what would be valid."""

    def for_command_line(self) -> str:
        """The message on one line, with "`label_size`" written as "--label-size"."""
        message = " ".join(str(self).split())
        return _PARAMETER.sub(lambda name: "--" + name[1].replace("_", "-"), message)


class InputError(SaliencyError, ValueError):
    """An input (photo, folder, artifact, value) cannot be used as it is."""


class UsageError(InputError):
    """An option's name or value is wrong whatever the files say; exit status 2."""


class ImageError(InputError):
    """Not an image that can be read; the message names it and the problem."""


class SegmenterError(InputError):
    """A segmenter's folder cannot be used; the message names it and the problem."""


class OutputConflictError(SaliencyError):
    """An output belongs to another configuration or photo; it is refused, never overwritten."""


class NotFoundInGeneratorError(SaliencyError):
    """The search ran to its end and nothing it found deserves the name that was asked for."""


class SkippedWarning(UserWarning):
    """An input that cannot be used was left out; the message names it and the problem."""
