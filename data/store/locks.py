"""Locks of the operating system, which end with the process that holds them however it ends.

A file that is being written is locked under its temporary name. What has such a name and is not
locked was left by a process that was killed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".saliency-tmp-"
"""Part of the names of files that are being written."""

_held: set[int] = set()
"""Handles whose files this process has locked."""
_cleaned: set[Path] = set()
_cleaning = threading.Lock()


def lock(handle: int) -> bool | None:
    """Lock an open file or folder, without waiting.

    Processes that are forked later do not hold the lock: they may outlive this one.

    Args:
        handle: its file descriptor, to be closed by :func:`release`.

    Returns:
        Whether it is locked now, false where another process has it; ``None`` where the system or
        the file system knows no such locks.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    _held.add(handle)
    return True


def release(handle: int) -> None:
    """Close a handle of :func:`lock`, which ends its lock; nothing in a forked process."""
    if handle in _held:
        _held.remove(handle)
        os.close(handle)


def _leave_to_the_parent() -> None:
    """A lock lasts as long as any process has its file open."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)


def own_temporary(path: Path) -> tuple[int, Path]:
    """A new empty file beside ``path``, and its handle for :func:`release`.

    It is locked where the system knows locks, so that nobody takes it for a stray. Its permissions
    are those of any new file: the system applies the umask, which no thread could ask for without
    changing it for the others.
    """
    while True:
        name = path.with_name(f".{path.stem}{TEMPORARY}{secrets.token_hex(4)}{path.suffix}")
        try:
            handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        except OSError as error:  # it names a file that the user does not know
            error.filename = str(path)
            raise
        own = lock(handle)
        # whoever cleans up may come between the two lines above
        if own is None or (own and os.fstat(handle).st_nlink):
            if own is None:
                os.close(handle)
            return handle, name
        _close(handle)


def _close(handle: int) -> None:
    if handle in _held:
        release(handle)
    else:
        os.close(handle)


def remove_strays_once(folder: Path) -> None:
    """Remove the strays in a folder when this process first asks for it."""
    place = folder.resolve()
    with _cleaning:
        if place in _cleaned:
            return
        _cleaned.add(place)
    remove_strays(place.glob(f".*{TEMPORARY}*"))


def remove_strays(named: Iterable[Path], *, folders: bool = False) -> None:
    """Remove temporary files that nobody is writing; with ``folders``, such folders, too."""
    for stray in list(named):
        if stray.is_dir() and not folders:
            continue
        try:
            handle = os.open(stray, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            continue
        if not lock(handle):
            pass
        elif stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            stray.unlink(missing_ok=True)
        _close(handle)


@contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """A new folder inside ``place`` for the time of the block; those of killed processes go."""
    remove_strays(place.glob(f".*{TEMPORARY}*"), folders=True)
    folder = Path(tempfile.mkdtemp(prefix=f".folder{TEMPORARY}", dir=place))
    handle = folder_handle(folder)
    if handle is not None:
        lock(handle)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            _close(handle)


def folder_handle(folder: Path) -> int | None:
    """A folder's file descriptor; ``None`` on Windows, which opens no folders."""
    try:
        return os.open(folder, os.O_RDONLY)
    except PermissionError:
        return None
