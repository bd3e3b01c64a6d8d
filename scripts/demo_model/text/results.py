"""What tools return, and the answers that put it into words."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .draw import Draw
from .tools import Ask, Tool
from .values import clock, code, date_words, free_text, number, of, place_name, whole
from .words import ADJECTIVES, HANZI, THINGS, Language

_KEYS = ["temperature", "status", "price", "condition", "humidity", "count", "total", "name", "result", "value", "wind", "score", "level", "time", "date", "id", "message", "distance", "duration", "rating", "title", "amount", "balance", "available", "speed", "seats", "color", "size", "summary", "city", "unit", "confirmed", "code", "author", "pages", "stock", "eta", "gate", "rank"]  # fmt: skip
_CONDITIONS = {
    "en": ["sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy"],
    "zh": ["晴", "多云", "小雨", "大风", "下雪", "有雾", "晴朗", "雷阵雨"],
}
_ERRORS = {
    "en": ("not found", "timeout", "no such item", "access denied", "service unavailable"),
    "zh": ("未找到", "超时", "没有权限", "服务不可用"),
}

_UNITS = ("km", "USD", "ms", "kg", "%", "EUR")
_NUMBERS: tuple[Callable[[Draw, Language], Any], ...] = (lambda d, _: whole(d), lambda d, _: number(d))
_VALUES: tuple[Callable[[Draw, Language], Any], ...] = (
    *_NUMBERS,
    *_NUMBERS,
    lambda d, _: code(d),
    free_text,
    free_text,
    place_name,
    clock,
    date_words,
    lambda d, _: of(ADJECTIVES, d, "en"),
    lambda d, _: d.chance(0.5),
    lambda d, _: f"{whole(d)} {d.choice(_UNITS)}",
    lambda d, lang: d.choice(_CONDITIONS[lang]),
)


def result(draw: Draw, tool: Tool, ask: Ask) -> tuple[str, str, list[str]]:
    """The tool's output, the answer, and the values that the answer has to hold."""
    lang = ask.lang
    lead = _lead(draw, tool, ask)
    kind = draw.random()
    if kind < 0.06:
        return _error(draw, lang)
    if kind < 0.14 and tool.action:
        return (
            draw.choice(["ok", "OK", "done", "success", '{"status": "ok"}', "True", '{"success": true}']),
            {"en": "Done.", "zh": "已完成。"}[lang],
            [],
        )
    if tool.topic[0] == "weather" and draw.chance(0.6):
        return _weather(draw, ask, lead)
    if kind < 0.55:
        fields = _fields(draw, lang)
        values = [_plain(value) for value in fields.values()]
        text = json.dumps(fields, ensure_ascii=False, indent=2 if draw.chance(0.07) else None)
        return text, lead + _listed(fields, lang), values
    if kind < 0.62:
        items: list[Any] = [
            of(THINGS, draw, lang) if draw.chance(0.7) else whole(draw) for _ in range(draw.randint(2, 3))
        ]
        values = [str(item) for item in items]
        return (
            json.dumps(items, ensure_ascii=False),
            lead + (", " if lang == "en" else "、").join(values) + _end(lang),
            values,
        )
    value = _plain(_single(draw, lang))
    text = (
        json.dumps({draw.choice(["result", "answer", "output", "value"]): value}, ensure_ascii=False)
        if draw.chance(0.2)
        else value
    )
    return text, lead + value + _end(lang), [value]


def _lead(draw: Draw, tool: Tool, ask: Ask) -> str:
    """The answer's opening. It names the topic in the words of the question where they are there."""
    topic = tool.topic[ask.lang == "zh"]
    known = topic in ask.question
    if ask.lang == "en":
        return (
            f"Here is the {topic}: "
            if known and not tool.action
            else "Here is the result: "
            if not tool.action
            else "Done. Here is the result: "
        )
    return f"{topic}：" if known and not tool.action else "结果：" if not tool.action else "已完成，结果："


def _end(lang: Language) -> str:
    return "." if lang == "en" else "。"


def _weather(draw: Draw, ask: Ask, lead: str) -> tuple[str, str, list[str]]:
    degrees, condition = draw.randint(-15, 39), draw.choice(_CONDITIONS[draw.choice(["en", ask.lang])])
    forms = (
        json.dumps({"temperature": degrees, "condition": condition}, ensure_ascii=False),
        json.dumps({"condition": condition, "temperature": degrees}, ensure_ascii=False),
        json.dumps({"city": str(next(iter(ask.arguments.values()), "")), "temperature": str(degrees), "forecast": condition}, ensure_ascii=False),
        f"{degrees}°C, {condition}", f"{condition}, {degrees} degrees", f"{condition}，{degrees}度",
    )  # fmt: skip
    text = draw.choice(forms)
    where = next(iter(ask.arguments.values()), "")
    if ask.lang == "en":
        return (
            text,
            f"The weather in {where}: {degrees} degrees, {condition}."
            if where
            else f"The weather: {degrees} degrees, {condition}.",
            [str(degrees), condition],
        )
    return (
        text,
        f"{where}的天气：{degrees}度，{condition}。" if where else f"天气：{degrees}度，{condition}。",
        [str(degrees), condition],
    )


def _error(draw: Draw, lang: Language) -> tuple[str, str, list[str]]:
    message = draw.choice(_ERRORS[lang])
    text = draw.choice([f"Error: {message}", json.dumps({"error": message}, ensure_ascii=False), f"error: {message}"])
    return text, {"en": f"The tool reported an error: {message}.", "zh": f"工具返回错误：{message}。"}[lang], [message]


def _fields(draw: Draw, lang: Language) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(draw.choices([1, 2, 3], [40, 45, 15])[0]):
        key = draw.word(_KEYS) if draw.chance(0.95) else draw.syllables(1, 3)
        if draw.chance(0.05):
            key += "_" + draw.word(_KEYS)
        if lang == "zh" and draw.chance(0.25):
            key = draw.choice(
                ["温度", "状态", "价格", "数量", "名称", "时间", "结果", "距离", "评分", "编号", draw.hanzi(HANZI)]
            )
        fields[key] = _single(draw, lang)
    return fields


def _single(draw: Draw, lang: Language) -> Any:
    """One value of a result."""
    return draw.choice(_VALUES)(draw, lang)


def _plain(value: Any) -> str:
    """A value as an answer spells it."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _listed(fields: dict[str, Any], lang: Language) -> str:
    parts = [f"{key.replace('_', ' ')} {_plain(value)}" for key, value in fields.items()]
    return (", " if lang == "en" else "，").join(parts) + _end(lang)
