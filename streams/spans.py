"""Spans: what OpenTelemetry needs to know of a part of an event's way. Only imported while traces are on."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

QUEUE_SPANS = 2048
"""Spans that wait to be sent. What comes while so many wait is dropped: a dead collector takes no memory."""

SEND_SECONDS = 1.0
"""Time between two requests to the collector."""

TIMEOUT_SECONDS = 5.0

CLOSE_SECONDS = 1.0
"""Longest time that the end of a process waits for its last spans to be sent."""

_LOW = 2**64 - 1


class FirstIds(RandomIdGenerator):
    """Gives the first span of a trace the ids that follow from the trace, whichever process makes it.

    Attributes
    ----------
    trace
        The trace whose first span is begun; 0 if another span is.
    """

    trace = 0

    def generate_trace_id(self) -> int:
        """Return the trace."""
        return self.trace

    def generate_span_id(self) -> int:
        """Return the id of the first span, or a random one for any other."""
        return first_span(self.trace) if self.trace else super().generate_span_id()


def first_span(trace: int) -> int:
    """Return the id of the first span of a trace, never 0."""
    return trace & _LOW or 1


class SpanSender:
    """Sends spans to a collector, in a thread of its own.

    Parameters
    ----------
    endpoint
        URL that takes spans, in OTLP over HTTP.
    namespace
        Namespace of the deployment.
    """

    def __init__(self, endpoint: str, namespace: str) -> None:
        self._ids = FirstIds()
        resource = Resource.create({"service.name": "afresh", "service.namespace": namespace})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, id_generator=self._ids
        )
        self._exporter: SpanExporter = OTLPSpanExporter(endpoint, timeout=TIMEOUT_SECONDS)
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, QUEUE_SPANS, schedule_delay_millis=SEND_SECONDS * 1000)
        )
        self._tracer = self._provider.get_tracer("afresh")

    def send(
        self, trace: int, name: str, began: int, ended: int, fields: Mapping[str, str | int], *, first: bool
    ) -> None:
        """Send a span soon, unless too many wait.

        Parameters
        ----------
        trace
            Id of the trace.
        name, began, ended, fields
            Name and attributes of the span, and when it began and ended, in ns since 1970.
        first
            Whether the span is the first of its trace, below which all others stand.
        """
        context, self._ids.trace = Context(), trace if first else 0
        if not first:
            above = SpanContext(
                trace, first_span(trace), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
            )
            context = set_span_in_context(NonRecordingSpan(above), context)
        self._tracer.start_span(name, context, attributes=fields, start_time=began).end(ended)

    def close(self) -> None:
        """Send what waits; drop what the collector has not taken within the time that a process has at its end."""
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():  # It would try again, and complain in the log, for half a minute.
            self._exporter.shutdown()
