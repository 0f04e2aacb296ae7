"""What local rules cost: `python -m bench.rules`. Medians of one core's time for texts of 4 KB."""

import statistics
import time
from collections.abc import Callable

from gateway.guardrails.rules.languages import LanguagesDetector
from gateway.guardrails.rules.patterns import PatternsDetector
from gateway.guardrails.rules.terms import TermsDetector
from gateway.guardrails.rules.topics import TopicsDetector

SIZE, ROUNDS = 4096, 200
ENGLISH = (
    "We looked at the plan that the two teams had made for the next quarter, and found three points which should be clearer. "
    "The first is who decides when a date slips; the second, what is left out; the third is how we tell those who wait for it. "
)
CHINESE = "我们看了两个团队为下一季度制定的计划，发现有三点应当更清楚：日期推迟时由谁决定，哪些内容不做，以及如何告知等待的人。"
PATTERNS = {f"p{number}": pattern for number, pattern in enumerate((
    "C-[0-9]{6}", "[A-Z]{2}[0-9]{8}", "(?i)project [a-z]+ falcon", r"\bINV-\d{4}-\d{4}\b", "[0-9]{3}-[0-9]{4}", "(?i)strictly internal",
    r"\bEMP\d{5}\b", "[a-f0-9]{40}", r"(?i)ticket #\d+", r"\b[A-Z]{3}-[0-9]{3}-[A-Z]{3}\b",
))}  # fmt: skip
TERMS = tuple(f"codename{number} alpha" for number in range(1000))
TOPICS = {f"t{number}": tuple(f"subject{number}x{word}" for word in range(20)) for number in range(5)}


def texts(sample: str, count: int = ROUNDS) -> list[str]:
    """Return texts of 4 KB that differ, so that nothing is remembered."""
    return [f"{number} {sample * (SIZE // len(sample) + 1)}"[:SIZE] for number in range(count)]


def cost_us(read: Callable[[str], object], sample: str) -> float:
    times = []
    for text in texts(sample):
        started_s = time.perf_counter()
        read(text)
        times.append(time.perf_counter() - started_s)
    return statistics.median(times) * 1e6


def main() -> None:
    detectors = {
        "1,000 terms": TermsDetector(TERMS, "term", "[REDACTED]"),
        "ten patterns": PatternsDetector(PATTERNS, "[REDACTED]", 0),
        "five topics of 20 words": TopicsDetector(TOPICS, 2),
        "languages": LanguagesDetector(("en", "zh"), ()),
    }
    print(f"  {'4,096 characters of':26}{'English':>10}{'Chinese':>10}")
    for name, detector in detectors.items():
        print(f"  {name:26}{cost_us(detector.read, ENGLISH):>7.0f} us{cost_us(detector.read, CHINESE):>7.0f} us")


if __name__ == "__main__":
    main()
