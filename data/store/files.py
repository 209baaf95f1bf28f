"""Safe file writing: nothing is ever half written, and a folder remembers what it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from data.store.bounds import check_archive, is_program
from data.store.locks import (
    TEMPORARY,
    folder_handle,
    lock,
    own_temporary,
    release,
    remove_strays,
    remove_strays_once,
)
from data.store.tensors import check_tensors
from saliency.foundation.errors import (
    InputError,
    OutputConflictError,
    UsageError,
    named,
    reason_of,
    system_error,
)
from saliency.foundation.json_text import MAX_BYTES, parse_json
from saliency.foundation.tensor_files import check_tensor_file

Record = TypeVar("Record")

RUN_FILE = "run.json"
REPORT_FILE = "report.json"
SPECIAL = "is a pipe, socket or device; name a file"

_held: Counter[Path] = Counter()
_holding = threading.Lock()


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed to ``path`` in one step.

    A process killed inside the block leaves ``path`` as it was before, and a temporary file. The
    next process that writes into that folder removes it. Its name starts with a dot and keeps the
    suffix, since several writers choose their format by it.
    """
    path = Path(path)
    if _is_special(path):
        raise InputError(f"{path}: {SPECIAL}")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_strays_once(path.parent)
    handle, temporary = own_temporary(path)
    permissions = stat.S_IMODE(temporary.stat().st_mode)
    try:
        with named(path, temporary):
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(permissions)  # some writers make private files
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        release(handle)


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, socket or device, whose place a file would take."""
    return path.exists() and not path.is_file() and not path.is_dir()


def check_writable(parameter: str, path: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """Refuse an output file that could not be written, before the work that makes its content.

    Args:
        parameter: what names the file, for the message.
        path: of the file; missing folders above it are created when it is written.
        inputs: files that it must not be.

    Raises:
        UsageError: a folder, a device or an input has this name, or a file that of a folder above.
        InputError: the folder does not let files be written in it.
    """
    path = Path(path)
    what = f"`{parameter}` {path}"
    if path.is_dir():
        raise UsageError(f"{what}: is a folder; name a file")
    if _is_special(path):
        raise UsageError(f"{what}: {SPECIAL}")
    if path.exists() and any(Path(each).exists() and path.samefile(each) for each in inputs):
        raise UsageError(f"{what}: is an input; name another file")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{what}: {above} is a file; a folder is needed there")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{what}: no files can be written in {above}")


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing, cannot be read, or is not JSON.
    """
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: too long for JSON; at most {MAX_BYTES:,} bytes are read")
        text = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}") from None
    return parse_json(text, str(path))


def read_record(path: Path | str, make: Callable[[Any], Record]) -> Record:
    """What ``make`` makes of a JSON file that a stage wrote.

    Raises:
        InputError: as :func:`read_json`, or the file lacks what it needs.
    """
    value = read_json(path)
    try:
        return make(value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: damaged, or of another version ({type(error).__name__}: {reason_of(error)})"
        ) from None


def sha256_of(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_torch(path: Path | str, state: dict[str, Any]) -> None:
    """``torch.save``, whole or not at all (tensors and plain containers only)."""
    import torch

    with replacing(path) as temporary, open(temporary, "wb") as file:
        recorded: Any = _Recorded(file)
        torch.save(state, recorded)
        if recorded.error is not None:
            raise recorded.error


class _Recorded:
    """A file for torch's writer, which hides the system's errors: the first one is kept here."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        if self.error is None:
            try:
                self.file.write(content)
            except OSError as error:
                self.error = error
        return len(content)

    def flush(self) -> None:
        """Nothing: the file is flushed when it is closed, and there an error shows."""


def load_torch(path: Path | str) -> dict[str, Any]:
    """Load a checkpoint without unpickling code.

    Raises:
        InputError: the file is damaged or holds more than tensors and plain containers.
    """
    import torch

    try:
        check_archive(path)
        if is_program(path):
            raise InputError(f"{path}: a TorchScript program, not a checkpoint")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged file makes torch raise whatever it stumbles on
        raise InputError(f"{path}: not a checkpoint of this program ({reason_of(error)})") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint of this program ({type(state).__name__})")
    check_tensors(state, str(path))
    return state


def restore(path: Path | str, load: Callable[[dict[str, Any]], object]) -> None:
    """Go on from a checkpoint: :func:`load_torch`, and what ``load`` takes from it.

    Raises:
        InputError: it is damaged, or of another network or version.
    """
    state = load_torch(path)
    try:
        load(state)
    except Exception as error:  # whatever is missing, or of another type or shape
        reason = reason_of(error)
        raise InputError(
            f"{path}: not a checkpoint of this run ({reason}); remove it, and the run starts anew"
        ) from None


def save_tensors(path: Path | str, tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; the same content gives the same bytes."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
            _sort_metadata(temporary)
        except SafetensorError as error:
            raise system_error(error, path) from None


def _sort_metadata(path: Path) -> None:
    """The library writes the metadata's keys in an order that changes from process to process."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(ordered) > length:  # another way of writing it: the tensors' places would be wrong
            return
        file.seek(8)
        file.write(ordered.ljust(length))


def load_tensors(path: Path | str) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        InputError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_tensor_file(path)
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({reason_of(error)})") from None


@contextmanager
def claimed(folder: Path | str, stage: str, settings: dict[str, Any]) -> Iterator[Path]:
    """:func:`claim_folder`, and no other process writes there until the block ends.

    The claim is the operating system's lock of the folder itself, so that it ends with the process
    however that ends. Temporary files that a killed process left are removed. A stage may claim
    folders inside its own, and the same folder again.

    Args:
        folder: output folder, created when missing.
        stage: name of the command.
        settings: see :func:`claim_folder`.

    Raises:
        OutputConflictError: as :func:`claim_folder`, or another process is writing there.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputConflictError(f"`out` {folder}: is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes the first holds the lock
        yield claim_folder(folder, stage, settings)
        return
    with _locked(folder):
        remove_strays(folder.rglob(f".*{TEMPORARY}*"), folders=True)
        yield claim_folder(folder, stage, settings)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; threads and stages of one process share it."""
    place = folder.resolve()
    with _holding:
        first = not any(_held[held] for held in (place, *place.parents))
        handle = _lock(place) if first else None
        _held[place] += 1
    try:
        yield
    finally:
        with _holding:
            _held[place] -= 1
        if handle is not None:
            release(handle)


def _lock(folder: Path) -> int | None:
    """The handle that holds the lock; ``None`` where the system knows no such locks."""
    handle = folder_handle(folder)
    if handle is None:
        return None
    own = lock(handle)
    if own:
        return handle
    os.close(handle)
    if own is None:
        return None
    raise OutputConflictError(
        f"`out` {folder}: another process is writing there; wait for it, or choose another folder"
    )


def claim_folder(folder: Path | str, stage: str, settings: dict[str, Any]) -> Path:
    """Make ``folder`` the output of one configuration of ``stage``, or check that it is already.

    Args:
        folder: output folder, created when missing.
        stage: name of the command.
        settings: JSON-able settings that decide the content. Those that do not (number of
            workers, device) must be left out, so that a run may go on with others.

    Raises:
        OutputConflictError: the folder belongs to another stage or configuration, or holds files
            that no run of this program put there.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputConflictError(f"`out` {folder}: is a file; name a folder")
    wanted = json.loads(json.dumps({"stage": stage, "settings": settings}))
    record = folder / RUN_FILE
    if record.exists():
        found = read_json(record)
        if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
            raise OutputConflictError(f"`out` {folder}: its {RUN_FILE} is not of this program")
        if found != wanted:
            raise OutputConflictError(
                f"`out` {folder}: belongs to another configuration "
                f"({_difference(found, wanted)}); choose another folder, or give the same options "
                "to go on with it"
            )
        return folder
    if folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise OutputConflictError(f"`out` {folder}: not empty and not made by `saliency {stage}`")
    write_json(record, wanted)
    return folder


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The settings in which two run records differ, in words."""
    if found.get("stage") != wanted["stage"]:
        return f"stage {found.get('stage')!r}, not {wanted['stage']!r}"
    old, new = found.get("settings", {}), wanted["settings"]
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(f"{name} {old.get(name)!r}, not {new.get(name)!r}" for name in names)
