"""Benchmarks from their official source: downloaded, unpacked, recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.benchmarks.folders import find_pairs
from data.benchmarks.published import Archive, Published
from data.downloads.download import download
from data.downloads.unpack import unpack
from data.store.files import read_json, write_json
from saliency.foundation.errors import InputError

RECORD_FILE = "download.json"


@dataclass(frozen=True)
class Fetched:
    """A benchmark on this machine: its folder for ``--benchmark``, and each archive's SHA-256."""

    folder: Path
    photos: int
    sha256: dict[str, str]


def fetch(published: Published, to: Path | str, progress: bool = True) -> Fetched:
    """Download and unpack a benchmark; what is there already is not done again.

    An archive that lies in ``to`` already, put there by hand for instance, is used as it is. The
    SHA-256 of each archive is recorded in ``download.json`` beside the data; a later download has
    to agree with it.

    Args:
        published: which one.
        to: target folder, made when missing.
        progress: show bars on stderr.

    Raises:
        InputError: no connection, a wrong checksum, an archive that is damaged or unsafe, or not
            as many pairs in it as there should be.
    """
    to = Path(to)
    to.mkdir(parents=True, exist_ok=True)
    record = _read_record(to / RECORD_FILE)
    for archive in published.archives:
        if archive.name in record and not (to / archive.name).exists():
            continue  # unpacked before, and removed since to save space
        _fetch_archive(archive, to, record, progress)
    _remove_superseded(published, to)
    folder = to / published.folder
    found = len(find_pairs(folder))
    if found != published.photos:
        raise InputError(
            f"{folder}: {found} pairs of photo and mask, {published.photos} were expected; "
            f"remove them and {RECORD_FILE}, and fetch {published.name} again"
        )
    digests = {archive.name: record[archive.name]["sha256"] for archive in published.archives}
    return Fetched(folder, found, digests)


def _remove_superseded(published: Published, to: Path) -> None:
    """Remove what the authors ask to, where the file that replaces it is there."""
    for name in published.superseded:
        path = to / name
        twins = [each for each in path.parent.glob(f"{path.stem}.*") if each.name != path.name]
        if twins:
            path.unlink(missing_ok=True)


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path) if path.exists() else {}
    if not isinstance(record, dict) or not all(
        isinstance(entry, dict) and "sha256" in entry for entry in record.values()
    ):
        raise InputError(f"{path}: not a record of downloads; remove it and fetch again")
    return record


def _fetch_archive(archive: Archive, to: Path, record: dict[str, Any], progress: bool) -> None:
    """Download, check and unpack one archive, then record it."""
    path = to / archive.name
    known = record.get(archive.name, {}).get("sha256")
    digest = download(archive.url, path, sha256=archive.sha256 or known, progress=progress)
    if digest != known:
        unpack(path, to)
        record[archive.name] = {
            "url": archive.url,
            "sha256": digest,
            "bytes": path.stat().st_size,
            "pinned": archive.sha256 is not None,
        }
        write_json(to / RECORD_FILE, record)  # last: what is recorded is unpacked
