"""Requests and tokens per minute of a deployment, in fixed windows of one minute that start with its first request."""

from collections.abc import Callable
from dataclasses import dataclass

from devhost.simulator.config import SimulatorConfig
from devhost.simulator.refusals import Header, Refusal

_WINDOW_S = 60.0


@dataclass(slots=True)
class _Window:
    start_s: float
    requests: int = 0
    tokens: int = 0


class Limits:
    """Counts what each deployment was asked for. Invariant: what a window admits never exceeds its limits."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._windows: dict[str, _Window] = {}
        self.active = bool(config.tpm or config.rpm)

    def admit(self, name: str, tokens: int, refuse: Callable[[float, str], Refusal]) -> list[Header]:
        """Charge one request with its estimated tokens; return the rate headers, or raise what `refuse(wait_s, what)` makes."""
        if not self.active:
            return []
        now_s = self._config.now_s()
        window = self._windows.get(name)
        if window is None or now_s - window.start_s >= _WINDOW_S:
            window = self._windows[name] = _Window(now_s)
        left_s = window.start_s + _WINDOW_S - now_s
        rpm, tpm = self._config.rpm, self._config.tpm
        if rpm and window.requests + 1 > rpm:
            raise refuse(left_s, "call rate limit")
        if tpm and window.tokens + tokens > tpm:
            raise refuse(left_s, "token rate limit")
        window.requests += 1
        window.tokens += tokens
        headers: list[Header] = []
        for noun, limit, used in ((b"requests", rpm, window.requests), (b"tokens", tpm, window.tokens)):
            if limit:
                headers.append((b"x-ratelimit-limit-" + noun, b"%d" % limit))
                headers.append((b"x-ratelimit-remaining-" + noun, b"%d" % (limit - used)))
                headers.append((b"x-ratelimit-reset-" + noun, b"%ds" % max(1, round(left_s))))
        return headers
