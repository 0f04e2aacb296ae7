"""What prompts cost a call: resolving, rendering, assigning. No sockets; microseconds on one core, medians of interleaved rounds."""

import asyncio
import statistics
import time
from collections.abc import Callable

from gateway.domain.call import Inbound, Operation, Surface
from gateway.domain.experiments import Experiment, ExperimentState, Goal, Target, Variant
from gateway.domain.prompt_reference import Reference
from gateway.domain.prompts import PromptMessage, PromptText
from gateway.errors import PromptError
from gateway.experiments.assign import assignment_of, unit_of
from gateway.prompts.ingredients import Ingredients, body_of
from gateway.prompts.library import Draft, Library
from gateway.prompts.memory import PromptMemory
from gateway.prompts.render import render, variables_of
from gateway.prompts.variables import Inputs, checked
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables

ROUNDS, CALLS = 60, 200
SIZE = 1500  # characters of a prompt's text
TENANT, PARAM = "contoso", "prompt.variables"
CONTEXT = {"tenant": TENANT, "product": "starter", "subscription": "sub_1", "user": "anna", "department": "sales"}
FOUR = {"company": "Contoso Ltd", "product": "Widget 3000", "name": "Anna Schmidt", "question": "Where is my parcel? It was due on Monday."}
TWENTY = {f"field_{number}": f"value number {number}" for number in range(20)}
PROSE = "Answer in the language of the question, politely, and in three sentences at most. Say so where you do not know. "
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FOUR},
    "required": sorted(FOUR),
    "additionalProperties": False,
}
LIMITED = {**SCHEMA, "properties": {name: {"type": "string", "maxLength": 2000} for name in FOUR}}
BODY = b'{"model":"gpt-4o","temperature":0.2,"messages":[{"role":"user","content":"And when does it come?"}]}'


def padded(*contents: str) -> tuple[str, ...]:
    """Return the contents of messages that have SIZE characters together, the first of them long."""
    room = SIZE - sum(map(len, contents))
    return (contents[0] + (PROSE * (room // len(PROSE) + 1))[:room], *contents[1:])


PLAIN = padded("You answer for {{company}}, maker of {{product}}. ", "I am {{name}}.", "{{question}}")
BLOCKS = padded(
    'For {{company}}:\n```json\n{"product": {{product}}, "title": "about {{product}}"}\n```\n',
    "<customer>{{name}}</customer>",
    "<question>{{question}}</question>",
)
MANY = padded(
    "\n".join(f"{name}: {{{{{name}}}}}" for name in list(TWENTY)[:14]), "\n".join(f"{{{{{name}}}}}" for name in list(TWENTY)[14:])
)


def text(contents: tuple[str, ...], **more: object) -> PromptText:
    roles = ("system", "user", "user")
    messages = tuple(PromptMessage(role, content) for role, content in zip(roles, contents))
    return PromptText(model="gpt-4o", messages=messages, parameters={"temperature": 0.2}, **more)


def replaced(contents: tuple[str, ...], variables: dict[str, str]) -> Callable[[], object]:
    """Return what does the same with str.replace and no checks, in which a value may be read as a place."""
    places = [(f"{{{{{name}}}}}", value) for name, value in variables.items()]

    def fill() -> list[dict[str, str]]:
        made = []
        for role, content in zip(("system", "user", "user"), contents):
            for place, value in places:
                content = content.replace(place, value)  # noqa: PLW2901
            made.append({"role": role, "content": content})
        return made

    return fill


async def memory_of(prompts: dict[str, PromptText]) -> PromptMemory:
    clock = FakeClock()
    library = Library(FakeTables(), clock)
    memory = PromptMemory(library, clock)
    for name, said in prompts.items():
        await library.create(TENANT, name, Draft(said))
        await library.set_label(TENANT, name, "production", 1)
        await memory.resolve(TENANT, name)
    return memory


def renders(memory: PromptMemory, name: str, variables: dict[str, str]) -> Callable[[], object]:
    def both() -> object:
        version = memory.fresh(TENANT, name)
        return render(version, variables, CONTEXT, {}, param=PARAM)

    return both


def inbound() -> Inbound:
    return Inbound(
        operation=Operation.CHAT, surface=Surface.OPENAI, request_id="req_1", method="POST", path="/v1/chat/completions",
        headers={}, query={}, path_model="", body=BODY, received_s=0.0,
    )  # fmt: skip


def experiment() -> Experiment:
    variants = (Variant("control", 90), Variant("canary", 10, version=2))
    return Experiment(
        tenant=TENANT, id="exp", on=Target("strict"), variants=variants, goal=Goal("cost_usd"), salt="salt", state=ExperimentState.RUNNING
    )


def assigns() -> Callable[[], object]:
    running = experiment()
    return lambda: assignment_of(running, unit_of(running, tenant=TENANT, subscription="sub_1", user="anna"))


async def rows() -> dict[str, Callable[[], object]]:
    prompts = {
        "strict": text(PLAIN),
        "schema": text(PLAIN, input_schema=SCHEMA),
        "limited": text(PLAIN, input_schema=LIMITED),
        "blocks": text(BLOCKS),
        "many": text(MANY),
        "jinja2": text(PLAIN, template="jinja2"),
    }
    try:
        variables_of(prompts["jinja2"])
    except PromptError:
        del prompts["jinja2"]
    memory = await memory_of(prompts)
    version = memory.fresh(TENANT, "strict")
    reference = Reference("strict", "production", FOUR, BODY, PARAM)
    ingredients, call = Ingredients(version=version, context=CONTEXT), inbound()
    names, flat, limited = frozenset(FOUR), Inputs(SCHEMA), Inputs(LIMITED)
    made = {
        "str.replace, no checks": replaced(PLAIN, FOUR),
        "resolve": lambda: memory.fresh(TENANT, "strict"),
        "resolve + render, strict": renders(memory, "strict", FOUR),
        "  with a flat input_schema": renders(memory, "schema", FOUR),
        "  with any other input_schema": renders(memory, "limited", FOUR),
        "  with JSON and XML blocks": renders(memory, "blocks", FOUR),
        "  with 20 variables": renders(memory, "many", TWENTY),
        "the whole body, strict": lambda: body_of(call, reference, ingredients),
        "variables: names": lambda: checked(FOUR, names, None),
        "variables: flat schema": lambda: checked(FOUR, names, flat),
        "variables: any other schema": lambda: checked(FOUR, names, limited),
        "an experiment's variant": assigns(),
    }
    if "jinja2" in prompts:
        made["resolve + render, jinja2"] = renders(memory, "jinja2", FOUR)
    return made


def main() -> None:
    made = asyncio.run(rows())
    costs_us: dict[str, list[float]] = {name: [] for name in made}
    for number in range(ROUNDS + 1):  # the first one warms up
        for name, do in made.items():
            started_s = time.perf_counter()
            for _ in range(CALLS):
                do()
            if number:
                costs_us[name].append((time.perf_counter() - started_s) / CALLS * 1e6)
    base = next(iter(costs_us.values()))
    print("A prompt of three messages, four variables and 1.5 KB, in memory. Medians of interleaved rounds; ratios are per round.\n")
    print(f"  {'':32}{'µs':>8}{'÷ str.replace':>16}")
    for name, each in costs_us.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(each, base))
        print(f"  {name:32}{statistics.median(each):>8.1f}{ratio:>16.1f}")
    print()


if __name__ == "__main__":
    main()
