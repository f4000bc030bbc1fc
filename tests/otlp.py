"""A collector: receives OTLP over HTTP and gRPC, on the protobufs that OpenTelemetry publishes."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "attributes", "collector"]

_SIGNALS: Final[dict[str, tuple[str, str, Any, Any]]] = {
    "traces": (
        "/v1/traces",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        trace_service.ExportTraceServiceRequest,
        trace_service.ExportTraceServiceResponse,
    ),
    "metrics": (
        "/v1/metrics",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        metrics_service.ExportMetricsServiceRequest,
        metrics_service.ExportMetricsServiceResponse,
    ),
    "logs": (
        "/v1/logs",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        logs_service.ExportLogsServiceRequest,
        logs_service.ExportLogsServiceResponse,
    ),
}


class Collector:
    """What has been received so far. Any thread. While `refuse` is set, requests over HTTP are refused, and counted."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.refuse = False
        self.refused = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._grpc = grpc.server(ThreadPoolExecutor(2), handlers=[_Services(self)])
        self.http = f"http://127.0.0.1:{self._http.server_port}"
        self.grpc = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"

    def start(self) -> None:
        """Serve, on threads."""
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._grpc.start()

    def stop(self) -> None:
        """Serve no more."""
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait()

    def _scopes(self, signal: str) -> Iterator[Any]:
        """Yield what one scope of one resource sent in one request."""
        kind = _SIGNALS[signal][2]
        for request in list(self.requests):
            if isinstance(request, kind):
                part = "spans" if signal == "traces" else signal
                for resource in getattr(request, f"resource_{part}"):
                    yield from getattr(resource, f"scope_{part}")

    def services(self) -> set[str]:
        """Return the names of the services that sent anything."""
        resources = [
            resource.resource
            for request in list(self.requests)
            for field in ("resource_spans", "resource_metrics", "resource_logs")
            for resource in getattr(request, field, ())
        ]
        return {str(attributes(resource.attributes).get("service.name")) for resource in resources}

    def spans(self) -> list[Span]:
        """Return the spans."""
        return [span for scope in self._scopes("traces") for span in scope.spans]

    def metrics(self) -> dict[str, Metric]:
        """Return the last state of each metric, by name."""
        return {metric.name: metric for scope in self._scopes("metrics") for metric in scope.metrics}

    def logs(self) -> list[LogRecord]:
        """Return the log records."""
        return [record for scope in self._scopes("logs") for record in scope.log_records]


@contextmanager
def collector() -> Iterator[Collector]:
    """Give a collector that runs for as long as the block."""
    running = Collector()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return attributes as a dictionary."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}


def _handler(to: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if to.refuse:
                to.refused += 1
                self.send_error(400)  # not 503, which the SDK would try again for a while
                return
            request, response = next(entry[2:] for entry in _SIGNALS.values() if entry[0] == self.path)
            to.requests.append(request.FromString(body))
            answer = response().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
            pass

    return Handler


class _Services(grpc.GenericRpcHandler):
    def __init__(self, to: Collector) -> None:
        self._to = to

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what handles a call."""
        for _, method, request, response in _SIGNALS.values():
            if handler_call_details.method == method:
                return grpc.unary_unary_rpc_method_handler(
                    lambda received, _context, response=response: self._received(received, response),
                    request_deserializer=request.FromString,
                    response_serializer=response.SerializeToString,
                )
        return None

    def _received(self, request: Any, response: Any) -> Any:
        self._to.requests.append(request)
        return response()
