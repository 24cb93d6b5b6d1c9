"""OpenTelemetry: tritonserver sends a span for each traced request, model and step to a collector."""

from __future__ import annotations

SERVICE = "tritonserver"
EVERY_SECOND = 1000  # milliseconds between two deliveries of spans


def arguments(url: str, every: int) -> list[str]:
    """Options of tritonserver. url: as `ernie_runtime.collector` gives it; every: trace one request of so many."""
    settings = {"url": url, "resource": f"service.name={SERVICE}", "bsp_schedule_delay": EVERY_SECOND}
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        f"--trace-config=rate={every}",
        *(f"--trace-config=opentelemetry,{name}={value}" for name, value in settings.items()),
    ]
