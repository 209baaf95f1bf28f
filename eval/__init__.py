"""Ground floor: metrics, named protocols, benchmark runs and reports.

:mod:`eval.protocols` says how papers score, :mod:`eval.metrics` computes it, :mod:`eval.benchmark`
scores a method on a folder of photos and masks, :mod:`eval.compare` compares two scores, and
:mod:`eval.report` writes the HTML page.
"""
