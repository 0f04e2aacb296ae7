"""The catalogue's guardrails by name, the built-in ones added, and a tenant's own rules, all together: what is wrong with them.

What is wrong with one of them by itself is in `guardrail_faults.py`. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway.domain.catalog_schema import CatalogError
from gateway.domain.deployment import Backend, Protocol
from gateway.domain.guardrail_faults import Check, Fault, guardrail_fault, nothing_more
from gateway.domain.guardrails import (
    BUILT_IN,
    Guardrail,
    Pii,
    Regex,
    TenantRule,
    Terms,
    Topics,
)

MAX_RULES = 50
MAX_RULE_TERMS = 1000
MAX_RULE_PATTERNS = 20
MAX_RULES_CHARACTERS = 30_000  # as JSON: a property of a row takes 32,768, and some of them take two


def build_guardrails(entries: Sequence[Guardrail], check: Check = nothing_more) -> Mapping[str, Guardrail]:
    """Return all guardrails by name: the built-in ones, unless the file defines them otherwise, and the file's.

    Raises:
        CatalogError: One of them is wrong.
    """
    found: dict[str, Guardrail] = {}
    for index, entry in enumerate(entries):
        path = f"$.guardrails[{index}]"
        if entry.id in found:
            raise CatalogError(f"{path}.id", f"{entry.id!r} is there twice")
        if fault := guardrail_fault(entry) or check(entry):
            raise CatalogError(f"{path}.{fault[0]}", fault[1])
        found[entry.id] = entry
    return {**BUILT_IN, **found}


def language_backends(entries: Sequence[Guardrail], backends: Mapping[str, Backend]) -> Mapping[str, Backend]:
    """Return the backends whose Language service guardrails ask, by id; CatalogError for what is none."""
    found = {}
    for index, entry in enumerate(entries):
        if isinstance(entry, Pii) and (name := entry.language_backend):
            backend = backends.get(name)
            if backend is None or backend.protocol is not Protocol.AZURE_AI:
                known = ", ".join(sorted(each.id for each in backends.values() if each.protocol is Protocol.AZURE_AI)) or "there is none"
                message = f"{name[:64]!r} is no backend of the protocol azure-ai; known: {known}"
                raise CatalogError(f"$.guardrails[{index}].language_backend", message)
            found[name] = backend
    return found


def unknown_guardrail(names: Sequence[str], known: Iterable[str], path: str) -> Fault | None:
    """Return what is wrong with a list of guardrails' names: one that is not there, or is there twice."""
    there = set(known)
    for index, name in enumerate(names):
        if name not in there:
            return f"{path}[{index}]", f"there is no guardrail {name[:64]!r}; there are {', '.join(sorted(there))}"
        if name in names[:index]:
            return f"{path}[{index}]", f"{name!r} is there twice"
    return None


def rules_fault(rules: Sequence[TenantRule], taken: Iterable[str], check: Check = nothing_more) -> Fault | None:
    """Return what is wrong with a tenant's own rules, all together; None where nothing is.

    Args:
        rules: As sent.
        taken: Names of the gateway's guardrails, which no rule may pass itself off as.
        check: Of what only a detector can tell.
    """
    if len(rules) > MAX_RULES:
        return "rules", f"takes at most {MAX_RULES}"
    names, there = set(taken), set[str]()
    for index, rule in enumerate(rules):
        if fault := guardrail_fault(rule) or _own_fault(rule, names, there) or check(rule):
            return f"rules[{index}].{fault[0]}", fault[1]
        there.add(rule.id)
    return _amount_fault(rules)


def _own_fault(rule: TenantRule, names: set[str], there: set[str]) -> Fault | None:
    if rule.id in there:
        return "id", f"{rule.id!r} is there twice"
    if rule.id in names:
        return "id", f"{rule.id!r} is a guardrail of the gateway; choose another name"
    return ("tenants", "a tenant's rule is for this tenant; leave it out") if rule.tenants else None


def _amount_fault(rules: Sequence[TenantRule]) -> Fault | None:
    terms = sum(len(rule.terms) for rule in rules if isinstance(rule, Terms))
    terms += sum(len(words) for rule in rules if isinstance(rule, Topics) for words in rule.topics.values())
    if terms > MAX_RULE_TERMS:
        return "rules", f"hold {terms} terms and words of topics; at most {MAX_RULE_TERMS} are taken"
    patterns = sum(len(rule.patterns) for rule in rules if isinstance(rule, Regex))
    if patterns > MAX_RULE_PATTERNS:
        return "rules", f"hold {patterns} patterns; at most {MAX_RULE_PATTERNS} are taken"
    text = msgspec.json.encode(rules).decode()
    units = len(text.encode("utf-16-le")) // 2
    return None if units <= MAX_RULES_CHARACTERS else ("rules", f"are {units} characters as JSON; at most {MAX_RULES_CHARACTERS} are taken")
