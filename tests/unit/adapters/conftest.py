import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Sockets are tried on both loops: Functions' worker runs on asyncio's own, `devhost` on uvloop."""
    both = item.path.name == "test_upstream_pool.py"
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop} if both else {"asyncio": asyncio.new_event_loop}
