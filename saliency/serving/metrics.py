"""What the server counts, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper limits of the histogram's classes, in seconds."""
PREFIX = "saliency_"


class Metrics:
    """Counters of one server.

    Args:
        gauges: name, without prefix, to help and a function that gives the present value. Those
            that end in ``_total`` are counters.
    """

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self.gauges = dict(gauges)
        self.requests: Counter[tuple[str, int]] = Counter()
        self._classes = [0] * len(BUCKETS)
        self._count, self._sum = 0, 0.0

    def counted(self, path: str, status: int) -> None:
        """A request was answered.

        Args:
            path: a route of the server, so that clients cannot make up new counters.
            status: of HTTP.
        """
        self.requests[path, status] += 1

    def observed(self, seconds: float) -> None:
        """A photo was cut in so much time, from the request's first byte to its answer."""
        self._count += 1
        self._sum += seconds
        for place, limit in enumerate(BUCKETS):
            self._classes[place] += seconds <= limit

    def text(self) -> str:
        """Text format 0.0.4."""
        lines = _head("requests_total", "counter", "Requests by route and status.")
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'{PREFIX}requests_total{{path="{path}",status="{status}"}} {count}')
        name = "photo_seconds"
        lines += _head(name, "histogram", "Time from a request to its cut-out.")
        for limit, count in zip(BUCKETS, self._classes, strict=True):
            lines.append(f'{PREFIX}{name}_bucket{{le="{limit:g}"}} {count}')
        lines.append(f'{PREFIX}{name}_bucket{{le="+Inf"}} {self._count}')
        lines.append(f"{PREFIX}{name}_sum {self._sum:.6f}")
        lines.append(f"{PREFIX}{name}_count {self._count}")
        for name, (explanation, value) in self.gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [*_head(name, kind, explanation), f"{PREFIX}{name} {value():g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, explanation: str) -> list[str]:
    return [f"# HELP {PREFIX}{name} {explanation}", f"# TYPE {PREFIX}{name} {kind}"]
