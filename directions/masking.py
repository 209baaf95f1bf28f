"""How masks are made: what a direction's file says, unless the options of synthesis say
otherwise."""

from __future__ import annotations

from data.images.masks import MASK_RULES, Filters
from data.synthesis import Masking, SynthConfig
from directions.direction import Direction


def masking_from(direction: Direction, config: SynthConfig) -> Masking:
    """The direction's own shift and mask rule, where the config does not say otherwise."""
    own_rule = config.mask_rule in ("direction", direction.mask_rule)
    rule = direction.mask_rule if own_rule else config.mask_rule
    threshold = config.threshold
    if threshold is None:
        threshold = direction.threshold if own_rule else MASK_RULES[rule].threshold
    peaks = config.histogram_peaks
    if peaks is None:
        peaks = MASK_RULES[rule].histogram_peaks
    return Masking(
        shift=(config.magnitude or direction.magnitude) * direction.vector,
        mask_rule=rule,
        threshold=threshold,
        filters=Filters(config.min_area, config.max_area, config.component_share, peaks),
    )
