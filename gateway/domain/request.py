"""A call with all that decides where it goes: whose it is, what it says about itself, and until when it waits."""

import msgspec

from gateway.domain.access import Principal
from gateway.domain.call import Call
from gateway.domain.catalog import Catalog, Model
from gateway.domain.experiments import Assignment
from gateway.domain.labels import Labels
from gateway.domain.prompts import Prompted


class Request(msgspec.Struct, frozen=True, gc=False):
    """All that decides where a call goes.

    Attributes:
        model: The one that was asked for.
        deadline_s: On the Clock: when an answer must have begun.
        labels_found: What guardrails found the call to be (`confidential`); routing rules ask for it as `classification`.
        looked_up: What was put before its prompt from elsewhere: to guardrails a document.
        prompted: What it has from a prompt of the library; None where it has none.
        assignment: Which variant of an experiment it got; None where it is in none.
    """

    call: Call
    model: Model
    catalog: Catalog
    principal: Principal
    labels: Labels
    deadline_s: float
    labels_found: frozenset[str] = frozenset()
    looked_up: str = ""
    prompted: Prompted | None = None
    assignment: Assignment | None = None


def affinity_of(request: Request, model: Model) -> str:
    """Return what keeps calls together on one deployment, as the model says; empty where the call has nothing of the kind.

    Args:
        request: The call.
        model: Whose `hash_on` decides.
    """
    if model.hash_on == "user":
        return request.labels.user
    if model.hash_on == "subscription":
        return request.principal.subscription
    if model.hash_on == "prompt":
        messages = request.call.document.get("messages")
        return msgspec.json.encode(messages[:1]).decode() if messages else ""
    return request.labels.session
