"""A setting is in four places or in none: read by settings.py, in NAMES, in the sample, in README's table."""

import ast
import json

from gateway.settings import NAMES, Settings, load_settings
from tests.house.sources import codes, read, table

# The platform's, not ours; both are documented with ours, because the app does not start without them.
PLATFORM = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
REQUIRED = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "GATEWAY_KEY_PEPPER": "sixteen characters and more"}


def rows() -> dict[str, tuple[str, str]]:
    return {codes(name)[0]: (default, meaning) for name, default, meaning in table(read("README.md"), "Settings")}


def sample() -> dict[str, str]:
    values: dict[str, str] = json.loads(read("local.settings.sample.json"))["Values"]
    return values


def test_names_are_what_the_code_reads() -> None:
    strings = {node.value for node in ast.walk(ast.parse(read("gateway/settings.py"))) if isinstance(node, ast.Constant)}
    read_names = {
        text
        for text in strings
        if isinstance(text, str) and text.isidentifier() and (text.isupper() or text.startswith("GATEWAY_") or "WebJobs" in text)
    }
    assert read_names - PLATFORM == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


def test_the_sample_lists_every_setting_and_none_that_nobody_reads() -> None:
    assert sample().keys() == set(NAMES) | PLATFORM


def test_the_sample_can_be_used_as_it_is() -> None:
    assert isinstance(load_settings(sample()), Settings)


def test_readme_lists_every_setting_with_its_meaning() -> None:
    assert rows().keys() == set(NAMES) | PLATFORM
    assert [name for name, (default, meaning) in rows().items() if not default or not meaning] == []


def test_readme_and_sample_state_the_real_defaults() -> None:
    real = load_settings(REQUIRED)
    stated = {name: codes(default)[0] for name, (default, _) in rows().items() if codes(default)}
    assert stated["GATEWAY_CATALOG"] == sample()["GATEWAY_CATALOG"] == real.catalog
    numbers = {
        "GATEWAY_MAX_BODY_MB": real.max_body_bytes / 1024 / 1024,
        "GATEWAY_REQUEST_TIMEOUT_S": real.request_timeout_s,
        "GATEWAY_STREAM_IDLE_TIMEOUT_S": real.stream_idle_timeout_s,
        "GATEWAY_SPOOL_MB": real.spool_bytes / 1024 / 1024,
    }
    assert {name: float(stated[name]) for name in numbers} == numbers
    assert {name: float(sample()[name]) for name in numbers} == numbers
    assert stated["GATEWAY_TABLES"] == stated["GATEWAY_BLOBS"] == "AzureWebJobsStorage"
