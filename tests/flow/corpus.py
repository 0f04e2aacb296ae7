"""Requests whose prompts are counted twice: many languages, long talks, functions, calls and their results, images, names."""

import json
from typing import Any

from tests.unit.metering.files_of_images import FORMATS, jpeg, png, url_of

TEXTS = {
    "english": "The quick brown fox jumps over the lazy dog, and nobody knows why it doesn't simply walk around.",
    "german": "Grüß Gott! Die Donaudampfschifffahrtsgesellschaft hat am Straßenrand übrigens zwölf Boxkämpfer gejagt.",
    "french": "Là-bas, l'été, on s'assoit près de l'église où les élèves récitent « Le Corbeau » sans se tromper.",
    "chinese": "今天天气很好，我们一起去公园散步吧。请告诉我北京明天的气温是多少度？",
    "japanese": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "korean": "안녕하세요, 오늘 회의는 오후 세 시에 시작합니다. 자료를 미리 읽어 주세요.",
    "arabic": "مرحبا بالعالم، كيف حالك اليوم؟ أرجو أن تكون بخير.",
    "hebrew": "שלום עולם, מה שלומך היום?",
    "hindi": "नमस्ते दुनिया, आज मौसम कैसा है? कृपया मुझे बताइए।",
    "thai": "สวัสดีชาวโลก วันนี้อากาศเป็นอย่างไรบ้าง",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, κάθε μέρα από την αρχή.",
    "emoji": "🎉👩‍👩‍👧‍👦 Party! 🏳️‍🌈 1️⃣2️⃣3️⃣ 😀😀😀",
    "code": "def f(x: int) -> int:\n    return x ** 2  # squared\n\n\nassert f(3) == 9\n\t\tif True:\r\n\t\t\tpass",
    "json": json.dumps({"orders": [{"id": n, "total": n * 1.25, "open": n % 2 == 0} for n in range(12)]}, indent=2),
    "numbers": "3.14159265358979 1,234,567.89 0xDEADBEEF 2026-11-23T01:02:03Z +49 (0)30 123456",
    "marks": "<|endoftext|> <|im_start|>system ----- ===== !!!! ???? ... \\n \u00a0 \u200b",
    "spaces": "a" + " " * 40 + "b\n\n\n\n\n   \n c \t\t d",
}

ADDRESS = {
    "type": "object",
    "description": "Where it goes",
    "properties": {
        "street": {"type": "string", "description": "With its number"},
        "country": {"type": "string", "enum": ["de", "at", "ch", "fr"]},
        "lines": {"type": "array", "items": {"type": "string"}},
        "geo": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat", "lon"]},
    },
    "required": ["street", "country"],
}
FUNCTIONS: list[dict[str, Any]] = [
    {"name": "now"},
    {"name": "ping", "description": "Says whether it is there", "parameters": {"type": "object", "properties": {}}},
    {
        "name": "get_weather",
        "description": "Current weather of a place, in the units that are asked for.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "City and country, such as Köln, Germany"},
                "units": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Celsius where it is not said"},
                "days": {"type": "integer", "enum": [1, 3, 7]},
                "wind": {"type": "boolean"},
            },
            "required": ["place"],
        },
    },
    {
        "name": "place_order",
        "description": "订购商品 (orders goods)",
        "strict": True,
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "customer": {"type": ["string", "null"], "description": "Who orders"},
                "address": ADDRESS,
                "items": {
                    "type": "array",
                    "description": "What is ordered",
                    "items": {
                        "type": "object",
                        "properties": {
                            "sku": {"type": "string"},
                            "count": {"type": "integer", "minimum": 1},
                            "gift": {"anyOf": [{"type": "boolean"}, {"type": "object", "properties": {"note": {"type": "string"}}}]},
                            "kind": {"const": "goods"},
                        },
                        "required": ["sku", "count"],
                    },
                },
                "also": {"type": "array", "items": {"type": "array", "items": ADDRESS}},
                "anything": {},
            },
            "required": ["customer", "address", "items"],
        },
    },
]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
SIZES = [(1, 1), (32, 32), (64, 128), (512, 513), (640, 480), (768, 768), (1024, 1024), (1025, 1023), (1800, 2400), (2048, 4096)]
SIZES += [(4000, 1474), (4032, 3024), (9000, 40), (16_383, 16_383)]
MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "gpt-5-nano", "o1", "o3", "o4-mini"]


def said(role: str, content: Any, **members: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **members}


def pictured(*pictures: dict[str, Any]) -> list[dict[str, Any]]:
    return [said("user", [{"type": "text", "text": "What is in it?"}, *({"type": "image_url", "image_url": each} for each in pictures)])]


def called(*calls: tuple[str, dict[str, Any], str]) -> list[dict[str, Any]]:
    """Calls of functions, with their results."""
    made = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given, _) in enumerate(calls)
    ]
    told = [said("tool", result, tool_call_id=f"call_{at}") for at, (*_, result) in enumerate(calls)]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *told]


WEATHER = ("get_weather", {"place": "Köln, Germany", "units": "celsius"}, '{"sky": "overcast", "celsius": 9.5}')
ORDER = ("place_order", {"customer": None, "items": [{"sku": "a-1", "count": 3}]}, "Bestellt: №4711, kommt übermorgen.")
SYSTEM, ASKED = said("system", "You are a helpful assistant:"), said("user", "How is the weather in Köln?")
LONG = [SYSTEM, *(said(("user", "assistant")[at % 2], f"{at}. {text}") for at, text in enumerate([*TEXTS.values()] * 6))]

CHATS: dict[str, dict[str, Any]] = {
    **{f"text {name}": {"messages": [said("user", text)]} for name, text in TEXTS.items()},
    **{f"text {name} of gpt-4": {"model": "gpt-4", "messages": [SYSTEM, said("user", text)]} for name, text in TEXTS.items()},
    "a long talk": {"messages": LONG},
    "a long talk of gpt-3.5": {"model": "gpt-3.5-turbo", "messages": LONG},
    "names": {
        "messages": [said("system", "Be kind.", name="example_user"), said("user", "Hi", name="Zoë_9"), said("assistant", "", name="x")]
    },
    "parts": {"messages": [said("user", [{"type": "text", "text": text} for text in TEXTS.values()])]},
    "all functions": {"messages": [ASKED], "tools": TOOLS},
    "all functions and a system": {"messages": [SYSTEM, ASKED], "tools": TOOLS},
    "all functions and developers": {"messages": [said("developer", "Hello"), said("developer", "Hello"), ASKED], "tools": TOOLS},
    "a system behind": {"messages": [ASKED, SYSTEM, ASKED], "tools": TOOLS[:1]},
    "the old functions": {"messages": [SYSTEM, ASKED], "functions": FUNCTIONS, "function_call": {"name": "get_weather"}},
    "a choice": {"messages": [ASKED], "tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "place_order"}}},
    "no choice": {"messages": [ASKED], "tools": TOOLS, "tool_choice": "none"},
    "a call": {"messages": [ASKED, *called(WEATHER)], "tools": TOOLS},
    "many calls": {"messages": [SYSTEM, ASKED, *called(WEATHER, ORDER, WEATHER), said("assistant", "9.5 °C"), ASKED], "tools": TOOLS},
    "an old call": {
        "messages": [
            ASKED,
            said("assistant", None, function_call={"name": WEATHER[0], "arguments": json.dumps(WEATHER[1])}),
            said("function", WEATHER[2], name=WEATHER[0]),
        ]
    },
    "a form": {
        "messages": [ASKED],
        "response_format": {"type": "json_schema", "json_schema": {"name": "address", "strict": True, "schema": ADDRESS}},
    },
    **{f"function {function['name']}": {"messages": [ASKED], "tools": [tool]} for function, tool in zip(FUNCTIONS, TOOLS, strict=True)},
    **{
        f"image of {width} x {height} for {model}": {
            "model": model,
            "messages": pictured(*({"url": url_of(png(width, height)), "detail": detail} for detail in ("low", "high", "auto"))),
        }
        for width, height in SIZES
        for model in MODELS
    },
    **{f"image as {kind}": {"messages": pictured({"url": url_of(make(1300, 700), kind)})} for kind, make in FORMATS.items()},
    "an image behind a profile": {"messages": pictured({"url": url_of(jpeg(3000, 2000, before=150_000), "jpeg"), "detail": "high"})},
    "an image elsewhere": {
        "messages": pictured({"url": "https://example.com/a.png"}, {"url": "https://example.com/b.png", "detail": "low"})
    },
    "images, functions and calls": {
        "messages": [SYSTEM, *pictured({"url": url_of(png(800, 600))}, {"url": url_of(jpeg(600, 800))}), *called(WEATHER, ORDER)],
        "tools": TOOLS,
    },
}

RESPONSES: dict[str, dict[str, Any]] = {
    "a text": {"input": TEXTS["german"]},
    "instructions": {"instructions": "Be brief:", "input": TEXTS["hindi"]},
    "functions": {"input": "Weather?", "tools": [{"type": "function", **function} for function in FUNCTIONS]},
    "functions and instructions": {
        "instructions": "Be brief:",
        "input": "?",
        "tools": [{"type": "function", **each} for each in FUNCTIONS],
    },
    "another tool": {
        "input": "News?",
        "tools": [{"type": "web_search", "search_context_size": "low"}, {"type": "function", **FUNCTIONS[2]}],
    },
    "calls": {
        "input": [
            {"role": "developer", "content": "Be brief:"},
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "function_call", "call_id": "c", "name": WEATHER[0], "arguments": json.dumps(WEATHER[1])},
            {"type": "function_call_output", "call_id": "c", "output": WEATHER[2]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "9.5 °C"}]},
        ],
        "tools": [{"type": "function", **FUNCTIONS[2]}],
    },
    "images": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Which?"},
                    {"type": "input_image", "image_url": url_of(png(1024, 1024)), "detail": "high"},
                    {"type": "input_image", "image_url": url_of(jpeg(5000, 300), "jpeg"), "detail": "low"},
                    {"type": "input_image", "image_url": "https://example.com/a.png"},
                ],
            }
        ]
    },
}
