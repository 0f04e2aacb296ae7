"""Cuts a text that is too long for one question into chunks that overlap.

    |─────────── chunk ───────────|
                          |─────────── chunk ───────────|
                          |overlap|

Rules:

- Every character is in a chunk, and no chunk is longer than the limit.
- Whatever is no longer than the overlap is whole in some chunk, wherever it stands.
- A cut lies at white space where there is some near, so that words stay whole; where there is none it lies where it must.
- Characters are Unicode code points, as the services count them and as Python does.

Source: Azure AI Content Safety REST reference 2024-09-01, "characters will be counted in Unicode code points" (read 2026-11-22).
"""

OVERLAP = 500
_SPACES = " \n\t\u3000"  # CJK texts have the last one
_SLACK = 20  # a cut is moved by at most this part of the limit


def cut(text: str, limit: int, overlap: int = OVERLAP) -> list[tuple[int, int]]:
    """Return where a text's chunks begin and end, in characters; an empty text has none.

    Args:
        text: The text.
        limit: How many characters a chunk has at most.
        overlap: How many characters two neighbours share at least; at most half the limit.
    """
    if not text:
        return []
    spans, start, slack = [], 0, limit // _SLACK
    while len(text) - start > limit:
        end = _near(text, start + limit, slack)
        spans.append((start, end))
        start = _near(text, end - overlap, slack)
    return [*spans, (start, len(text))]


def _near(text: str, place: int, slack: int) -> int:
    """Return the last place not after this one where white space is, or this one where there is none near."""
    found = max(text.rfind(space, place - slack, place + 1) for space in _SPACES)
    return place if found < 0 else min(found + 1, place)
