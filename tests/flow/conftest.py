from collections.abc import AsyncIterator

import pytest

from tests.flow.street import Street


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    street = Street()
    yield street
    await street.recorder.close()
