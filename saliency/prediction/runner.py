"""All photos of a command: planned, looked at once each, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.images.photos import Found, find_photos, say_left_out
from data.runtime.progress import progress
from data.store.files import replacing
from saliency.foundation.decoding import open_regular
from saliency.foundation.errors import ImageError, UsageError
from saliency.prediction.formats import (
    FORMATS,
    Format,
    Mark,
    format_of_file,
    write_image,
)
from saliency.prediction.outputs import Plan, names_a_file, plan_outputs, without_results
from saliency.prediction.pipeline import in_threads
from saliency.prediction.products import Request, make_products

Settings = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Placing:
    """Where results go.

    Attributes:
        out: folder, or for one photo a file's name. Several products get a folder each in it.
        products: what is made of every photo.
        kind: the format; ``None``: as a file's name says, and PNG in a folder.
        suffix: added to the stem of the photos' names.
        overwrite: replace files that are there, but never a photo.
        skip_existing: leave files that are there, whatever they are.
    """

    out: Path
    products: tuple[str, ...]
    kind: Format | None = None
    suffix: str = ""
    overwrite: bool = False
    skip_existing: bool = False

    def folder(self, product: str) -> Path:
        """The folder, or the file, of a product."""
        return self.out if len(self.products) == 1 else self.out / product


@dataclass
class Outcome:
    """What became of the photos; keys are their paths.

    Attributes:
        written: the file, or the file of each product if there are several.
        kept: the same for files that were there already.
        confidence: in [0, 1].
        skipped: why a photo has no result.
    """

    written: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 3 when some photos were skipped, 1 when all were."""
        if not self.skipped:
            return 0
        return 3 if self.written or self.kept else 1


def find_inputs(sources: Sequence[Path], out: Path) -> Found:
    """The photos, without results of earlier runs; what is left out is said.

    Raises:
        InputError: a source does not exist, or no photo was found.
    """
    photos = without_results(find_photos(sources, without=[out]), out)
    say_left_out(photos, sources)
    return photos


def plan_products(
    sources: Sequence[Path], photos: Found, placing: Placing, settings: Settings
) -> dict[str, Plan]:
    """Decide where every result goes, before anything is written.

    Raises:
        UsageError: a file's name although there are several results.
        OutputConflictError: see :func:`saliency.prediction.outputs.plan_outputs`.
    """
    if len(placing.products) > 1 and names_a_file(placing.out):
        raise UsageError(
            f"`out` {placing.out}: a file's name is for one result; for several, name a folder"
        )
    return {
        product: plan_outputs(
            sources,
            photos,
            placing.folder(product),
            settings[product],
            kind=placing.kind,
            suffix=placing.suffix,
            overwrite=placing.overwrite,
            skip_existing=placing.skip_existing,
        )
        for product in placing.products
    }


def run_plans(
    plans: dict[str, Plan], request: Request, settings: Settings, outcome: Outcome
) -> None:
    """Make and write what is planned, in threads; photos that cannot be read are noted."""
    _note_kept(plans, outcome)
    photos = list(dict.fromkeys(photo for plan in plans.values() for photo in plan.targets))

    def write(photo: Path) -> float:
        return write_products(photo, _targets(plans, photo), request, settings)

    with progress(len(photos), unit="photo", label="predict") as bar:
        for photo, confidence in in_threads(write, photos):
            if isinstance(confidence, ImageError):
                outcome.skipped[str(photo)] = str(confidence)
            else:
                outcome.written[str(photo)] = _named(_targets(plans, photo), len(plans))
                outcome.confidence[str(photo)] = confidence
            bar.update()


def _targets(plans: dict[str, Plan], photo: Path) -> dict[str, Path]:
    """The files that a photo's products are to be written to."""
    planned = {product: plan.targets for product, plan in plans.items()}
    return {product: targets[photo] for product, targets in planned.items() if photo in targets}


def write_products(
    photo: Path, targets: dict[str, Path], request: Request, settings: Settings
) -> float:
    """Make a photo's products and write them; returns the confidence in [0, 1].

    Raises:
        ImageError: not a photo.
    """
    with open_regular(photo) as file:
        products, confidence = make_products(file, str(photo), list(targets), request, settings)
    for name, product in products.items():
        kind = format_of_file(targets[name])
        with replacing(targets[name]) as temporary:
            write_image(temporary, product.image, kind, product.metadata, product.mark)
    return confidence


def check_formats(kinds: Iterable[Format], products: Sequence[str], transparent: bool) -> None:
    """Refuse a format that cannot hold what is to be written.

    Args:
        kinds: the formats.
        products: what is written.
        transparent: whether cut-outs are.

    Raises:
        UsageError: a transparent cut-out in a format without transparency.
    """
    for kind in kinds:
        if transparent and "cutout" in products and not kind.alpha:
            valid = ", ".join(one.name for one in FORMATS.values() if one.alpha)
            raise UsageError(
                f"`format` {kind.name}: cannot be transparent; give a `background`, or use {valid}"
            )


def _note_kept(plans: dict[str, Plan], outcome: Outcome) -> None:
    for product, plan in plans.items():
        for photo, (target, mark) in plan.kept.items():
            if len(plans) == 1:
                outcome.kept[str(photo)] = str(target)
            else:
                outcome.kept.setdefault(str(photo), {})[product] = str(target)
            if isinstance(mark, Mark):
                outcome.confidence[str(photo)] = mark.confidence


def _named(targets: dict[str, Path], products: int) -> Any:
    """A photo's files for the report."""
    names = {product: str(target) for product, target in targets.items()}
    return names if products > 1 else next(iter(names.values()))
