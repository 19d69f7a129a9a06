"""What the service tells of itself to Prometheus."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Metrics:
    """Counters of one server, in a registry of their own.

    Example:
        >>> metrics = Metrics()
        >>> metrics.requests.labels("/healthz", "GET", "200").inc()
        >>> 'path="/healthz"' in metrics.text().decode()
        True
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ["path", "method", "status"]
        self.requests = Counter("dfer_requests", "Requests answered.", labels, registry=registry)
        self.places = Gauge("dfer_requests_in_progress", "Requests for recognition let in now.", registry=registry)
        self.uploaded = Counter("dfer_uploaded_bytes", "Bytes of videos received whole.", registry=registry)
        self.recognition = Histogram(
            "dfer_recognition_seconds", "Seconds in a worker per video.", buckets=SECONDS, registry=registry
        )
        self.ready = Gauge("dfer_workers_ready", "Workers that have loaded the model.", registry=registry)
        self.replaced = Counter("dfer_workers_replaced", "Workers that died or were ended.", registry=registry)
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self.registry)
