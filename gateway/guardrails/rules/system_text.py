"""The operator's guiding text: the first thing in every prompt, whatever the client sends, and never displaced by it."""

from gateway.domain.call import Call
from gateway.domain.context import with_context


def with_system_text(call: Call, text: str) -> Call:
    """Return the call with the operator's text before everything else in its prompt.

    Where it stands there already nothing changes. Operations without a prompt are returned as they are.

    Args:
        call: The call, after everything else that is put into its prompt.
        text: What the model is told.

    Raises:
        RequestError: The prompt is made of tokens, before which no text can be put.
    """
    return with_context(call, text)
