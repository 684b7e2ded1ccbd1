"""For projects that serve a registry of ``prometheus_client`` themselves; the extra ``prometheus``."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from .scrape import scrape

__all__ = ["CronCollector"]


class CronCollector(Collector):
    """The metrics of all crons.

    >>> from prometheus_client import REGISTRY
    >>> REGISTRY.register(CronCollector())  # doctest: +SKIP
    """

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that to register it asks no database."""
        return []

    def collect(self) -> Iterable[Metric]:
        return text_string_to_metric_families(scrape())
