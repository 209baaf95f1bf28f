"""Where the results of photos go: names without collisions, no file of the user's overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from data.benchmarks.folders import listing
from data.images.photos import Found
from saliency.foundation.decoding import open_regular, photo_suffixes
from saliency.foundation.errors import ImageError, OutputConflictError, UsageError
from saliency.prediction.formats import (
    FORMATS,
    Format,
    Mark,
    format_of_file,
    known_suffixes,
    read_mark,
)


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        targets: the file to be written for each photo.
        kept: the file that is there already for each other photo, and what its mark says.
    """

    targets: dict[Path, Path]
    kept: dict[Path, tuple[Path, Mark | None]] = field(default_factory=dict)


def plan_outputs(
    sources: Sequence[Path],
    found: Found,
    out: Path,
    settings: dict[str, Any],
    *,
    kind: Format | None = None,
    suffix: str = "",
    overwrite: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Decide where each photo's result goes, before anything is written.

    Args:
        sources: the files and folders that the user named.
        found: the photos in them.
        out: folder, or for one photo a file's name.
        settings: see :class:`Mark`.
        kind: the format; ``None``: as a file's name says, and PNG in a folder.
        suffix: added to the stem of the photos' names.
        overwrite: replace files that are there. A photo that was named is never replaced.
        skip_existing: leave files that are there, whatever they are.

    Returns:
        The plan. A file that is there and was made from the same photo with the same settings is
        kept, so that a run that was cut off goes on.

    Raises:
        UsageError: ``out`` is a file's name although there are several photos, or of a kind that is
            not written.
        OutputConflictError: an output would be one of the photos, or a file that is there.
    """
    targets = _targets(sources, found, out, kind, suffix)
    _refuse_photos(targets)
    _refuse_files_as_folders(targets, out)
    if overwrite:
        return Plan(targets)
    plan, conflicts = Plan({}), []
    for photo, target in targets.items():
        if not os.path.lexists(target):
            plan.targets[photo] = target
            continue
        mark = read_mark(target)
        if skip_existing or (mark is not None and _made_of(mark, photo, settings)):
            plan.kept[photo] = target, mark
        else:
            conflicts.append(str(target.relative_to(out) if target != out else target.name))
    if conflicts:
        raise OutputConflictError(
            f"`out` {out}: files are there already that were not made of these photos with these "
            f"options: {listing(conflicts, 3)}; valid are another place, `skip_existing`, which "
            "leaves them, and `overwrite`"
        )
    return plan


def without_results(found: Found, out: Path) -> Found:
    """``found`` without the files that earlier runs wrote into a folder of photos.

    Only needed where ``out`` is a folder that was searched, or holds one.
    """
    place = os.path.realpath(out)
    kept, left_out = {}, Counter(found.left_out)
    for photo, folder in found.folders.items():
        named = photo in found.named or photo.suffix.lower() not in known_suffixes()
        outside = os.path.commonpath([place, os.path.realpath(folder)]) != place
        if named or outside or read_mark(photo) is None:
            kept[photo] = folder
        else:
            left_out["made by this program"] += 1
    return Found(kept, left_out, found.named)


def _made_of(mark: Mark, photo: Path, settings: dict[str, Any]) -> bool:
    if mark.settings != json.loads(json.dumps(settings)):
        return False
    try:
        with open_regular(photo) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == mark.photo
    except (ImageError, OSError):
        return False


def names_a_file(out: Path) -> bool:
    """Whether an output is a file's name rather than a folder's."""
    return out.suffix.lower() in photo_suffixes() and not out.is_dir()


def _targets(
    sources: Sequence[Path], found: Found, out: Path, kind: Format | None, suffix: str
) -> dict[Path, Path]:
    if not names_a_file(out):
        if out.exists() and not out.is_dir():
            raise OutputConflictError(f"`out` {out}: is a file; name a folder")
        ending = suffix + (kind or FORMATS["png"]).suffix
        return {photo: out / name for photo, name in output_names(found.folders, ending).items()}
    if len(sources) > 1 or sources[0].is_dir():
        raise UsageError(
            f"`out` {out}: a file's name is for one photo; for several, or a folder, name a folder"
        )
    if suffix:
        raise UsageError(f"`suffix` {suffix!r}: is for the names in a folder; {out} has its own")
    asked = format_of_file(out)
    if kind is not None and kind != asked:
        raise UsageError(f"`out` {out}: its name asks for {asked.name}, `format` for {kind.name}")
    return {found.photos[0]: out}


def output_names(folders: Mapping[Path, Path], ending: str = ".png") -> dict[Path, PurePath]:
    """The name of each photo's result, relative to the output folder.

    A photo keeps its place in the folder where it was found, ``a/x.jpg`` becomes ``a/x.png``. Where
    two would share a name, letters' case aside, each keeps its suffix too (``x.jpg.png``), where
    that is not enough with the folders in which they differ, or a number made from its path. So the
    names depend on the photos alone, not on their order.

    Args:
        folders: the folder of each photo, see :attr:`data.images.photos.Found.folders`.
        ending: what takes the place of the photos' own suffixes.
    """
    common = os.path.commonpath([os.path.abspath(photo.parent) for photo in folders])
    choices = {photo: _choices(photo, folder, common, ending) for photo, folder in folders.items()}
    chosen = dict.fromkeys(folders, 0)
    while True:
        names = {photo: choices[photo][choice] for photo, choice in chosen.items()}
        keys = {photo: _key(name) for photo, name in names.items()}
        times = Counter(keys.values())
        parents = {_key(parent) for name in names.values() for parent in name.parents}
        clashing = [
            photo
            for photo, key in keys.items()
            if (times[key] > 1 or key in parents) and chosen[photo] + 1 < len(choices[photo])
        ]
        if not clashing:
            return names
        for photo in clashing:
            chosen[photo] += 1


def _choices(photo: Path, folder: Path, common: str, ending: str) -> list[PurePath]:
    """Names for a photo's result, the nicest first, the last unlike any other photo's."""
    inside = PurePath(photo.relative_to(folder))
    whole = PurePath(os.path.relpath(os.path.abspath(photo), common))
    number = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
    return [
        inside.with_name(inside.stem + ending),
        inside.with_name(inside.name + ending),
        whole.with_name(whole.name + ending),
        whole.with_name(f"{whole.name}-{number}{ending}"),
    ]


def _key(name: PurePath) -> str:
    """Equal for names that some file systems take for the same."""
    return unicodedata.normalize("NFC", os.fspath(name)).casefold()


def _refuse_photos(targets: Mapping[Path, Path]) -> None:
    photos = {identity: photo for photo in targets if (identity := _identity(photo))}
    for target in targets.values():
        photo = photos.get(_identity(target) or (-1, -1))
        if photo is not None:
            raise OutputConflictError(
                f"`out` {target}: is the photo {photo} itself; name another place"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refuse_files_as_folders(targets: Mapping[Path, Path], out: Path) -> None:
    for target in targets.values():
        if target.is_dir():
            raise OutputConflictError(f"`out` {out}: {target} is a folder; a file goes there")
    for folder in _folders_above(targets.values()):
        if os.path.lexists(folder) and not folder.is_dir():
            raise OutputConflictError(f"`out` {out}: {folder} is a file; a folder is needed there")


def _folders_above(paths: Iterable[Path]) -> set[Path]:
    above: set[Path] = set()
    for path in paths:
        for folder in path.parents:
            if folder in above:
                break
            above.add(folder)
    return above
