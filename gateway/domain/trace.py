"""W3C Trace Context: continue the caller's trace, or begin one; a bad header is ignored, never refused.

Source: www.w3.org/TR/trace-context, "traceparent Header" (read 2026-11-22).
"""

import re

import msgspec

from gateway.domain.ids import random_hex

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?\Z")


class Trace(msgspec.Struct, frozen=True, gc=False):
    """The trace's id, and the traceparent to send upstream with our own span in it."""

    trace_id: str
    traceparent: str


def continue_trace(header: str | None) -> Trace:
    """Continue the trace of a `traceparent` header, or begin a new, sampled one."""
    match = _TRACEPARENT.match(header) if header else None
    trace_id, flags = (match[1], match[2]) if match else (random_hex(32), "01")
    return Trace(trace_id=trace_id, traceparent=f"00-{trace_id}-{random_hex(16)}-{flags}")
