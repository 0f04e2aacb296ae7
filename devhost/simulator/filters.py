"""The content filter's annotations, ready as bytes, and the texts that make it act.

`trigger-content-filter` in a prompt refuses it; `trigger-output-filter` cuts the answer off; `trigger-filter-unavailable`
answers unfiltered, with an error in place of the verdict, as Azure does when its filter is down.
"""

import orjson

from devhost.simulator.refusals import Refusal

PROMPT_MARKER = "trigger-content-filter"
OUTPUT_MARKER = "trigger-output-filter"
UNAVAILABLE_MARKER = "trigger-filter-unavailable"
_CATEGORIES = ("hate", "self_harm", "sexual", "violence")


def _harms(filtered: str = "") -> dict[str, dict[str, object]]:
    return {name: {"filtered": name == filtered, "severity": "high" if name == filtered else "safe"} for name in _CATEGORIES}


_UNAVAILABLE = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
_JAILBREAK_SAFE = {"jailbreak": {"filtered": False, "detected": False}}

SAFE = orjson.dumps(_harms())
FILTERED = orjson.dumps(_harms("violence"))
NOTHING = b"{}"
UNAVAILABLE = orjson.dumps(_UNAVAILABLE)
PROMPT_SAFE = orjson.dumps([{"prompt_index": 0, "content_filter_results": _harms() | _JAILBREAK_SAFE}])
PROMPT_UNAVAILABLE = orjson.dumps([{"prompt_index": 0, "content_filter_results": _UNAVAILABLE}])


def prompt_filtered() -> Refusal:
    """Make Azure's answer to a prompt that its filter refuses."""
    message = (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt "
        "and retry. To learn more about our content filtering policies please read our documentation: "
        "https://go.microsoft.com/fwlink/?linkid=2198766"
    )
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _harms("violence") | _JAILBREAK_SAFE}
    error = {"message": message, "type": None, "param": "prompt", "code": "content_filter", "status": 400, "innererror": inner}
    return Refusal(400, {"error": error})
