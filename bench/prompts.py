"""What a prompt costs a call: `python -m bench.prompts`. Resolving from memory and rendering, and joining with the call's own body.

Rounds are interleaved; medians of one core's time, and the ratio to replacing the same names in the same texts by `str.replace`.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from gateway.adapters.clock import SystemClock
from gateway.domain.call import Inbound, Operation, Surface
from gateway.domain.experiments import Experiment, ExperimentState, Goal, Target, Variant
from gateway.domain.prompts import PromptMessage, PromptText
from gateway.experiments.assign import assignment_of, unit_of
from gateway.prompts.ingredients import Ingredients, body_of, reference_of
from gateway.prompts.library import Draft, Library
from gateway.prompts.memory import PromptMemory
from gateway.prompts.render import render
from tests.fakes.tables import FakeTables

ROUNDS, CALLS = 60, 400
LINE = "You answer customers of {{company}} in {{language}}, in at most three sentences, and never promise what is not in the list. "
STRICT = (LINE * 5, "The customer {{name}} has the plan gold. " * 15, "{{question}}")
VARIABLES = {"company": "Contoso", "language": "English", "name": "Ann Example", "question": "Where is my parcel, and when does it come?"}
SCHEMA = {"type": "object", "properties": {name: {"type": "string"} for name in VARIABLES}, "required": list(VARIABLES)}
BLOCKS = (
    "<customer>{{name}} of {{company}}</customer>\n" * 12,
    '```json\n{"asked": {{question}}, "in": {{language}}}\n```\n' * 12,
    "{{question}}",
)
JINJA = ("{% for each in [company, language] %}{{ each }} {% endfor %}" + LINE * 5, "{{ name|upper }} " * 15, "{{ question }}")
TENANT = "contoso"


def text_of(contents: tuple[str, ...], **more: Any) -> PromptText:
    roles = ("system", "system", "user")
    messages = tuple(PromptMessage(role, content) for role, content in zip(roles, contents, strict=True))
    return PromptText(model="gpt-4o", messages=messages, **more)


def replaced() -> list[str]:
    found = []
    for content in STRICT:
        text = content
        for name, value in VARIABLES.items():
            text = text.replace("{{" + name + "}}", value)
        found.append(text)
    return found


def median_us(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median time of each, over rounds in which every one has its turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            began_s = time.perf_counter()
            for _ in range(CALLS):
                work()
            times[name].append((time.perf_counter() - began_s) / CALLS)
    return {name: statistics.median(each) * 1e6 for name, each in times.items()}


async def main() -> None:
    clock = SystemClock()
    library = Library(FakeTables(), clock)
    memory = PromptMemory(library, clock)
    texts = {"strict": text_of(STRICT), "schema": text_of(STRICT, input_schema=SCHEMA), "blocks": text_of(BLOCKS)}
    for name, text in texts.items():
        await library.create(TENANT, name, Draft(text))
    await library.create("", "jinja2", Draft(text_of(JINJA, template="jinja2")))
    versions = {name: await memory.resolve(TENANT, name, 1) for name in (*texts, "jinja2")}

    def resolved(name: str) -> Callable[[], Any]:
        def work() -> Any:
            version = memory.fresh(TENANT, name, 1) or versions[name]
            return render(version, VARIABLES, {}, {})

        return work

    document = {"prompt": {"id": "strict", "version": 1, "variables": VARIABLES}, "temperature": 0.2}
    body = json.dumps(document).encode()
    inbound = Inbound(Operation.CHAT, Surface.OPENAI, "req_1", "POST", "/v1/chat/completions", {}, {}, "", body, 0.0)

    def whole() -> Any:
        reference = reference_of(inbound)
        return body_of(inbound, reference, Ingredients(version=versions["strict"]))

    variants = (Variant("control"), Variant("warm"))
    experiment = Experiment(
        tenant=TENANT, id="e", on=Target(model="m"), variants=variants, goal=Goal("cost_usd"), state=ExperimentState.RUNNING
    )
    works = {
        "str.replace, the same texts": replaced,
        "resolve and render, strict": resolved("strict"),
        "with an input schema": resolved("schema"),
        "with JSON and XML blocks": resolved("blocks"),
        "resolve and render, Jinja2": resolved("jinja2"),
        "read the reference, render, join the body": whole,
        "assign a variant": lambda: assignment_of(experiment, unit_of(experiment, tenant=TENANT, subscription="s", user="anna")),
    }
    found = median_us(works)
    base = found["str.replace, the same texts"]
    print(f"\n  {'3 messages, 4 variables':44}{'median':>10}{'÷ str.replace':>16}")
    for name, cost_us in found.items():
        print(f"  {name:44}{cost_us:>7.1f} us{cost_us / base:>16.2f}")
    print(f"\n  the strict texts have {sum(map(len, replaced())):,} characters once rendered\n")


if __name__ == "__main__":
    asyncio.run(main())
