"""
What Jinja2 makes of the templates of ../shared over several conversations: `python3 real_templates.py` writes
real-templates.json anew. Texts are long, so the table has their length, SHA-256 and end.
"""

import hashlib
import json
import pathlib

from environment import render

SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared"
NOW = (2024, 7, 4, 15, 5, 9)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather at a place.\nCelsius by default.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city, as in \"Zürich\""},
                "days": {"type": "integer", "minimum": 1, "default": 3},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "places": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
            },
            "required": ["city"],
        },
        "return": {"type": "string", "description": "A forecast"},
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "now", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}


def call(arguments, id="call_0001", name="get_weather"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "  Who are you? <b>&amp;</b> 😀 'quoted' \"double\"\n"}
PLAIN = [USER]
SYSTEM = [{"role": "system", "content": "You are brief.\nAlways."}, USER]
TALK = [
    *SYSTEM,
    {"role": "assistant", "content": "A model."},
    {"role": "user", "content": "Tell me more."},
    {"role": "assistant", "content": "<think>\nhm, more\n</think>\n\nI was trained on text."},
    {"role": "user", "content": "Thanks"},
]
REASONING = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4", "reasoning_content": "Two and two.", "reasoning": "Two and two.", "thinking": "Two and two."},
    {"role": "user", "content": "And 3+3?"},
    {"role": "assistant", "content": "6", "reasoning_content": "Three and three."},
]
CALLS = [
    {"role": "user", "content": "Weather in Zürich?"},
    {"role": "assistant", "content": None, "tool_calls": [call({"city": "Zürich", "days": 2, "deep": {"a": [1, 2.5, None, True]}})]},
    {"role": "tool", "content": "{\"temp\": 21.5}", "tool_call_id": "call_0001", "name": "get_weather"},
    {"role": "assistant", "content": "21.5 degrees."},
    {"role": "user", "content": "And Bern?"},
]
TEXT_CALLS = [
    *SYSTEM,
    {"role": "assistant", "content": "", "tool_calls": [call("{\"city\": \"Bern\"}", "abcdefghi"), call("{}", "jklmnopqr", "now")]},
    {"role": "tool", "content": "rain", "tool_call_id": "abcdefghi", "name": "get_weather"},
    {"role": "tool", "content": "noon", "tool_call_id": "jklmnopqr", "name": "now"},
]
PARTS = [
    {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "three"}]},
    {"role": "user", "content": "four"},
]

CONVERSATIONS = {
    "plain": {"messages": PLAIN},
    "system": {"messages": SYSTEM, "add_generation_prompt": False},
    "talk": {"messages": TALK},
    "ends with the assistant": {"messages": TALK[:3], "add_generation_prompt": False},
    "reasoning": {"messages": REASONING, "add_generation_prompt": False},
    "thinking on": {"messages": REASONING[:3], "enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
    "thinking off": {"messages": REASONING[:3], "enable_thinking": False, "thinking": False},
    "tools, none called": {"messages": TALK, "tools": [WEATHER, CLOCK]},
    "calls": {"messages": CALLS, "tools": [WEATHER, CLOCK]},
    "calls without tools": {"messages": CALLS[:4], "add_generation_prompt": False},
    "calls as text": {"messages": TEXT_CALLS, "tools": [WEATHER]},
    "parts": {"messages": PARTS},
    "content null": {"messages": [*SYSTEM, {"role": "assistant", "content": None}, {"role": "user", "content": "Go on"}]},
    "functions": {"messages": SYSTEM, "functions": "[]", "datetime": "today"},
    "documents": {"messages": PLAIN, "documents": [{"title": "A", "text": "alpha", "doc_id": 1}]},
    "empty": {"messages": []},
}
DEFAULTS = {"bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None, "add_generation_prompt": True}


def shortened(result):
    if "error" in result:
        return result
    data = result["text"].encode("utf-8")
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "end": result["text"][-40:]}


def rendered():
    for folder in ("templates", "templates-next"):
        for path in sorted((SHARED / folder).glob("*.jinja")):
            source = path.read_bytes().decode("utf-8")
            for name, given in CONVERSATIONS.items():
                result = render(source, json.loads(json.dumps({**DEFAULTS, **given})), NOW)
                yield {"template": f"{folder}/{path.name}", "conversation": name, **shortened(result)}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case) for case in rendered())
    head = json.dumps({"now": NOW, "conversations": CONVERSATIONS})[:-1]
    path = pathlib.Path(__file__).with_name("real-templates.json")
    path.write_text(head + ', "cases": [\n' + lines + "\n]}\n")
