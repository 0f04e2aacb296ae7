"""Makes guardrails ready to run: each type of the catalogue's gets its detector, its service, its rule. The one table of types.

A new type: a Struct in `domain/guardrails.py`, a module here, a row in `_MAKERS`, a test.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain import guardrails as domain
from gateway.domain.deployment import Backend
from gateway.domain.guardrails import Guardrail, action_of, directions_of
from gateway.domain.verdicts import Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.injection.detector import InjectionDetector
from gateway.guardrails.kinds import EVERYBODY, AnswerRule, Detector, Guard, Rule, Service
from gateway.guardrails.pii.detector import PiiDetector
from gateway.guardrails.rules.languages import LanguagesDetector
from gateway.guardrails.rules.patterns import PatternsDetector
from gateway.guardrails.rules.size import check_output_size, size_rule
from gateway.guardrails.rules.terms import TermsDetector
from gateway.guardrails.rules.tools import called_tools, check_called, tools_rule
from gateway.guardrails.rules.topics import TopicsDetector
from gateway.guardrails.services.content_safety import ContentSafetyService
from gateway.guardrails.services.groundedness import GroundednessService
from gateway.guardrails.services.language_pii import LanguagePii
from gateway.guardrails.services.protected_material import ProtectedMaterialService
from gateway.guardrails.services.remembered import Remembered
from gateway.guardrails.services.shields import PromptShields
from gateway.ports import ContentSafety, Upstream


class Workshop(msgspec.Struct, frozen=True):
    """What guardrails are made with.

    Attributes:
        safety: Content Safety; None where it is not configured.
        upstream: The network, for a Language service.
        backends: Those whose Language service may be asked, by id.
        memory: What services have said before.
    """

    safety: ContentSafety | None
    upstream: Upstream
    backends: Mapping[str, Backend]
    memory: Remembered


class _Parts(msgspec.Struct, frozen=True):
    """What a type is made of; see `Guard`."""

    detector: Detector | None = None
    service: Service | None = None
    rule: Rule | None = None
    answer_rule: AnswerRule | None = None
    roles: frozenset[Role] = EVERYBODY


# What the application says to the model is its own; an attack or a harm is looked for in what others say.
_OTHERS = EVERYBODY - {Role.SYSTEM}
# Data is in no language, and an earlier answer attacks nobody.
_SPEAKERS = frozenset({Role.USER, Role.ASSISTANT})
_STRANGERS = frozenset({Role.USER, Role.TOOL, Role.DOCUMENT})
_ANSWERS = frozenset({Role.ASSISTANT})


class NoService:
    """A Service that may not or cannot be asked, and says why.

    Args:
        why: For the log and the verdict.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    async def inspect(
        self,
        passages: Sequence[Passage],  # noqa: ARG002 - it asks nobody about them
        sources: Sequence[Passage] = (),  # noqa: ARG002
        *,
        tenant: str,  # noqa: ARG002
    ) -> list[Reading]:
        """Raise GuardrailUnavailable."""
        raise GuardrailUnavailable(self._why)


NOT_CONFIGURED = NoService("Content Safety is not configured: the operator sets GATEWAY_CONTENT_SAFETY_ENDPOINT")


def _pii(config: domain.Pii, workshop: Workshop) -> _Parts:
    backend = workshop.backends.get(config.language_backend)
    service: Service | None = None
    if backend is not None:
        service = LanguagePii(
            backend, workshop.upstream, config.min_confidence, workshop.memory, entities=config.entities, timeout_s=config.timeout_s
        )
    return _Parts(detector=PiiDetector(config.entities), service=service)


def _injection(config: domain.Injection, workshop: Workshop) -> _Parts:
    service: Service | None = None
    if config.shields != "never":
        service = PromptShields(workshop.safety, workshop.memory) if workshop.safety else None
    if config.shields == "always" and service is None:
        service = NOT_CONFIGURED
    return _Parts(detector=InjectionDetector(config.threshold), service=service, roles=_STRANGERS)


def _content_safety(config: domain.ContentSafety, workshop: Workshop) -> _Parts:
    service = ContentSafetyService(config, workshop.safety, workshop.memory) if workshop.safety else NOT_CONFIGURED
    return _Parts(service=service, roles=_OTHERS)


def _protected_material(_: domain.ProtectedMaterial, workshop: Workshop) -> _Parts:
    service = ProtectedMaterialService(workshop.safety, workshop.memory) if workshop.safety else NOT_CONFIGURED
    return _Parts(service=service, roles=_ANSWERS)


def _groundedness(config: domain.Groundedness, workshop: Workshop) -> _Parts:
    service = GroundednessService(config, workshop.safety, workshop.memory) if workshop.safety else NOT_CONFIGURED
    return _Parts(service=service, roles=_ANSWERS)


def _size(config: domain.Size, _: Workshop) -> _Parts:
    return _Parts(rule=size_rule(config), answer_rule=lambda _operation, _document, characters: check_output_size(config, characters))


def _tools(config: domain.Tools, _: Workshop) -> _Parts:
    return _Parts(
        rule=tools_rule(config), answer_rule=lambda operation, document, _: check_called(config, called_tools(operation, document))
    )


# In the order in which they run: cheap before dear, what blocks before what masks.
_MAKERS: Mapping[type[Any], Callable[[Any, Workshop], _Parts]] = {
    domain.Size: _size,
    domain.Tools: _tools,
    domain.BackendFilter: lambda *_: _Parts(),
    domain.Terms: lambda config, _: _Parts(detector=TermsDetector(config.terms, config.category, config.replacement)),
    domain.Regex: lambda config, _: _Parts(detector=PatternsDetector(config.patterns, config.replacement, config.window)),
    domain.Secrets: lambda config, _: _Parts(detector=PiiDetector(config.entities, secrets=True)),
    domain.Pii: _pii,
    domain.Topics: lambda config, _: _Parts(detector=TopicsDetector(config.topics, config.at_least)),
    domain.Languages: lambda config, _: _Parts(detector=LanguagesDetector(config.allow, config.deny), roles=_SPEAKERS),
    domain.Injection: _injection,
    domain.ContentSafety: _content_safety,
    domain.ProtectedMaterial: _protected_material,
    domain.Groundedness: _groundedness,
    domain.JsonSchema: lambda *_: _Parts(),
    domain.SystemText: lambda *_: _Parts(),
}
_ORDER = {kind: place for place, kind in enumerate(_MAKERS)}


def build_guard(config: Guardrail, workshop: Workshop) -> Guard:
    """Make a guardrail ready to run.

    Raises:
        ValueError: Its patterns, languages or schema cannot be used; `guardrail_check` says so beforehand.
    """
    parts = _MAKERS[type(config)](config, workshop)
    return Guard(
        config=config,
        directions=frozenset(directions_of(config)),
        action=action_of(config),
        roles=parts.roles,
        detector=parts.detector,
        service=parts.service,
        rule=parts.rule,
        answer_rule=parts.answer_rule,
    )


def order_of(guard: Guard) -> int:
    """Return where a guardrail stands in the order in which they run."""
    return _ORDER[type(guard.config)]
