"""The real app, whose recorder also writes the request id of every record that it is given to the file in HOUSE_COUNTS.

The store cannot tell one record from two of the same call: the second overwrites the first.
"""

import importlib.util
import os
from pathlib import Path

from gateway.metering.records import Recorder, UsageRecord

COUNTS = Path(os.environ["HOUSE_COUNTS"])
take = Recorder.add


def count_and_take(self: Recorder, record: UsageRecord) -> None:
    with COUNTS.open("a", encoding="utf-8") as counts:
        counts.write(record.request_id + "\n")
    take(self, record)


Recorder.add = count_and_take  # type: ignore[method-assign]

spec = importlib.util.spec_from_file_location("real_function_app", Path(__file__).parents[3] / "function_app.py")
assert spec is not None
assert spec.loader is not None
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)
app = real.app
