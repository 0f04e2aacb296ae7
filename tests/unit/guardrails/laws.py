"""What every detector of places promises, said once."""

from gateway.domain.verdicts import Reading
from gateway.guardrails.kinds import Detector


def spans(reading: Reading) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in reading.findings]


def redacted(detector: Detector, text: str) -> str:
    parts, done = [], 0
    for each in detector.read(text).findings:
        parts += [text[done : each.start], detector.replacement(each, text[each.start : each.end])]
        done = each.end
    return "".join([*parts, text[done:]])


def leaks(detector: Detector, text: str) -> list[tuple[int, tuple[int, int]]]:
    """Return where a stream would be released wrongly: (cut, finding of the whole that was not yet known when it was released)."""
    whole = spans(detector.read(text))
    found = []
    for cut in range(len(text) + 1):
        place = detector.open_from(text[:cut])
        known = spans(detector.read(text[:cut]))
        assert 0 <= place <= cut
        assert not any(start < place < end for start, end in known)
        found += [(cut, each) for each in whole if each[0] < place and each not in known]
        found += [(cut, each) for each in known if each[1] <= place and each not in whole]
    return found
