"""Experiments, and the usage records that their calls leave."""

import datetime
import random
from typing import Any

from gateway.domain.experiments import Experiment, ExperimentState, Goal, GuardMetric, Phase, Target, Variant
from gateway.domain.ids import uuid7_hex
from gateway.domain.ledger import USAGE, hour_of
from tests.fakes.tables import FakeTables

START = datetime.datetime(2026, 11, 23, 9, 30, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
HOUR = datetime.timedelta(hours=1)


def experiment(**over: Any) -> Experiment:
    """One of two variants, on an error rate; it began at START."""
    fields: dict[str, Any] = {
        "tenant": "contoso",
        "id": "greeting",
        "on": Target(prompt="welcome"),
        "variants": (Variant("control"), Variant("canary")),
        "goal": Goal("feedback.helpful"),
        "guards": (GuardMetric("error_rate"),),
        "state": ExperimentState.RUNNING,
        "started_at": START,
        "phases": (Phase(START, {"control": 1, "canary": 1}),),
        "min_units": 20,
    }
    return Experiment(**fields | over)


async def record(tables: FakeTables, at: datetime.datetime, took: datetime.timedelta = SECOND, **over: Any) -> str:
    """Write one usage record of a call that ended then."""
    row = f"req_{uuid7_hex((at - took).timestamp())}"
    values: dict[str, Any] = {
        "at": at,
        "tenant": "contoso",
        "subscription": "sub_1",
        "user": "anna",
        "experiment": "greeting",
        "variant": "control",
        "status": 200,
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cost_micro_usd": 2000,
        "total_s": 1.5,
        "upstream_ttft_s": 0.25,
    }
    values |= over
    await tables.insert(USAGE, f"{hour_of(at)}|{values['tenant']}|{random.choice('0123456789abcdef')}", row, values)
    return row
