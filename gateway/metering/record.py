"""One usage record per call, refused ones included: what the ledger holds of it, made once from the call's draft.

Table `usage`, partition `<yyyy-mm-ddThh>|<tenant>|<shard>` (the hour in which the call ended), row = the request's id,
which sorts by time. The shard is a hex digit of the worker's, so that a busy tenant is not bound to one partition's 2,000
rows a second. The table only grows: a row is written whole and never changed, and written again it is the same.

Rules: what clients and backends send is cut to a size that 100 rows of fit into one transaction, tags at a comma, so that
none is counted under half its name. A virtual key in what a client sends is masked, but
for the user, by whose name limits are counted.
"""

import datetime
from operator import attrgetter

import msgspec

from gateway.domain.access import masked_keys
from gateway.domain.call import Inbound
from gateway.domain.ledger import ANONYMOUS
from gateway.domain.tables import Value
from gateway.domain.verdict_text import labels_of, line_of
from gateway.metering.draft import Draft

MAX_LABEL_CHARACTERS = 256
MAX_TAGS_CHARACTERS = 2048
# Where clients and what stands before us put the id by which they know the call; the first that is there counts.
CLIENT_REQUEST_IDS = ("x-ms-client-request-id", "x-client-request-id", "x-request-id", "x-correlation-id")


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """A finished call, as stored. Durations are seconds; `cost_micro_usd` is None where there was no price.

    `tokens_estimated` speaks for `units` as well. What the caller's limits were charged stands in `charged_…`, in the windows of
    `admitted_at`; it differs from what was used where nobody knows how far a backend had come. A call without limits has none.
    `worker` is the process that held the limits' leases. `guardrails` are their verdicts and `classification` the labels that they
    gave the call, as `domain/verdict_text.py` writes them. `upstream_hash` is that of the body that the answering backend was sent,
    kept where the call came from a prompt or was captured.
    """

    at: datetime.datetime
    request_id: str
    trace_id: str
    tenant: str
    product: str
    subscription: str
    key_id: str
    user: str
    session: str
    tags: str
    operation: str
    surface: str
    path: str
    model: str
    deployment: str
    backend: str
    stream: bool
    status: int
    error_code: str
    finish_reason: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    units: int
    unit: str
    tokens_estimated: bool
    unpriced: bool
    cost_micro_usd: int | None
    aside_cost_micro_usd: int | None
    avoided_micro_usd: int
    admitted_at: datetime.datetime | None
    charged_requests: int
    charged_input_tokens: int
    charged_output_tokens: int
    charged_micro_usd: int
    worker: str
    client_request_id: str
    upstream_request_id: str
    rule: str
    tier: str
    fallback: str
    reason: str
    route: str
    changes: str
    guardrails: str
    classification: str
    prompt: str
    prompt_version: int
    experiment: str
    variant: str
    upstream_hash: str
    admission_s: float
    guard_s: float
    queue_s: float
    upstream_ttft_s: float
    stream_s: float
    overhead_s: float
    total_s: float

    def row(self) -> dict[str, Value]:
        """Return the row's properties. An absent one is empty, zero or false; an absent cost with `unpriced` is unknown."""
        values: dict[str, Value] = {name: value for name, value in zip(_FIELDS, _values_of(self), strict=True) if value}
        values["status"] = self.status
        return values


_FIELDS = UsageRecord.__struct_fields__
_values_of = attrgetter(*_FIELDS)


def finish(draft: Draft, now_s: float, at: datetime.datetime) -> UsageRecord:
    """Turn a draft into the record.

    Args:
        draft: The call, complete.
        now_s: When the last byte was handed on, on the Clock.
        at: The same moment, in UTC.
    """
    inbound, caller, usage, charged, most = draft.inbound, draft.principal, draft.usage, draft.charged, MAX_LABEL_CHARACTERS
    label = inbound.headers.get
    # Every call passes here, and by position the fields cost a quarter of what they cost by name.
    # fmt: off
    return UsageRecord(
        at, inbound.request_id, draft.trace_id,
        *((caller.tenant, caller.product, caller.subscription, caller.key_id) if caller else (ANONYMOUS, "", "", "")),
        user_of(draft)[:most], masked_keys(label("x-gateway-session", ""))[:most], _tags(masked_keys(label("x-gateway-tags", ""))),
        inbound.operation.value, inbound.surface.value, masked_keys(f"{inbound.method} {inbound.path}")[: 2 * most],
        masked_keys(draft.model)[:most], draft.deployment, draft.backend, draft.stream,
        draft.status, draft.error_code, (draft.finish_reason or "")[:most], draft.attempts,
        usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens,
        usage.audio_input_tokens, usage.audio_output_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens,
        usage.units, usage.unit, usage.estimated,
        draft.cost_micro_usd is None, draft.cost_micro_usd, draft.aside_cost_micro_usd, draft.avoided_micro_usd,
        draft.admitted_at, charged.requests, charged.input_tokens, charged.output_tokens, charged.cost_micro_usd, draft.worker,
        masked_keys(_client_request_id(inbound))[:most], draft.upstream_request_id[:most],
        draft.rule, draft.tier, draft.fallback, draft.reason, " ".join(draft.route)[: 4 * most], " ".join(draft.changes),
        line_of(draft.verdicts), labels_of(draft.verdicts),
        draft.prompt, draft.prompt_version, draft.experiment, draft.variant, draft.upstream_hash,
        *_latencies(draft, now_s),
    )
    # fmt: on


def _latencies(draft: Draft, now_s: float) -> tuple[float, ...]:
    """Return the parts of a call's time in the order of the record's last fields."""
    received_s = draft.inbound.received_s
    total_s = now_s - received_s
    last_byte_s = draft.last_byte_s if draft.last_byte_s is not None else now_s
    stream_s = last_byte_s - draft.first_token_s if draft.first_token_s is not None else 0.0
    others_s = draft.guard_s + draft.queue_s + draft.upstream_wait_s + stream_s
    # An explanation passes guardrails, and is never admitted.
    admission_s = draft.admitted_s - received_s if draft.admitted_s is not None else total_s - others_s
    overhead_s = total_s - admission_s - others_s
    return admission_s, draft.guard_s, draft.queue_s, draft.upstream_wait_s, stream_s, overhead_s, total_s


def user_of(draft: Draft) -> str:
    """Return whom a token proves the caller to be, else whom the caller says it is."""
    proved = draft.principal.user if draft.principal else ""
    return proved or draft.inbound.headers.get("x-gateway-user", "").strip()


def _client_request_id(inbound: Inbound) -> str:
    headers = inbound.headers
    for name in CLIENT_REQUEST_IDS:
        if name in headers:
            return headers[name].strip()
    return ""


def _tags(text: str) -> str:
    return text if len(text) <= MAX_TAGS_CHARACTERS else text[:MAX_TAGS_CHARACTERS].rpartition(",")[0]
