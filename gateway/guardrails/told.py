"""What a backend said when it refused a call: it may repeat the prompt, or tell what nobody should know.

Its words are read by the detectors of answers: what is redacted is redacted, and words in which something blocks are withheld.
Services are not asked about them. Placeholders are turned back last.
"""

from collections.abc import Callable, Sequence

from gateway.domain.guardrails import Action
from gateway.domain.verdicts import Role
from gateway.errors import GatewayError
from gateway.guardrails.chain import redacted
from gateway.guardrails.kinds import Guard
from gateway.guardrails.texts.put import replaced
from gateway.guardrails.texts.reader import Reader

WITHHELD = "[withheld by the gateway's guardrail {!r}]"


def clear_error(error: GatewayError, guards: Sequence[Guard], original: Callable[[str], str]) -> None:
    """Change an error's message and details to what the client may have of them.

    Args:
        error: Changed in place.
        guards: Those of answers, in their order.
        original: Returns a text with its placeholders turned back.
    """
    error.message = original(_cleared(error.message, guards))
    error.args = (error.message,)  # what a log shows of it
    if error.details:
        reader = Reader()
        reader.data((), dict(error.details), Role.ASSISTANT)
        error.details = replaced(dict(error.details), [(each, original(_cleared(each.text, guards))) for each in reader.found])


def _cleared(text: str, guards: Sequence[Guard]) -> str:
    for guard in guards:
        if guard.detector is None or guard.action is Action.REPORT or Role.ASSISTANT not in guard.roles:
            continue
        reading = guard.detector.read(text, Role.ASSISTANT)
        if reading.findings and guard.action is Action.BLOCK:
            return WITHHELD.format(guard.config.id)
        if reading.findings:
            text = redacted(guard, text, reading, {})
    return text
