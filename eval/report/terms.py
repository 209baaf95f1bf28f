"""The glossary of a report: every term that the page uses, in one or two sentences."""

from __future__ import annotations

from eval.report.markup import Markup, tag

TERMS = {
    "saliency map": "An image in which each pixel says how surely it belongs to the salient "
    "object, the object that a viewer notices first: 0 surely not, 1 surely.",
    "ground truth": "The mask that a person drew for a photo. Scoring compares the map with it.",
    "threshold": "The mask of a map consists of the pixels whose value passes the threshold. "
    "“At 0.5” means that the mask at threshold 0.5 is scored.",
    "adaptive threshold": "Twice the mean of the map, at most 1. Each map has its own.",
    "precision, recall": "Precision is the share of the marked pixels that belong to the object. "
    "Recall is the share of the object’s pixels that are marked.",
    "F-measure (F)": "One number for precision P and recall R: (1 + β²) · P · R / (β² · P + R). "
    "With β² = 0.3, precision weighs more than recall. Max F takes the best threshold, mean F the "
    "mean over all thresholds.",
    "IoU": "Intersection over union: the pixels in both masks, divided by the pixels in at least "
    "one of them. 1 means that the masks are equal, 0 that they have no pixel in common.",
    "accuracy": "The share of all pixels for which mask and ground truth agree.",
    "MAE": "Mean absolute error: the mean difference between the map and the ground truth, over "
    "all pixels. Lower is better; for all other metrics, higher is better.",
    "E-measure": "Enhanced alignment: how well the mask agrees with the ground truth, pixel by "
    "pixel, after the mean of each is subtracted (Fan et al., IJCAI 2018).",
    "S-measure": "Structure: whether the map is bright and even on the object and dark and even "
    "beside it, and whether the four parts of the photo around the object’s centre look like the "
    "ground truth (Fan et al., ICCV 2017).",
    "weighted F": "An F-measure of the map itself, without a threshold. Errors far away from the "
    "object weigh more than errors near its edge (Margolin et al., CVPR 2014).",
    "boundary F": "An F-measure of contours: a contour pixel is right if the other contour passes "
    "within 0.8 % of the photo’s diagonal (Perazzi et al., CVPR 2016).",
    "protocol": "A set of rules for scoring. Papers use different rules, so only scores by the "
    "same protocol can be compared.",
    "95 % bootstrap interval": "The photos are drawn again and again with replacement, and the "
    "metric is computed on each draw. 95 % of its values lie in the interval. It says how much the "
    "score depends on the choice of the photos, and nothing about other sources of chance, such as "
    "the seed of a training.",
    "fingerprint": "A checksum of the names and contents of all photos and masks. Two scores with "
    "the same fingerprint are of the same files.",
}
"""Term to explanation."""


def terms() -> Markup:
    """The glossary as a list of definitions."""
    rows = [tag("div", tag("dt", term), tag("dd", text)) for term, text in TERMS.items()]
    return tag("dl", rows, class_="terms")
