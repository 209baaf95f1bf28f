"""The gallery of a discovery: one HTML file in which a person sees every direction and picks one.

Nothing in it comes from elsewhere: style, script and pictures are inside, and its own content
policy forbids the browser to load anything or to run any other script.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from torch import Tensor

from data.config import code_version
from data.images.masks import MASK_RULES
from data.runtime.progress import progress
from data.runtime.seeds import torch_stream
from data.store.files import write_text
from directions.direction import Direction
from directions.gallery.chart import calibration_chart
from directions.gallery.pictures import SHIFTS, Strip, draw_strip
from directions.generators import Generator
from directions.scoring.background import Candidate, best

SAMPLES = 4
"""Images a direction is shown on."""
TEMPLATE = "gallery.html"
SCRIPT = """
const list = document.querySelector(".cards");
const cards = [...list.children];
document.querySelector("#sort").addEventListener("change", (event) => {
  const key = event.target.value;
  const down = key === "index" ? -1 : 1;
  const by = (a, b) => down * (b.dataset[key] - a.dataset[key]);
  cards.sort((a, b) => by(a, b) || a.dataset.index - b.dataset.index);
  list.append(...cards);
});
"""
TERMS = {
    "score": "How well a shift removes the background, from 0 to 1: "
    "unbiased × the mean of evened × kept × bounded × √(structure × stable).",
    "evened": "The share of the image's border that the shift brings to one colour, of what was "
    "not of that colour before. Less than half counts as 0.",
    "kept": "The share of samples whose mask is neither too small nor too large to be used.",
    "bounded": "The share of the image's border that the mask leaves free.",
    "structure": "How much of the object's pattern of light and dark remains after the shift: the "
    "correlation of the pixels' lightness inside the mask, before and after.",
    "stable": "How little the mask changes between three quarters of the shift and all of it: "
    "their intersection over union.",
    "unbiased": "1 less the correlation of the mask with the lightness of the original image. It "
    "is low for a shift that only brightens, whose masks are whatever was dark.",
    "area": "The share of the image's pixels that the mask covers; “masks 51 %” says the same.",
    "shift": "The length of the step in the latent space, in standard deviations of the latents.",
    "mask rule": "How a mask is made of the original and the shifted image.",
    "reconstructor accuracy (RCA)": "How often the reconstructor tells from two images which of "
    "the directions was taken between them. High means that directions differ visibly.",
}
"""What the words on the page mean."""
PARTS = ("evened", "kept", "bounded", "structure", "stable", "unbiased", "area")


def write_gallery(
    path: Path | str,
    generator: Generator,
    directions: Tensor,
    curves: Sequence[Sequence[Candidate]],
    chosen: Direction,
    report: Mapping[str, Any],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: HTML file to write, in the discovery's folder.
        generator: whose directions are shown.
        directions: (K, latent_dim), rows of unit length.
        curves: what was measured of each of them.
        chosen: the automatic choice; shown first.
        report: of the discovery, as in ``report.json``.
    """
    path = Path(path)
    latents = generator.sample(SAMPLES, torch_stream("gallery"))
    order = sorted(range(len(curves)), key=lambda index: -best(curves[index]).score)
    with progress(len(order) + 1, unit="direction", label="gallery") as bar:
        strip = draw_strip(
            generator, latents, chosen.vector, chosen.mask_rule, chosen.threshold, SHIFTS
        )
        first = _figure(strip, "the chosen direction")
        bar.update()
        cards = []
        for index in order:
            top = best(curves[index])
            rule = top.mask_rule
            strip = draw_strip(
                generator, latents, directions[index], rule, MASK_RULES[rule].threshold, SHIFTS
            )
            cards.append(_card(index, curves[index], strip, path.parent))
            bar.update()
    page = Template(files("directions.gallery").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    write_text(
        path,
        page.substitute(
            title=escape(f"Directions of {generator.name}"),
            lead=escape(_lead(generator, len(curves), report)),
            chosen=first,
            summary=_summary(report),
            chart=calibration_chart(report["calibration"], report["chosen"]["magnitude"]),
            cards="\n".join(cards),
            terms=_terms(),
            script=SCRIPT,
            script_hash=_hash(SCRIPT),
            version=escape(code_version()),
        ),
    )


def _hash(script: str) -> str:
    """A script's hash as a content policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _lead(generator: Generator, count: int, report: Mapping[str, Any]) -> str:
    accuracy = report["reconstructor_accuracy"]
    return (
        f"{count} directions of {generator.name}, {generator.resolution} px, latent "
        f"{generator.latent_dim}; reconstructor accuracy (RCA) {accuracy:.2f}"
    )


def _summary(report: Mapping[str, Any]) -> str:
    """What was chosen and how good it is, beside the best single direction."""
    chosen, column = report["chosen"], report["best_column"]
    kind = "refined by gradient" if chosen["index"] < 0 else f"direction {chosen['index']}"
    rows = [
        ("score", f"{chosen['score']:.3f}", f"{column['score']:.3f}"),
        ("shift", f"{chosen['magnitude']:g}", f"{column['magnitude']:g}"),
        ("mask rule", chosen["mask_rule"], column["mask_rule"]),
    ]
    rows += [(part, f"{chosen[part]:.2f}", f"{column[part]:.2f}") for part in PARTS]
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(own)}</td>'
        f"<td>{escape(other)}</td></tr>"
        for name, own, other in rows
    )
    return (
        '<div class="scroll"><table><caption>'
        "On samples by which only the finalist and its shift were chosen</caption>"
        f'<thead><tr><td></td><th scope="col">chosen: {escape(kind)}</th>'
        f'<th scope="col">best single: {column["index"]}</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _terms() -> str:
    """The glossary."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in TERMS.items()
    )
    return f"<dl>{rows}</dl>"


def _card(index: int, curve: Sequence[Candidate], strip: Strip, run: Path) -> str:
    """One direction: pictures, the best of each sign, and how to pick it."""
    top = best(curve)
    lines = "".join(
        _sign(index, best([each for each in curve if each.sign == sign]), run)
        for sign in sorted({each.sign for each in curve})
    )
    return (
        f'<article class="card" id="d{index}" data-index="{index}" data-score="{top.score:.6f}" '
        f'data-kept="{top.kept:.6f}" data-structure="{top.structure:.6f}">'
        f"<h3>Direction {index} <small>score {top.score:.3f}</small></h3>"
        f"{_figure(strip, f'direction {index}')}<ul>{lines}</ul></article>"
    )


def _sign(index: int, top: Candidate, run: Path) -> str:
    """The best of one sign, and the command that takes it."""
    mark = "+" if top.sign > 0 else "-"
    command = (
        f"saliency discover pick {shlex.quote(str(run))} {index} --sign {mark} "
        f"--magnitude {top.magnitude:g} --out DIR"
    )
    return (
        f"<li><b>{'+' if top.sign > 0 else '−'}</b> score {top.score:.3f} at {top.magnitude:g}, "
        f"{top.kept:.0%} kept, masks {top.area:.0%}, {escape(top.mask_rule)}"
        f"<code>{escape(command)}</code></li>"
    )


def _figure(strip: Strip, name: str) -> str:
    """Both pictures of a strip, of which the page shows one, above the shifts."""
    size = f'width="{strip.width}" height="{strip.height}" loading="lazy" decoding="async"'
    heads = "".join(f"<span>{_signed(shift)}</span>" for shift in SHIFTS)
    return (
        f'<figure><div class="shifts" aria-hidden="true">{heads}</div>'
        f'<img class="moved" {size} src="{strip.moved}" alt="{SAMPLES} samples moved along '
        f'{escape(name)} by {", ".join(_signed(shift) for shift in SHIFTS)}">'
        f'<img class="masked" {size} src="{strip.masked}" alt="The same samples where they are, '
        f'darkened where the masks of these shifts say background"></figure>'
    )


def _signed(shift: float) -> str:
    return f"{shift:+g}".replace("-", "−") if shift else "0"
