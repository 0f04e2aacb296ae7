"""What administrators see of guardrails at /manage, and how they try them. JSON documents in, JSON-ready values out.

A tenant's administrator tries its tenant's own rules and definitions of the types that such rules can have: what the gateway's
guardrails let pass is not for it to probe, and services cost the gateway's operator money.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.access.directory import Directory
from gateway.domain.documents import convert
from gateway.domain.guardrail_faults import Check, guardrail_fault, nothing_more
from gateway.domain.guardrail_trial import Trial, TryOut
from gateway.domain.guardrails import BUILT_IN, Direction, Guardrail, TenantRule, action_of, directions_of, fail_of
from gateway.domain.management import Asked
from gateway.domain.verdict_text import GRAVITY, to_document
from gateway.errors import RequestError

MAX_TRIED = 50
MAX_TEXT_CHARACTERS = 200_000


class _Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    guardrails: tuple[str | Guardrail, ...]
    text: str | None = None
    request: dict[str, Any] | None = None
    direction: Direction = Direction.MESSAGES


class GuardrailAdministration:
    """The management operations on guardrails.

    Args:
        directory: Knows the catalogue and the tenants' own rules.
        try_out: Runs guardrails without a model.
        check: Says what is wrong with a guardrail that only its detector can tell.
    """

    def __init__(self, directory: Directory, try_out: TryOut, check: Check = nothing_more) -> None:
        self._directory = directory
        self._try_out = try_out
        self._check = check

    async def list(self, _asked: Asked) -> dict[str, Any]:
        """Return all guardrails by name, with what they leave unsaid filled in."""
        known = self._directory.catalog.guardrails
        data = [guardrail_shape(known[name]) for name in sorted(known)]
        return {"object": "list", "data": data, "has_more": False, "after": None}

    async def test(self, asked: Asked) -> dict[str, Any]:
        """Run guardrails over a text or a chat's body: `{"guardrails": [names or definitions], "text" | "request", "direction"?}`.

        Raises:
            RequestError: The document is not of this shape, or a guardrail is wrong or not known; `param` names the field.
        """
        wanted = convert(asked.document, _Trial)
        if (wanted.text is None) == (wanted.request is None):
            raise _fault("text", "or 'request' is needed, and only one of the two")
        if wanted.text is not None and len(wanted.text) > MAX_TEXT_CHARACTERS:
            raise _fault("text", f"must have at most {MAX_TEXT_CHARACTERS} characters")
        if wanted.request is not None and wanted.direction is not Direction.MESSAGES:
            raise _fault("direction", "is for 'text': the parts of a request say themselves what they are")
        guardrails = await self._guardrails(asked, wanted.guardrails)
        tried = await self._try_out(Trial(guardrails, wanted.direction, wanted.text, wanted.request, asked.principal.tenant))
        answer: dict[str, Any] = {
            "object": "guardrail.test",
            "outcome": min((each.outcome for each in tried.verdicts), key=GRAVITY.index, default=None),
            "verdicts": [to_document(each) for each in tried.verdicts],
        }
        return answer | ({"text": tried.text} if wanted.request is None else {"request": tried.document})

    async def _guardrails(self, asked: Asked, wanted: tuple[str | Guardrail, ...]) -> tuple[Guardrail, ...]:
        if not 1 <= len(wanted) <= MAX_TRIED:
            raise _fault("guardrails", f"takes 1 to {MAX_TRIED} names or definitions")
        known = await self._known(asked)
        found: list[Guardrail] = []
        for index, each in enumerate(wanted):
            param = f"guardrails[{index}]"
            guardrail = known.get(each) if isinstance(each, str) else self._defined(asked, each, param)
            if guardrail is None:
                raise _fault(param, f"names no guardrail that you may try; there are {', '.join(sorted(known)) or 'none'}")
            found.append(guardrail)
        if len({each.id for each in found}) < len(found):
            raise _fault("guardrails", "has two of the same name")
        return tuple(found)

    async def _known(self, asked: Asked) -> Mapping[str, Guardrail]:
        """Return what may be named: the gateway's guardrails, or the tenant's own rules."""
        if asked.everywhere:
            return self._directory.catalog.guardrails
        stored = await self._directory.tenant(asked.principal.tenant)
        return {rule.id: rule for rule in stored.value.rules} if stored else {}

    def _defined(self, asked: Asked, guardrail: Guardrail, param: str) -> Guardrail:
        if not asked.everywhere and not isinstance(guardrail, TenantRule.__value__):
            raise _fault(f"{param}.type", "must be terms, regex, topics or languages, as in a tenant's own rules")
        if fault := guardrail_fault(guardrail) or self._check(guardrail):
            raise _fault(f"{param}.{fault[0]}", fault[1])
        backend = getattr(guardrail, "language_backend", "")
        if backend and backend not in self._directory.catalog.guard_backends:
            raise _fault(f"{param}.language_backend", "must be one that a guardrail of the catalogue asks")
        return guardrail


def guardrail_shape(guardrail: Guardrail) -> dict[str, Any]:
    """Return a guardrail as it is shown: every member, and what the type fills in."""
    members = {field.encode_name: getattr(guardrail, field.name) for field in msgspec.structs.fields(guardrail)}
    filled = {"direction": directions_of(guardrail), "action": action_of(guardrail), "fail": fail_of(guardrail)}
    shape = {"id": guardrail.id, "type": type(guardrail).__struct_config__.tag, **members, **filled}
    return shape | {"built_in": BUILT_IN.get(guardrail.id) == guardrail}


def _fault(param: str, message: str) -> RequestError:
    return RequestError(f"'{param}' {message}", param=param, code="invalid_value")
