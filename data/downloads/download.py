"""Files from the web: downloads that are resumed, checked, and never made twice at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from data.runtime.progress import progress as progress_bar
from data.store.files import sha256_of
from saliency.foundation.errors import InputError, named, reason_of

ATTEMPTS = 5
PAUSE = 1.0
TIMEOUT = 60.0
CHUNK = 1 << 18


class _InterruptedError(Exception):
    """The transfer broke off in a way that another attempt may mend."""


def download(
    url: str,
    path: Path | str,
    *,
    sha256: str | None = None,
    attempts: int = ATTEMPTS,
    pause: float = PAUSE,
    progress: bool = True,
) -> str:
    """Download a file, going on where an earlier attempt or an earlier run broke off.

    It arrives under a hidden name beside ``path`` and is renamed once it is whole and right. A
    file that is there already is only checked. Of two processes that fetch the same file the second
    waits for the first.

    Args:
        url: http or https.
        path: where it goes.
        sha256: what its content has to be, if known.
        attempts: how many may bring nothing new before it is given up.
        pause: seconds before the second attempt, doubled before each further one.
        progress: show a bar on stderr.

    Returns:
        Hexadecimal SHA-256 of the file.

    Raises:
        InputError: not to be had, or the checksum is wrong.
    """
    path = Path(path)
    if path.exists():
        return _checked(path, path, sha256)
    with _alone(path):
        if path.exists():  # another process has fetched it in the meantime
            return _checked(path, path, sha256)
        return _download(url, path, sha256, attempts, pause, progress)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process fetches this file; the lock is that of what has arrived of it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    partial = _partial(path)
    while True:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # whoever had the lock may have given the file its final name
        if partial.exists() and os.fstat(handle).st_ino == partial.stat().st_ino:
            break
        os.close(handle)
        if path.exists():
            yield
            return
    try:
        yield
    finally:
        if partial.exists() and not _size(partial):
            partial.unlink()
        os.close(handle)


def _download(
    url: str, path: Path, sha256: str | None, attempts: int, pause: float, progress: bool
) -> str:
    partial = _partial(path)
    failures, farthest = 0, _size(partial)
    while True:
        try:
            _receive(url, path, progress)
            break
        except _InterruptedError as error:
            failures = 0 if _size(partial) > farthest else failures + 1
            farthest = max(farthest, _size(partial))
            if failures >= attempts:
                raise _unreachable(url, path, str(error), attempts) from None
        time.sleep(pause * 2 ** max(failures - 1, 0))
    digest = _checked(partial, path, sha256)
    with open(partial, "rb") as whole:
        os.fsync(whole.fileno())
    os.replace(partial, path)
    return digest


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checked(path: Path, final: Path, sha256: str | None) -> str:
    """The file's SHA-256; a wrong download is removed, a wrong file of the user's is not."""
    digest = sha256_of(path)
    if sha256 is None or digest == sha256:
        return digest
    if path != final:
        path.unlink()
    advice = "remove it and try again" if path == final else "it was removed; try again"
    raise InputError(f"{final}: SHA-256 is {digest}, must be {sha256}; {advice}")


def _unreachable(url: str, path: Path, reason: str, attempts: int) -> InputError:
    return InputError(
        f"{url}: cannot be downloaded ({reason}; {attempts} attempts in a row brought nothing); "
        f"the same command goes on from here, or get the file elsewhere and put it at {path}"
    )


def _receive(url: str, path: Path, progress: bool) -> None:
    """One attempt: append what is missing.

    Raises:
        InputError: the server says that there is no such file.
        _InterruptedError: anything that may pass.
    """
    partial = _partial(path)
    have = _size(partial)
    response = _open(url, path, have)
    if response is None:
        return
    with response:
        start = have if _resumes(response, partial, have) else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        bar = progress_bar(total, initial=start, unit="B", label=path.name) if progress else None
        if bar is not None:
            bar.unit_scale = True
        mode = "ab" if start else "wb"
        with named(partial), open(partial, mode) as file, nullcontext() if bar is None else bar:
            while block := _read(response):
                file.write(block)
                if bar is not None:
                    bar.update(len(block))
    if total is not None and _size(partial) != total:
        raise _InterruptedError(f"connection cut at {_size(partial):,} of {total:,} bytes")


def _open(url: str, path: Path, have: int) -> HTTPResponse | None:
    """The server's answer, from byte ``have`` on; None when nothing is missing."""
    headers = {"User-Agent": "latent-saliency"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
        return response
    except HTTPError as error:
        if error.code == 416:  # nothing from there on: it is whole, or not the same file
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return None
            os.truncate(_partial(path), 0)  # not removed: it holds the lock
        elif error.code < 500 and error.code not in (408, 429):
            raise InputError(
                f"{url}: HTTP status {error.code} ({error.reason}); get the file elsewhere and "
                f"put it at {path}"
            ) from None
        raise _InterruptedError(f"HTTP status {error.code}") from None
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise _InterruptedError(
            reason_of(reason) if isinstance(reason, BaseException) else str(reason)
        ) from None


def _resumes(response: HTTPResponse, partial: Path, have: int) -> bool:
    """Whether the answer goes on at byte ``have``; a whole file is taken from its start."""
    if response.status != 206:
        return False
    if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        os.truncate(partial, 0)
        raise _InterruptedError("the server sent another part than was asked for")
    return True


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (HTTPException, OSError) as error:  # of the connection; those of the disk pass through
        raise _InterruptedError(f"connection cut ({reason_of(error)})") from None
