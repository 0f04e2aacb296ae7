"""The look for secrets finds them, and fails the test that printed one."""

import pytest

from gateway.access import keys
from tests import leaks

pytest_plugins = ["pytester"]

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "a" * 86


@pytest.mark.parametrize(
    "text",
    [
        f"key {keys.mint().text} used",
        f"authorization: Bearer {TOKEN}",
        "-----BEGIN PRIVATE KEY-----",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6",
        "the-administrators-own-key",
    ],
    ids=["virtual key", "token", "private key", "account key", "administrator's key"],
)
def test_a_secret_is_found_and_not_repeated(text: str) -> None:
    (found,) = leaks.find(text.encode())
    assert text not in found


def test_what_may_be_shown_is_no_secret() -> None:
    key = keys.mint()
    assert leaks.find(f"key {key.id}, gwk_…{key.text[-4:]}, {keys.hash_key(b'p', key)}, {key!r}".encode()) == []


@pytest.mark.prints_secrets
@pytest.mark.parametrize(("marker", "failed"), [("", 1), ("@pytest.mark.prints_secrets", 0)])
@pytest.mark.parametrize("way", ["print(KEY)", "logging.getLogger('gateway').warning('key %s', KEY)", "sys.stderr.write(KEY)"])
def test_a_test_that_prints_a_secret_fails(pytester: pytest.Pytester, way: str, marker: str, failed: int) -> None:
    pytester.makepyfile(f"import logging, sys\nimport pytest\nKEY = {keys.mint().text!r}\n{marker}\ndef test_it():\n    {way}\n")
    pytester.makeini("[pytest]\nmarkers = prints_secrets: on purpose\nasyncio_default_fixture_loop_scope = function\n")
    outcome = pytester.runpytest_inprocess("-p", "tests.conftest", "-p", "no:xdist")
    assert outcome.parseoutcomes().get("failed", 0) + outcome.parseoutcomes().get("errors", 0) == failed
