"""The gateway as users start it, for the tests that hold documents and routes to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.conftest import MODES, Running, started

COUNTING_APP = Path(__file__).parent / "counting_app"


@pytest.fixture(scope="session", params=MODES)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The gateway with simulated backends, in both modes; `data/counts` has a line for every record it made."""
    folder = tmp_path_factory.mktemp(f"house-{request.param}")
    (folder / "data").mkdir()
    mode = ["--worker"] if request.param == "worker" else []
    arguments = ("--data", str(folder / "data"), "--app", str(COUNTING_APP), *mode)
    with started(folder, *arguments, settings={"HOUSE_COUNTS": str(folder / "data" / "counts")}) as running:
        assert running.url, running.errors()
        yield running
        assert running.stop() == 0, running.errors()
