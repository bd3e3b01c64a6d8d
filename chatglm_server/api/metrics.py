"""Figures for Prometheus: tokens, times, the queue, how full the KV cache is, and prompts on disk."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from ..engine.capabilities import Capability
from ..service import Service
from .http.access_log import RequestRecord
from .openai.errors import ErrorBody

_FIRST_TOKEN_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)  # a long prompt takes minutes on a CPU
_TOKEN_S = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1)


class Metrics:
    """The figures of one server, since its start. Labels are the model that is served, the status of answers, and the
    addresses of the servers behind this one.
    """

    def __init__(self, service: Service) -> None:
        self._engine = service.engine
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests for answers, by status", "status")
        self._read = self._counter("prompt_tokens", "Tokens of prompts, those in the KV cache too")
        self._cached = self._counter("prompt_tokens_cached", "Tokens of prompts that were in the KV cache")
        self._written = self._counter("generated_tokens", "Tokens of answers")
        self._drafted = self._counter("draft_tokens", "Tokens that were guessed ahead and checked")
        self._accepted = self._counter("draft_tokens_accepted", "Tokens that were guessed ahead and right")
        self._first = self._histogram("time_to_first_token", "From an answer's turn to its first token", _FIRST_TOKEN_S)
        self._each = self._histogram("time_per_output_token", "Of each token of an answer but the first", _TOKEN_S)
        self._running = self._gauge("requests_running", "Requests that are answered now")
        self._waiting = self._gauge("requests_waiting", "Requests that wait")
        self._wait = self._gauge("estimated_wait_seconds", "To the first token of the shortest request that comes now")
        self._held = self._gauge("kv_cache_tokens", "Tokens whose keys and values are in memory")
        self._most = self._gauge("kv_cache_tokens_max", "Tokens that there is memory for")
        self._from_disk = self._counter("kv_disk_tokens_read", "Tokens of prompts that came from disk")
        self._to_disk = self._counter("kv_disk_tokens_written", "Tokens of prompts that were written to disk")
        self._disk = self._gauge("kv_disk_bytes", "Bytes of prompts on disk, of all models")
        self._most_disk = self._gauge("kv_disk_bytes_max", "Bytes of prompts that may be on disk")
        self._disk_before: dict[str, tuple[int, int]] = {}
        self._backend_in_service = self._backend_gauge("in_service", "1, or 0 while it is left out after a failure")
        self._backend_running = self._backend_gauge("requests_running", "Requests that are there now")
        self._backend_requests = self._backend_counter("requests", "Requests that were sent there")
        self._backend_failures = self._backend_counter("failures", "Requests that failed there, and not by their fault")
        self._backends_before: dict[str, tuple[int, int]] = {}

    def note(self, record: RequestRecord, status: int) -> None:
        """Count a request that is over. Mutates the figures."""
        if "model" not in record.notes:  # it asked for no answer
            return
        info, usage = self._engine.info, record.usage
        # the names that another server's models are asked for by are their clients' own
        model = info.id if Capability.ANY_MODEL in info.capabilities else record.notes["model"]
        self._requests.labels(model, status).inc()
        self._read.labels(model).inc(usage.prompt_tokens)
        self._cached.labels(model).inc(usage.cached_tokens)
        self._written.labels(model).inc(usage.completion_tokens)
        self._accepted.labels(model).inc(usage.accepted_tokens or 0)
        self._drafted.labels(model).inc((usage.accepted_tokens or 0) + (usage.rejected_tokens or 0))
        for timings in record.timings:
            self._first.labels(model).observe(timings.first_token)
        seconds = sum(timings.generation for timings in record.timings)
        after_first = usage.completion_tokens - len(record.timings)
        if seconds > 0 and after_first > 0:
            self._each.labels(model).observe(seconds / after_first)

    async def exposed(self, accept: str) -> tuple[bytes, str]:
        """The figures in the format that the header `accept` prefers, and its content type. Mutates the figures."""
        whole = await self._engine.status()
        for model, status in (whole.models or {self._engine.info.id: whole}).items():
            self._running.labels(model).set(status.queue["running"])
            self._waiting.labels(model).set(status.queue["waiting"])
            if status.wait_s is not None:
                self._wait.labels(model).set(status.wait_s)
            if status.kv_cache is not None:
                self._held.labels(model).set(status.kv_cache["tokens"])
                self._most.labels(model).set(status.kv_cache["most"])
            if status.kv_disk is not None:
                read, written = self._disk_before.get(model, (0, 0))
                # A sum over replicas falls where one of them ends; a counter cannot.
                self._from_disk.labels(model).inc(max(0, status.kv_disk["read"] - read))
                self._to_disk.labels(model).inc(max(0, status.kv_disk["written"] - written))
                self._disk_before[model] = status.kv_disk["read"], status.kv_disk["written"]
                self._disk.labels(model).set(status.kv_disk["bytes"])
                self._most_disk.labels(model).set(status.kv_disk["most_bytes"])
        for backend in whole.backends:
            address = backend["address"]
            self._backend_in_service.labels(address).set(backend["in_service"])
            self._backend_running.labels(address).set(backend["running"])
            sent, failed = self._backends_before.get(address, (0, 0))
            self._backend_requests.labels(address).inc(backend["requests"] - sent)
            self._backend_failures.labels(address).inc(backend["failures"] - failed)
            self._backends_before[address] = backend["requests"], backend["failures"]
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"chatglm_{name}", documentation, ("model", *labels), registry=self._registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"chatglm_{name}", documentation, ("model",), registry=self._registry)

    def _backend_counter(self, name: str, documentation: str) -> Counter:
        return Counter(f"chatglm_upstream_{name}", documentation, ("address",), registry=self._registry)

    def _backend_gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"chatglm_upstream_{name}", documentation, ("address",), registry=self._registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        name = f"chatglm_{name}_seconds"
        return Histogram(name, f"{documentation}, in seconds", ("model",), registry=self._registry, buckets=buckets)


def metrics_router(metrics: Metrics) -> APIRouter:
    """``GET /metrics``. It needs the key, if there is one."""
    router = APIRouter(tags=["health"], responses={"4XX": {"model": ErrorBody}})
    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse, responses={200: text})
    async def figures(request: Request) -> Response:
        """Tokens, times, the queue and the KV cache, in Prometheus' text format or OpenMetrics."""
        body, content_type = await metrics.exposed(request.headers.get("accept", ""))
        return Response(body, media_type=content_type)

    return router
