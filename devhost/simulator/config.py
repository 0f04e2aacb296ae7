"""What a simulator is told when it starts: pacing, limits and error rate. Frozen; one value per running simulator."""

import time
from collections.abc import Callable
from dataclasses import dataclass

AWS_KEY_ID = "AKIDSIMULATOR"
AWS_SECRET = "simulated-aws-secret"  # noqa: S105 - it opens a simulator
ENTRA_TENANT = "00000000-0000-4000-8000-000000000001"
ENTRA_AUDIENCE = "api://ai-gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How the simulated service behaves for every deployment; the fault models in `faults.py` come on top.

    Attributes:
        latency_ms: wait before the first byte of every model answer.
        tokens_per_second: pace of streamed chunks per stream; 0 = as fast as the client reads.
        error_rate: share (0..1) of model requests that fail with a 500, spread evenly and the same in every run.
        tpm: tokens per minute of each deployment; 0 = no limit and no rate headers.
        rpm: requests per minute of each deployment; 0 = no limit and no rate headers.
        hang_s: how long `mock-hang` holds on to a client that does not leave.
        identity_header: the secret that `/msi/token` demands; empty = any non-empty one.
        aws_key_id: the access key that /bedrock believes, and
        aws_secret: its secret; both are known to everybody.
        keep_requests: how many requests `/_sim/requests` remembers.
        exact_tokens: whether prompts of chats and Responses are counted as OpenAI counts them, instead of a token for four characters.
        now_s: the clock of the one-minute windows; tests set their own.
    """

    latency_ms: float = 0.0
    tokens_per_second: float = 0.0
    error_rate: float = 0.0
    tpm: int = 0
    rpm: int = 0
    hang_s: float = 300.0
    identity_header: str = ""
    aws_key_id: str = AWS_KEY_ID
    aws_secret: str = AWS_SECRET
    keep_requests: int = 100
    exact_tokens: bool = False
    now_s: Callable[[], float] = time.monotonic
