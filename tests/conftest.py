"""What holds for every test: it prints no secret; and what a run says at its end."""

from collections import Counter
from collections.abc import Generator

import pytest

from tests import leaks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that printed or logged a secret, unless it says that it does (`@pytest.mark.prints_secrets`)."""
    report = yield
    if report.when != "teardown" or item.get_closest_marker("prints_secrets"):
        return report
    for name, text in report.sections:
        if found := leaks.find(text.encode("utf-8", "surrogateescape")):
            report.outcome = "failed"
            report.longrepr = f"{', '.join(found)} in {name.lower()}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once per reason what was skipped, and how often."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in skipped)
    for reason, times in reasons.items():
        terminalreporter.write_line(f"{times} tests skipped: {reason.removeprefix('Skipped: ')}", yellow=True)
