"""The prompts of `make demo`: a version is asked for by its label, the label moves, and the next call is another one.

The prompt is made with the administrator's key, as `python -m gateway.prompts push` does. A call that is not rendered by the version
that its label points to ends the demo with 1.
"""

from typing import Any

import aiohttp
import openai

from devhost import console
from devhost.demo_calls import Seen, Step
from devhost.demo_guardrails import last_prompt

NAME = "reminder"
VERSION = "x-gateway-prompt-version"
TEXTS = ("Remind {{who}} of {{what}}, in one sentence.", "Remind {{who}} kindly of {{what}}, in one sentence, without a greeting.")
VARIABLES = {"who": "Ann", "what": "the report"}


def steps(facts: dict[str, Any], simulator_url: str) -> tuple[Step, ...]:
    """Return the calls.

    Args:
        facts: What the gateway's ready file says.
        simulator_url: Where it is remembered what models were shown.
    """

    async def asked(client: openai.AsyncOpenAI, version: int) -> Seen:
        await publish(facts, version)
        seen = await called(client, VARIABLES)
        shown = await last_prompt(simulator_url)
        console.say(f"      sent:   {NAME} with {VARIABLES}\n      shown:  {shown}\n      {VERSION}: {seen.headers.get(VERSION, '')}")
        wanted = TEXTS[version - 1].replace("{{who}}", VARIABLES["who"]).replace("{{what}}", VARIABLES["what"])
        seen.note = f"version {version} of {NAME}"
        seen.wrong = "" if (shown, seen.headers.get(VERSION)) == (wanted, str(version)) else "another version was rendered"
        return seen

    return (
        Step("a prompt, by name and variables", lambda client: asked(client, 1), 200),
        Step("its label moves, the next call", lambda client: asked(client, 2), 200),
        Step("a variable is missing", lambda client: called(client, {"who": "Ann"}), 400),
    )


async def publish(facts: dict[str, Any], version: int) -> None:
    """Make the version, and point the label `production` to it.

    Raises:
        aiohttp.ClientResponseError: The gateway refused.
    """
    headers = {"authorization": f"Bearer {facts['admin_key']}"}
    async with aiohttp.ClientSession(facts["url"], headers=headers, raise_for_status=True) as http:
        document = {"model": console.MODEL, "messages": [{"role": "user", "content": TEXTS[version - 1]}]}
        async with http.post(f"/manage/prompts/{NAME}/versions", json=document) as made:
            await made.read()
        async with http.put(f"/manage/prompts/{NAME}/labels/production", json={"version": version}) as moved:
            await moved.read()


async def called(client: openai.AsyncOpenAI, variables: dict[str, str]) -> Seen:
    """Ask for the prompt as clients of the OpenAI SDK do."""
    body = {"prompt": {"id": NAME, "variables": variables}}
    try:
        raw = await client.chat.completions.with_raw_response.create(model=console.MODEL, messages=[], extra_body=body)
    except openai.APIStatusError as refused:
        return Seen(refused.status_code, dict(refused.response.headers), note=str(refused.code))
    usage = raw.parse().usage
    return Seen(raw.status_code, dict(raw.headers), usage.total_tokens if usage else None)
