"""Taking a direction of a finished discovery by hand, as the gallery's reader asks for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from data.config import code_version
from data.images.masks import MASK_RULES
from data.store.files import RUN_FILE, claimed, read_json
from directions.direction import Direction, read_directions, unit
from directions.scoring.background import Candidate, best
from saliency.foundation.errors import InputError, UsageError


def pick(
    folder: Path, index: int, out: Path, sign: int | None = None, magnitude: float | None = None
) -> tuple[Path, Direction]:
    """Write one direction of a run as the automatic choice would have been written.

    Its score is that of the nearest magnitude at which the run measured it, which is recorded.

    Args:
        folder: output folder of `saliency discover`.
        index: of the direction, as in the gallery.
        out: folder for ``direction.safetensors``.
        sign: +1 or -1; the better one where ``None``.
        magnitude: length of the shift; the best one where ``None``.

    Returns:
        The file and the direction in it.

    Raises:
        InputError: not a discovery's folder, or damaged.
        UsageError: no such direction, or an impossible magnitude.
        OutputConflictError: ``out`` holds something else.
    """
    settings, scores, curves = _read(folder)
    if not 0 <= index < len(curves):
        raise UsageError(f"`index` {index}: {folder} has directions 0 to {len(curves) - 1}")
    if magnitude is not None and not (math.isfinite(magnitude) and magnitude > 0):
        raise UsageError(f"`magnitude` {magnitude:g}: must be above 0")
    measured = _measured(curves[index], sign, magnitude)
    rows = read_directions(folder / "directions.safetensors")
    if len(rows) != len(curves):
        raise InputError(f"{folder / 'directions.safetensors'}: not of the run in {folder}")
    fingerprint = settings.pop("generator_sha256")
    direction = Direction(
        vector=measured.sign * unit(rows[index]),
        magnitude=measured.magnitude if magnitude is None else magnitude,
        mask_rule=measured.mask_rule,
        threshold=MASK_RULES[measured.mask_rule].threshold,
        score=measured.score,
        generator=scores["generator"],
        fingerprint=fingerprint,
        provenance={
            "config": settings,
            "code": code_version(),
            "refined": False,
            "picked_by_hand": index,
            "reconstructor_accuracy": scores["reconstructor_accuracy"],
            "measured": measured.as_dict(),
        },
    )
    path = out / "direction.safetensors"
    with claimed(out, "discover pick", {"direction_sha256": direction.digest()}):
        direction.save(path)
    return path, direction


def _measured(curve: list[Candidate], sign: int | None, magnitude: float | None) -> Candidate:
    """What the run measured nearest to what is asked for."""
    wanted = [each for each in curve if sign is None or each.sign == sign]
    if magnitude is not None:
        nearest = min(abs(each.magnitude - magnitude) for each in wanted)
        wanted = [each for each in wanted if abs(each.magnitude - magnitude) == nearest]
    return best(wanted)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[list[Candidate]]]:
    """A run's settings, its scores, and the curves of its directions."""
    record = folder / RUN_FILE
    made = read_json(record) if record.exists() else None
    if not isinstance(made, dict) or made.get("stage") != "discover":
        raise InputError(f"{folder}: not an output folder of `saliency discover`")
    if not (folder / "scores.json").exists():
        raise InputError(f"{folder}: not finished; the same `saliency discover` goes on with it")
    scores = read_json(folder / "scores.json")
    try:
        curves = [[Candidate(**row) for row in rows] for rows in scores["curves"]]
        names = {"generator": scores["generator"], "reconstructor_accuracy": None, **scores}
        return dict(made["settings"]), names, curves
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'scores.json'}: damaged, or of another version ({error})"
        ) from None
