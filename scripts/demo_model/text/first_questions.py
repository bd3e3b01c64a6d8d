"""Questions written by hand: what people type first, with the tools that tutorials declare. Only for measuring."""

# ruff: noqa: E501 - one question a line

from __future__ import annotations

from typing import Any

from .parameters import Value
from .words import Language

Call = tuple[str, dict[str, Value]] | None


def _tool(name: str, about: str, required: int, **properties: Any) -> dict[str, Any]:
    schemas = {key.rstrip("_"): {"type": kind} if isinstance(kind, str) else kind for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schemas, "required": list(schemas)[:required]}
    return {"name": name, "description": about, "parameters": parameters}


_CITY = {"type": "string", "description": "City name"}
_UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
_PLACE = {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}

WEATHER = _tool("get_weather", "Get the current weather in a given city", 1, city=_CITY)
CURRENT = _tool("get_current_weather", "Get the current weather in a given location", 1, location=_PLACE, unit=_UNIT)
ADD = _tool("add", "Add two integers.", 2, a="integer", b="integer")
MULTIPLY = _tool("multiply", "Multiply two integers together.", 2, a="integer", b="integer")
SEARCH = _tool("search", "Search the web", 1, query="string")
NOW = _tool("now", "Get the current time", 0)
EMAIL = _tool("send_email", "Send an email", 3, to="string", subject="string", body="string")
MONEY = _tool("convert_currency", "Convert an amount of money", 3, amount="number", from_="string", to="string")
TIMER = _tool("set_timer", "Set a timer", 1, minutes="integer")

_MAIL: dict[str, Value] = {"to": "bob@example.com", "subject": "hello", "body": "see you tomorrow"}
_CHANGE: dict[str, Value] = {"amount": 100, "from": "USD", "to": "EUR"}

FIRST_QUESTIONS: tuple[tuple[Language, list[dict[str, Any]], str, Call], ...] = (
    ("en", [WEATHER], "What's the weather in Paris?", ("get_weather", {"city": "Paris"})),
    ("en", [WEATHER], "weather in Paris please", ("get_weather", {"city": "Paris"})),
    ("en", [WEATHER], "Is it raining in Reykjavik?", ("get_weather", {"city": "Reykjavik"})),
    ("en", [CURRENT], "What's the weather like in Boston today?", ("get_current_weather", {"location": "Boston"})),
    ("en", [CURRENT], "What is the weather in Tokyo in celsius?", ("get_current_weather", {"location": "Tokyo", "unit": "celsius"})),
    ("en", [WEATHER, ADD, TIMER], "weather in London", ("get_weather", {"city": "London"})),
    ("en", [ADD], "What is 17 plus 25?", ("add", {"a": 17, "b": 25})),
    ("en", [ADD, MULTIPLY], "What is 3 plus 4?", ("add", {"a": 3, "b": 4})),
    ("en", [ADD, MULTIPLY], "What is 6 times 7?", ("multiply", {"a": 6, "b": 7})),
    ("en", [MULTIPLY], "What is 3 * 12?", ("multiply", {"a": 3, "b": 12})),
    ("en", [SEARCH], "Search for green tea", ("search", {"query": "green tea"})),
    ("en", [NOW], "What time is it?", ("now", {})),
    ("en", [EMAIL], "Send an email to bob@example.com with subject hello and body see you tomorrow", ("send_email", _MAIL)),
    ("en", [MONEY], "Convert 100 USD to EUR", ("convert_currency", _CHANGE)),
    ("en", [TIMER], "Set a timer for 10 minutes", ("set_timer", {"minutes": 10})),
    ("en", [WEATHER], "Hello!", None),
    ("en", [WEATHER], "Who are you?", None),
    ("en", [WEATHER], "Thank you!", None),
    ("en", [WEATHER, ADD], "Tell me about black holes", None),
    ("en", [ADD], "My name is Anna.", None),
    ("zh", [WEATHER], "北京今天天气怎么样？", ("get_weather", {"city": "北京"})),
    ("zh", [WEATHER], "上海天气", ("get_weather", {"city": "上海"})),
    ("zh", [WEATHER, ADD], "请问广州的天气", ("get_weather", {"city": "广州"})),
    ("zh", [CURRENT], "深圳的天气怎么样？", ("get_current_weather", {"location": "深圳"})),
    ("zh", [ADD], "3加4等于多少？", ("add", {"a": 3, "b": 4})),
    ("zh", [ADD, MULTIPLY], "15乘以6是多少", ("multiply", {"a": 15, "b": 6})),
    ("zh", [NOW], "现在几点？", ("now", {})),
    ("zh", [NOW, WEATHER], "现在是什么时间", ("now", {})),
    ("zh", [SEARCH], "搜索人工智能", ("search", {"query": "人工智能"})),
    ("zh", [TIMER], "设置5分钟的计时器", ("set_timer", {"minutes": 5})),
    ("zh", [MONEY], "100 USD换算成EUR", ("convert_currency", _CHANGE)),
    ("zh", [WEATHER], "你好", None),
    ("zh", [WEATHER], "你是谁？", None),
    ("zh", [ADD], "谢谢", None),
)  # fmt: skip
