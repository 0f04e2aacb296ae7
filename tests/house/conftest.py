"""The gateway as users start it, for the tests that hold documents and routes to it."""

from tests.host.conftest import gateway  # noqa: F401 - a fixture
