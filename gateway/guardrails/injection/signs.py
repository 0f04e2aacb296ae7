"""Many RE2 patterns looked for at once: in one pass, or by the words that each needs first, then those whose words are there."""

from collections.abc import Callable, Iterable


def one_of(patterns: Iterable[str], *, small: bool = False) -> Callable[[str], list[int]]:
    """Return what tells which of some patterns occur in a text, as their indexes in ascending order.

    Small patterns, of which many need no certain word, are quicker in one pass; others have too many states for that.

    Raises:
        ValueError: A pattern is none.
    """
    import re2  # noqa: PLC0415 - 13 ms of import that only a catalogue with this guardrail pays

    options = re2.Options()
    options.log_errors = False
    signs = re2.Set.SearchSet(options) if small else re2.Filter()
    for pattern in patterns:
        try:
            signs.Add(pattern, options) if isinstance(signs, re2.Filter) else signs.Add(pattern)
        except re2.error as exc:
            raise ValueError(f"no RE2 pattern: {pattern}") from exc
    signs.Compile()

    def found(text: str) -> list[int]:
        return sorted(signs.Match(text) or ())

    return found
