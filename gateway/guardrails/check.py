"""What is wrong with a guardrail that only its detector can tell: patterns, terms, languages, categories, schemas. Pure."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from gateway.domain.guardrails import Guardrail, JsonSchema, Languages, Named, Pii, Regex, Secrets, Terms, Topics
from gateway.domain.json_schema import schema_fault
from gateway.guardrails.pii.detector import CATEGORIES, SECRET_CATEGORIES
from gateway.guardrails.rules.languages import LANGUAGES
from gateway.guardrails.rules.patterns import check_pattern
from gateway.guardrails.rules.terms import check_terms

# Where it is wrong, and what is wrong there.
type Fault = tuple[str, str]


def guardrail_check(guardrail: Guardrail) -> Fault | None:
    """Return the first fault; None where there is none."""
    faults = _CHECKS.get(type(guardrail))
    found = faults(guardrail) if faults is not None else ()
    return next(((path, message) for path, message in found if message), None)


def _entities(globs: Iterable[str], known: Iterable[str]) -> Iterable[tuple[str, str | None]]:
    names = sorted(known)
    for index, glob in enumerate(globs):
        if not fnmatch.filter(names, glob):
            yield f"entities[{index}]", f"is {glob[:64]!r}, which fits nothing that is looked for: {', '.join(names)}"


def _terms(path: str, terms: Sequence[str]) -> tuple[str, str | None]:
    said = check_terms(terms)
    if said is None or not said.startswith("["):
        return path, said
    index, _, rest = said.partition(" ")
    return f"{path}{index}", rest


def _languages(guardrail: Languages) -> Iterable[tuple[str, str | None]]:
    for name in ("allow", "deny"):
        for index, code in enumerate(getattr(guardrail, name)):
            if code not in LANGUAGES:
                yield f"{name}[{index}]", f"is {code[:64]!r}, which is no language that can be told: {', '.join(sorted(LANGUAGES))}"


_CHECKS: Mapping[type[Named], Callable[[Any], Iterable[tuple[str, str | None]]]] = MappingProxyType({
    Pii: lambda guardrail: _entities(guardrail.entities, CATEGORIES),
    Secrets: lambda guardrail: _entities(guardrail.entities, SECRET_CATEGORIES),
    Terms: lambda guardrail: [_terms("terms", guardrail.terms)],
    Topics: lambda guardrail: [_terms(f"topics.{name}", words) for name, words in guardrail.topics.items()],
    Regex: lambda guardrail: [(f"patterns.{name}", check_pattern(pattern)) for name, pattern in guardrail.patterns.items()],
    Languages: _languages,
    JsonSchema: lambda guardrail: [("schema", schema_fault(guardrail.schema))],
})  # fmt: skip
