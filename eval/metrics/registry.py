"""All metrics by name; other packages add theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.counts import Measure
from eval.metrics.alignment import ADAPTIVE_E, MAX_E, MEAN_E
from eval.metrics.boundary_f import BOUNDARY_F
from eval.metrics.f_measure import ADAPTIVE_F, MAX_F, MEAN_F, PRECISION, RECALL
from eval.metrics.iou import ACCURACY, IOU, POOLED_IOU
from eval.metrics.mae import MAE
from eval.metrics.metric import Batch, Metric
from eval.metrics.structure import S_MEASURE
from eval.metrics.weighted_f import WEIGHTED_F
from eval.protocols import Protocol
from eval.ratios import Floats
from saliency.foundation.errors import InputError
from saliency.foundation.registry import Registry

METRICS: Registry[Metric] = Registry(
    Metric,
    "latent_saliency.metrics",
    (
        MAX_F, MEAN_F, IOU, ACCURACY, MAE, PRECISION, RECALL, ADAPTIVE_F, POOLED_IOU,
        MAX_E, MEAN_E, ADAPTIVE_E, S_MEASURE, WEIGHTED_F, BOUNDARY_F,
    ),
)  # fmt: skip
"""Metric name to metric, in the order of tables. A metric is reported by the protocols that name
it in their ``metrics``."""


def register_metric(metric: Metric) -> Metric:
    """Add a metric, so that protocols can name it.

    Worker processes that merge their scores have to register it as well. An installed package can
    name its metric as an entry point of the group ``latent_saliency.metrics`` in place of this
    call; see :class:`saliency.foundation.registry.Registry`.

    Args:
        metric: its name must be new.

    Returns:
        The metric itself.

    Raises:
        InputError: the name is taken, or it is not a metric.
    """
    return METRICS.register(metric)


def reported(protocol: Protocol) -> list[Metric]:
    """The metrics that a protocol reports, in the order of :data:`METRICS`.

    Raises:
        InputError: the protocol names a metric that does not exist; the valid names are listed.
    """
    if unknown := [name for name in protocol.metrics if name not in METRICS]:
        raise InputError(
            f"protocol {protocol.name!r} reports the metrics {', '.join(unknown)}, which are "
            f"unknown; valid: {', '.join(METRICS)}"
        )
    return [metric for name, metric in METRICS.items() if name in protocol.metrics]


def measures(protocol: Protocol) -> dict[str, Measure]:
    """What a protocol's metrics compute from the whole map, by the metric's name."""
    return {
        metric.name: metric.measure for metric in reported(protocol) if metric.measure is not None
    }


def terms(batch: Batch, protocol: Protocol) -> dict[str, Floats]:
    """The terms of all metrics that a protocol reports; functions that metrics share run once.

    Returns:
        Term name to (N,) or (N, T), in the order of :data:`METRICS`.

    Raises:
        InputError: metrics that do not share their terms have one of the same name.
    """
    values: dict[str, Floats] = {}
    owners: dict[str, Any] = {}
    done: set[Any] = set()
    for metric in reported(protocol):
        if metric.terms in done:
            continue
        done.add(metric.terms)
        more: Mapping[str, Floats] = metric.terms(batch, protocol)
        if taken := more.keys() & values.keys():
            name = min(taken)
            raise InputError(
                f"metrics {owners[name]!r} and {metric.name!r} both have a term {name!r}; "
                "give one of the terms another name"
            )
        owners |= dict.fromkeys(more, metric.name)
        values |= more
    return values
