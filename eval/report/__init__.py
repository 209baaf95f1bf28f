"""The report of a score: one self-contained HTML page."""

from eval.report.page import write_report

__all__ = ["write_report"]
