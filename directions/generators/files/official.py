"""Official weights: fetched by name into a cache folder, checked, or asked for in one clear line.

What can be downloaded as it is comes when it is first needed. What its authors offer in another
form (an archive, a page, a pickle) has to be brought by hand; the error then says which file to put
where. A file that lies in its place is used without a network.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from data.downloads.download import download
from data.store.files import read_json, sha256_of, write_json
from directions.generators.family import Config, Family, Weights
from saliency.foundation.errors import InputError
from saliency.foundation.terminal import printable

Way = Literal["download", "convert", "by hand"]
"""How official weights come here: as they are, as a pickle to be converted, or by hand."""

RECORD_FILE = "download.json"
"""Name of the record beside a downloaded file: where it came from, and its SHA-256."""
ATTEMPTS = 3
"""Number of attempts that may bring nothing new, so that nobody waits long offline."""
CHECKSUMS: Mapping[str, str] = {
    "biggan-deep-256": "sha256:5900ef4065047e3aa0d1b66197b7f2664dceb59b27080e414ad57e203c485bc5",
    "dcgan-cifar10": "git:0a4ab38182c9c5761c90092c7845146f180a0fe6",
    "proggan-celeba-hq-1024": "git:754ddb07be656eb799e59cdb4610218fc8cf0569",
}
"""Checksums besides those that families declare. ``sha256``: pinned by public installers of the
file; ``git``: the object name under which its authors' repository holds it, a SHA-1 of size and
content."""


def official_weights(families: Mapping[str, Family]) -> dict[str, Weights]:
    """Every official checkpoint by the name that users give."""
    return {weights.name: weights for family in families.values() for weights in family.weights}


def cache_folder() -> Path:
    """``SALIENCY_CACHE``, else ``latent-saliency`` in the user's cache folder (XDG)."""
    if os.environ.get("SALIENCY_CACHE"):
        return Path(os.environ["SALIENCY_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "latent-saliency"


def official_path(weights: Weights) -> Path:
    """Where an official checkpoint lies or has to be put."""
    return cache_folder() / "generators" / weights.name / weights.file


def converted_path(weights: Weights) -> Path:
    """Where its conversion is looked for, before the published file."""
    return official_path(weights).with_suffix(".safetensors")


def way_of(weights: Weights) -> Way:
    """How these weights come here: an address that ends in the file's name gives the file."""
    if urlsplit(weights.url).path.rsplit("/", 1)[-1] != weights.file:
        return "by hand"
    return "convert" if weights.file.endswith(".pkl") else "download"


def checksum_of(weights: Weights) -> str | None:
    """The published checksum, ``sha256:`` or ``git:`` and the digest; ``None`` if there is none."""
    return f"sha256:{weights.sha256}" if weights.sha256 else CHECKSUMS.get(weights.name)


def official_file(weights: Weights) -> Path:
    """An official checkpoint, as published or converted; fetched when it is not here.

    Raises:
        InputError: it cannot be fetched, is not what it should be, or has to be brought or
            converted by hand; says what to get, from where, and where to put it.
    """
    converted = converted_path(weights)
    if converted.exists():
        return converted
    if way_of(weights) == "convert":
        raise InputError(f"`generator` {weights.name}: {how_to_convert(weights)}")
    return fetch_official(weights)


def how_to_convert(weights: Weights) -> str:
    """What makes a loadable file of an official pickle."""
    path, converted = official_path(weights), converted_path(weights)
    convert = f"`saliency generator convert {path} {converted}`"
    if path.exists():
        return f"{path} is a pickle, which is not opened as it is; {convert}, then the name works"
    return (
        f"published as a pickle; `saliency generator fetch {weights.name}` (or put {weights.file} "
        f"from {weights.url} at {path}), then {convert}, then the name works"
    )


def fetch_official(weights: Weights) -> Path:
    """Download official weights into the cache folder; what is there already is only checked.

    The licence is named on stderr before anything is downloaded. An interrupted download goes on
    where it stopped. The SHA-256 is recorded beside the file, for later loads to agree with.

    Raises:
        InputError: not downloadable, no connection, or a wrong checksum.
    """
    path = official_path(weights)
    if path.exists():
        _check(weights, path)
        return path
    if way_of(weights) == "by hand":
        raise InputError(
            f"{weights.name}: its weights are not on this machine and cannot be downloaded as they "
            f"are; put {weights.file} at {path} ({_source(weights)})"
        )
    notice = f"{weights.name}: licence: {weights.licence}. From {weights.url}, into {path.parent}"
    print(printable(notice), file=sys.stderr, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind, _, published = (checksum_of(weights) or "").partition(":")
    expected = published if kind == "sha256" else None
    try:
        digest = download(weights.url, path, sha256=expected, attempts=ATTEMPTS)
    except InputError as error:
        raise InputError(f"{weights.name}: {error}") from None
    wrong = _is_page(path) and "what came is a web page"
    if kind == "git" and (found := git_blob(path)) != published:
        wrong = f"its git object name is {found}, must be {published}"
    if wrong:
        path.unlink()
        raise InputError(
            f"{weights.name}: {weights.url}: {wrong}; it was removed; try again, or get "
            f"{weights.file} elsewhere and put it at {path}"
        )
    entry = {"url": weights.url, "sha256": digest, "bytes": path.stat().st_size}
    write_json(path.parent / RECORD_FILE, {weights.file: {**entry, "pinned": bool(published)}})
    return path


def _is_page(path: Path) -> bool:
    """Whether a host answered with a page about the file; no checkpoint begins like one."""
    with open(path, "rb") as file:
        return file.read(256).lstrip().startswith(b"<")


def _source(weights: Weights) -> str:
    return ": ".join(part for part in (weights.url, weights.note) if part)


def _check(weights: Weights, path: Path) -> None:
    """Whether a file in the cache is the published one, or the one that was downloaded.

    Raises:
        InputError: it is not.
    """
    kind, _, published = (checksum_of(weights) or "").partition(":")
    if kind == "git":
        found, expected, by = git_blob(path), published, "as published (git object name)"
    elif kind == "sha256":
        found, expected, by = sha256_of(path), published, "as published (SHA-256)"
    else:
        recorded = _recorded(path)
        if recorded is None:
            return  # put here by hand, and nobody publishes a checksum
        found, expected, by = sha256_of(path), recorded, "as downloaded (SHA-256)"
    if found != expected:
        raise InputError(
            f"{path}: is {found}, not {expected} {by}; remove it and {RECORD_FILE} beside it, and "
            "try again"
        )


def _recorded(path: Path) -> str | None:
    """The SHA-256 that was recorded when the file was downloaded."""
    record_path = path.parent / RECORD_FILE
    if not record_path.exists():
        return None
    record: Any = read_json(record_path)
    entry = record.get(path.name) if isinstance(record, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        raise InputError(f"{record_path}: not a record of {path.name}; remove it")
    return str(entry["sha256"])


def git_blob(path: Path) -> str:
    """The name that git gives a file's content: SHA-1 of ``blob``, its size, and itself."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_official(weights: Weights, config: Config, path: Path) -> None:
    """Refuse a file that lies under an official name and is another network.

    Raises:
        InputError: a constructor argument differs from the published one.
    """
    wrong = [
        f"{name} is {config.get(name)}, not {value}"
        for name, value in weights.config.items()
        if config.get(name) != value
    ]
    if wrong:
        raise InputError(f"{path}: is not {weights.name}: {', '.join(wrong)}")
