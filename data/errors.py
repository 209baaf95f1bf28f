"""Errors that a user can cause. The command line prints them as one line, without a traceback."""


class SaliencyError(Exception):
    """Base of every error that names a file or an option, the problem, and what would be valid."""


class InputError(SaliencyError, ValueError):
    """An input (photo, folder, artifact, value) cannot be used as it is."""


class UsageError(InputError):
    """An option's name or value is wrong whatever the files say; exit status 2."""


class OutputConflictError(SaliencyError):
    """An output folder belongs to another configuration; it is refused, never overwritten."""


class SkippedWarning(UserWarning):
    """An input that cannot be used was left out; the message names it and the problem."""


class NotFoundInGeneratorError(SaliencyError):
    """The search ran to its end and nothing it found deserves the name that was asked for."""
