"""One tree of errors that a user can cause; the command line prints them as one line.

Messages name an option as its Python parameter in backquotes, as in "`size` 33: must be a
multiple of 32". The command line rewrites those names to its own, see
:meth:`SaliencyError.for_command_line`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from saliency.foundation.terminal import printable

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


class SaliencyError(Exception):
    """Base of every error that names a file or an option, the problem, and what would be valid."""

    def for_command_line(self, options: Mapping[str, str] | None = None) -> str:
        """The message on one line, with "`label_size`" written as "--label-size".

        What a terminal would obey is escaped (:func:`~saliency.foundation.terminal.printable`).

        Args:
            options: what the command calls each parameter; parameters that are none of its options
                stay as they are. Without it, every parameter is an option of its own name.
        """
        message = printable(re.sub(r"[ \t\r]*\n\s*", " ", str(self)))
        return _PARAMETER.sub(lambda name: _option(name[1], name[0], options), message)


def _option(name: str, quoted: str, options: Mapping[str, str] | None) -> str:
    return "--" + name.replace("_", "-") if options is None else options.get(name, quoted)


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


class ExportError(SaliencyError):
    """An exported file does not compute what the segmenter does; it is not kept."""


class NotFoundInGeneratorError(SaliencyError):
    """The search ran to its end and nothing it found deserves the name that was asked for."""


class SkippedWarning(UserWarning):
    """An input that cannot be used was left out; the message names it and the problem."""


def reason_of(error: BaseException) -> str:
    """What an error of another package says, in one line: of the system's errors, their reason.

    The file's name is left out, since the message around it names the file.
    """
    if isinstance(error, OSError) and error.strerror:
        # pyarrow wraps it, as in "Failed to open local file 'x'. Detail: [errno 2] No such file"
        if "[errno" in error.strerror and error.errno is not None:
            return os.strerror(error.errno)
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def system_message(error: OSError) -> str:
    """An error of the system as "PATH: reason", without its number."""
    if not error.strerror:
        return reason_of(error)
    # of two names the second is the one that a file was to get
    path = error.filename if error.filename2 is None else error.filename2
    return reason_of(error) if path is None else f"{_text(path)}: {reason_of(error)}"


def system_error(error: Exception, path: object) -> OSError:
    """The system's error that safetensors tells of in words, as in "... (os error 28)"."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    if number is None:
        return OSError(f"{path}: cannot be written ({reason_of(error)})")
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path))


@contextmanager
def named(path: object, *temporary: object) -> Iterator[None]:
    """Errors of the system inside the block are of this file, unless they name another one.

    Args:
        path: the file's name for messages.
        temporary: names of it that the user does not know.
    """
    try:
        yield
    except OSError as error:
        if not error.strerror or error.errno is None:
            if not isinstance(error, BrokenPipeError):
                raise OSError(f"{path}: cannot be written ({reason_of(error)})") from error
        elif error.filename is None or str(error.filename) in map(str, temporary):
            error.filename, error.strerror = str(path), os.strerror(error.errno)
        raise


def _text(path: object) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)
