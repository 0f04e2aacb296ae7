"""A call's record while the call is under way."""

import datetime
from collections.abc import Mapping
from typing import Any

from gateway.domain.access import Principal
from gateway.domain.amounts import NOTHING
from gateway.domain.call import Call, Inbound, Usage
from gateway.domain.verdicts import Verdict
from gateway.errors import GatewayError

# Where backends put it, the one that their logs and support know first: Azure OpenAI logs apim-request-id as CorrelationId.
UPSTREAM_REQUEST_IDS = ("apim-request-id", "x-ms-request-id", "request-id", "x-request-id", "x-amzn-requestid")


class Draft:
    """What becomes of one call, filled in as it walks down the street; settled exactly once.

    Stamps are on the Clock. The latency parts sum to the total: admission (arrival → admitted), guard, queue (waiting for a
    place at a deployment), upstream TTFT (attempts' waiting, up to the first token), stream (first token to last byte),
    overhead (the rest: our own work).
    """

    __slots__ = (
        "admitted_at", "admitted_s", "aside_cost_micro_usd", "attempts", "avoided_micro_usd", "backend", "changes", "charged",
        "cost_micro_usd", "deployment", "error_code", "experiment", "fallback", "finish_reason", "first_token_s", "guard_s", "inbound",
        "keeps_sent", "last_byte_s", "model", "principal", "prompt", "prompt_version", "queue_s", "reason", "route", "rule", "sent",
        "sheet", "status", "stream", "tier", "trace_id", "upstream_hash", "upstream_request_id", "upstream_wait_s", "usage", "variant",
        "verdicts", "worker",
    )  # fmt: skip

    def __init__(self, inbound: Inbound) -> None:
        self.inbound = inbound
        self.principal: Principal | None = None
        self.trace_id = ""
        self.model = self.deployment = self.backend = ""
        self.stream = False
        self.status = 200
        self.error_code = ""
        self.finish_reason: str | None = None
        self.attempts = 0
        self.usage = Usage()
        self.cost_micro_usd: int | None = 0
        self.aside_cost_micro_usd: int | None = 0  # of it, what answers cost that were not used
        self.avoided_micro_usd = 0  # what it would have cost more without a cache
        self.admitted_at: datetime.datetime | None = None  # UTC: the windows in which its limits are charged
        self.charged = NOTHING  # what its limits were charged
        self.worker = self.upstream_request_id = ""
        self.rule = self.tier = self.fallback = self.reason = ""
        self.route: list[str] = []  # the attempts that did not answer, and why
        self.verdicts: list[Verdict] = []  # of guardrails, in the order in which they were given
        self.changes: list[str] = []  # what was changed in the request or the answer
        self.prompt = self.experiment = self.variant = ""
        self.prompt_version = 0
        self.keeps_sent = False  # the call can be rebuilt, so what backends are sent is kept for a proof
        self.sent = b""  # the body that the answering backend was sent
        self.upstream_hash = ""
        self.sheet: Any = None  # on which the call is captured (captures.sheet.Sheet); None where it is not
        self.queue_s = 0.0
        self.admitted_s: float | None = None
        self.guard_s = 0.0
        self.upstream_wait_s = 0.0
        self.first_token_s: float | None = None
        self.last_byte_s: float | None = None

    def heard(self, headers: Mapping[str, str]) -> None:
        """Note by which id the backend knows the attempt; header names are in lower case."""
        for name in UPSTREAM_REQUEST_IDS:
            if name in headers:
                self.upstream_request_id = headers[name]
                return

    def changed(self, by: str, call: Call, facts: Mapping[str, Any] | None = None) -> None:
        """Note on the capture, where there is one, who changed the request (`captures.sheet.Sheet.changed`)."""
        if self.sheet is not None:
            self.sheet.changed(by, call, facts)

    def fail(self, error: GatewayError) -> None:
        """Note how the call ended; the first failure counts."""
        if not self.error_code:
            self.status, self.error_code = error.status, error.code

    def overhead_s(self, now_s: float) -> float:
        """Return the time since arrival that was not spent waiting for a backend or in guardrails."""
        return now_s - self.inbound.received_s - self.upstream_wait_s - self.queue_s - self.guard_s
