"""Timers run in the embedded host, called directly and through Microsoft's worker, as the platform would run them."""

import datetime
from typing import Any

from tests.host.asking import ask, eventually


def test_a_timer_runs_at_its_times_though_one_run_fails(sample: Any) -> None:
    def ticks() -> Any:
        told = ask(sample, "GET", "/ticks").json()
        return told if told["ticks"] >= 4 else None

    told = eventually(ticks, "four ticks")
    assert told["past_due"] is False
    last, following = (datetime.datetime.fromisoformat(told[name]) for name in ("Last", "Next"))
    assert datetime.timedelta(0) < following - last
    assert "the second one fails" in sample.errors()


def test_no_url_runs_a_timer(sample: Any) -> None:
    assert ask(sample, "GET", "/tick").status == 404
