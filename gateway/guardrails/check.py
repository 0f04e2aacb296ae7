"""What is wrong with a guardrail that only its detector can tell: patterns, languages, categories, schemas. Pure."""

import fnmatch
from collections.abc import Iterable

from gateway.domain.guardrails import Guardrail, JsonSchema, Languages, Pii, Regex, Secrets
from gateway.domain.json_schema import schema_fault
from gateway.guardrails.languages import LANGUAGES
from gateway.guardrails.patterns import check_pattern
from gateway.guardrails.pii import CATEGORIES, SECRET_CATEGORIES

# Where it is wrong, and what is wrong there.
type Fault = tuple[str, str]


def guardrail_check(guardrail: Guardrail) -> Fault | None:
    """Return the first fault; None where there is none."""
    if isinstance(guardrail, Pii):
        return _unknown(guardrail.entities, CATEGORIES)
    if isinstance(guardrail, Secrets):
        return _unknown(guardrail.entities, SECRET_CATEGORIES)
    if isinstance(guardrail, Regex):
        found = ((name, check_pattern(pattern)) for name, pattern in guardrail.patterns.items())
        return next(((f"patterns.{name}", fault) for name, fault in found if fault), None)
    if isinstance(guardrail, Languages):
        return next((fault for name in ("allow", "deny") if (fault := _unknown_language(name, getattr(guardrail, name)))), None)
    if isinstance(guardrail, JsonSchema) and (wrong := schema_fault(guardrail.schema)):
        return "schema", wrong
    return None


def _unknown(globs: Iterable[str], known: Iterable[str]) -> Fault | None:
    names = sorted(known)
    for index, glob in enumerate(globs):
        if not fnmatch.filter(names, glob):
            return f"entities[{index}]", f"{glob[:64]!r} fits nothing that is looked for: {', '.join(names)}"
    return None


def _unknown_language(name: str, codes: Iterable[str]) -> Fault | None:
    for index, code in enumerate(codes):
        if code not in LANGUAGES:
            return f"{name}[{index}]", f"{code[:64]!r} is no language that can be told: {', '.join(sorted(LANGUAGES))}"
    return None
