"""From numbers to metric families: the collectors that a Prometheus registry asks at each scrape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from coldsend import clock, logbook
from coldsend.meter import Counts, Durations, Key
from coldsend.metrics import survey
from coldsend.metrics.catalogue import METRICS, OF_PROCESSES, Metric
from coldsend.metrics.survey import Readings

T = TypeVar("T")

FRESH_SECONDS = 10.0  # a survey is not older than this when it is shown
PATIENCE_SECONDS = 4.0  # a scrape waits so long for the database, then says it is away


def registry(counts: Callable[[], Counts], look: Callable[[], Readings] | None = None) -> CollectorRegistry:
    """What is served: the numbers of processes, and a survey of the database where ``look`` takes one."""
    made = CollectorRegistry()
    made.register(_OfProcesses(counts))
    if look is not None:
        made.register(OfDatabase(look))
    ProcessCollector(registry=made)
    return made


def text_of(readings: Readings) -> str:
    """A survey in the text format, for `metrics show` and the textfile collector."""
    made = CollectorRegistry()
    made.register(_Fixed(readings))
    return generate_latest(made).decode()


def families(readings: Readings) -> Iterator[Family]:
    """Gauges and counters from their samples, in the order of the catalogue."""
    for name in METRICS:
        if name in readings:
            family = _family(METRICS[name])
            for labels, value in readings[name]:
                family.add_metric(labels, value)
            yield family


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def _histogram(metric: Metric, found: Sequence[tuple[tuple[str, ...], Durations]]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*(f"{bound:g}" for bound in metric.buckets), "+Inf"]
    for labels, durations in found:
        cumulated = list(zip(bounds, map(float, accumulate(durations.buckets)), strict=True))
        family.add_metric(labels, cumulated, durations.seconds)
    return family


class _Collector(Collector):
    def describe(self) -> list[Family]:
        """Nothing: else each would be asked for all its numbers when it is registered."""
        return []


class _Fixed(_Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Family]:
        return families(self._readings)


class _OfProcesses(_Collector):
    """What processes have counted; ``counts`` adds them up."""

    def __init__(self, counts: Callable[[], Counts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Family]:
        counts = self._counts()
        numbers = counts.counters | counts.gauges
        for metric in OF_PROCESSES:
            if metric.kind == "histogram":
                yield _histogram(metric, _labelled(metric.name, counts.durations))
            else:
                yield from families({metric.name: _labelled(metric.name, numbers)})


def _labelled(name: str, numbers: Mapping[Key, T]) -> list[tuple[tuple[str, ...], T]]:
    """Label values and number, of one metric."""
    return [(key[1:], numbers[key]) for key in sorted(numbers) if key[0] == name]


class OfDatabase(_Collector):
    """Surveys, one at a time in a thread of their own: a database that hangs holds up no scrape for long."""

    def __init__(self, look: Callable[[], Readings], patience: float = PATIENCE_SECONDS) -> None:
        self._look = look
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="survey")
        self._lock = threading.Lock()
        self._asked: Future[Readings] | None = None
        self._asked_at = 0.0

    def collect(self) -> Iterator[Family]:
        return families(self._survey())

    def _survey(self) -> Readings:
        with self._lock:
            old = clock.monotonic() - self._asked_at >= FRESH_SECONDS
            if self._asked is None or (old and self._asked.done()):
                self._asked, self._asked_at = self._thread.submit(self._look), clock.monotonic()
            asked = self._asked
        try:
            return asked.result(self._patience)
        except NotInTime:
            return survey.of_silence()
        except Exception as error:
            logbook.unexpected_error("survey of metrics", error)
            return survey.of_silence()
