"""Parameters of made-up tools: a name, a JSON schema, and values together with how a person would say them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .draw import Draw
from .words import (
    ADJECTIVES,
    CITIES,
    CURRENCIES,
    DAYS,
    ENUMS,
    HANZI,
    LANGUAGES,
    MONTHS,
    PEOPLE,
    SENTENCES,
    THINGS,
)

Language = Literal["en", "zh"]
Pair = tuple[str, str]
Value = str | int | float | bool | list[Any]
Say = Callable[[Draw, Language], tuple[Value, str]]
"""Draws a value and the words that a person uses for it."""


@dataclass
class Parameter:
    """One parameter. `words` become its name; a pattern's {v} is the value's words, {n} the parameter's name."""

    words: str
    about: Pair
    schema: dict[str, Any]
    say: Say
    en: Sequence[str] = (
        "with {n} {v}",
        "with the {n} {v}",
        "{n}: {v}",
        "and {n} {v}",
        "with {n} set to {v}",
        "{n} = {v}",
    )
    zh: Sequence[str] = ("{n}是{v}", "{n}为{v}", "{n}：{v}", "{n}设为{v}", "{n} {v}")
    zh_prefix: Sequence[str] = ()
    name: str = field(default="")

    def phrase(self, draw: Draw, lang: Language, spoken: str, prefix: bool = False) -> str:
        """How a question mentions the value."""
        patterns = self.en if lang == "en" else self.zh_prefix if prefix else self.zh
        called = self.words if lang == "en" or draw.chance(0.6) else self.about[1]
        return draw.choice(list(patterns)).format(v=spoken, n=called)


def of(bank: Sequence[Pair], draw: Draw, lang: Language) -> str:
    """A word of a bank, in one language, or an invented one."""
    if draw.invents(0.5):
        return draw.syllables(1, 3) if lang == "en" else draw.hanzi(HANZI, 1, 3)
    return draw.word(bank)[lang == "zh"]


def place_name(draw: Draw, lang: Language) -> str:
    """A city, real or invented."""
    if lang == "en" and draw.chance(0.06):
        return f"{draw.word(CITIES)[0]}, {draw.choice(['CA', 'NY', 'MA', 'UK', 'FR', 'TX', 'WA', 'DE', 'CN'])}"
    if draw.chance(0.55):
        return of(CITIES, draw, lang)
    if lang == "zh":
        return draw.hanzi(HANZI, 2, 4) + draw.choice(["", "", "市", "县", "镇"])
    name = draw.syllables().capitalize()
    return draw.choice(["", "", "", "", "New ", "Port ", "San ", "North "]) + name


def person_name(draw: Draw, lang: Language) -> str:
    """A person's name, from the bank or invented."""
    if draw.chance(0.5):
        return of(PEOPLE, draw, lang)
    if lang == "zh":
        return draw.choice(list("王李张刘陈杨赵黄周吴徐孙马朱胡郭何林高罗")) + draw.hanzi(HANZI, 1, 2)
    return " ".join(draw.syllables(2, 3).capitalize() for _ in range(draw.choice([1, 1, 2])))


def free_text(draw: Draw, lang: Language) -> str:
    """One to five words: a search, a title, a message."""
    gap = " " if lang == "en" else ""
    thing = of(THINGS, draw, lang)
    kind = draw.random()
    if kind < 0.25:
        return of(SENTENCES, draw, lang)
    if kind < 0.5:
        return of(ADJECTIVES, draw, lang) + gap + thing
    if kind < 0.65:
        return thing + (" and " if lang == "en" else "和") + of(THINGS, draw, lang)
    if kind < 0.75:
        return thing + gap + (draw.syllables() if lang == "en" else draw.hanzi(HANZI))
    if kind < 0.85:
        return draw.syllables() if lang == "en" else draw.hanzi(HANZI, 2, 4)
    return thing


def date_words(draw: Draw, lang: Language) -> str:
    """A day, relative or on the calendar."""
    if draw.chance(0.5):
        return of(DAYS, draw, lang)
    month, day = draw.randint(1, 12), draw.randint(1, 28)
    if draw.chance(0.5):
        return f"{draw.randint(2021, 2030)}-{month:02}-{day:02}"
    return f"{MONTHS[month - 1]} {day}" if lang == "en" else f"{month}月{day}日"


def clock(draw: Draw, lang: Language) -> str:
    """A time of day."""
    hour, minute = draw.randint(0, 23), draw.choice([0, 0, 15, 30, 45, draw.randint(0, 59)])
    if draw.chance(0.6):
        return f"{hour:02}:{minute:02}"
    if lang == "en":
        return f"{draw.randint(1, 12)} {draw.choice(['am', 'pm'])}"
    return f"{draw.choice(['上午', '下午', '晚上'])}{draw.randint(1, 12)}点"


def whole(draw: Draw) -> int:
    """An integer, mostly small."""
    return draw.choice([draw.randint(1, 9), draw.randint(1, 30), draw.randint(10, 999), draw.randint(1000, 99999)])


def number(draw: Draw) -> int | float:
    """A number, often with decimals."""
    if draw.chance(0.45):
        return whole(draw)
    return round(draw.uniform(0, draw.choice([1, 10, 100, 1000])), draw.choice([1, 2]))


def code(draw: Draw) -> str:
    """An identifier such as A-1043 or inv83721."""
    letters = "".join(draw.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(draw.randint(1, 3)))
    digits = "".join(draw.choice("0123456789") for _ in range(draw.randint(2, 6)))
    form = draw.choice(["{}-{}", "{}{}", "#{1}", "{1}", "{}_{}"])
    made = form.format(letters, digits)
    return made.lower() if draw.chance(0.25) else made


def email(draw: Draw) -> str:
    """An address at a made-up domain."""
    user = draw.choice(
        [draw.word(PEOPLE)[0].split()[0].lower(), draw.syllables(), f"{draw.syllables()}.{draw.syllables()}"]
    )
    return f"{user}@{draw.choice(['example', draw.syllables(), 'mail'])}.{draw.choice(['com', 'org', 'net', 'cn'])}"


def _text(make: Callable[[Draw, Language], str]) -> Say:
    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        made = make(draw, lang)
        return made, made

    return say


def _figure(make: Callable[[Draw], int | float]) -> Say:
    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        made = make(draw)
        return made, str(made)

    return say


def _quoted(draw: Draw, lang: Language) -> tuple[Value, str]:
    made = free_text(draw, lang)
    mark = draw.choice(['"{}"', "'{}'", "{}", "{}"] if lang == "en" else ["“{}”", "“{}”", "「{}」", '"{}"', "{}"])
    return made, mark.format(made)


STRING: dict[str, Any] = {"type": "string"}


def name_of(draw: Draw, bank: Sequence[str]) -> str:
    """The words of a parameter's name, or invented ones."""
    if draw.invents(0.4):
        return draw.syllables(1, 3) if draw.chance(0.7) else f"{draw.syllables(1, 2)} {draw.word(bank)}"
    return draw.word(bank)


def place(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "city",
            "location",
            "place",
            "town",
            "region",
            "destination",
            "area",
            "venue",
            "spot",
            "country",
            "site",
            "locality",
        ],
    )
    about = draw.choice([("The city", "城市"), ("City name, e.g. Lyon", "城市名称"), ("Name of the place", "地点")])
    en = ("in {v}", "in {v}", "for {v}", "at {v}", "near {v}")
    return Parameter(
        words, about, STRING, _text(place_name), en, ("地点是{v}", "城市是{v}", "在{v}"), ("{v}的", "{v}", "在{v}")
    )


def person(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "name",
            "person",
            "user",
            "customer",
            "contact",
            "owner",
            "full name",
            "guest",
            "member",
            "employee",
            "author",
            "client",
        ],
    )
    about = draw.choice([("The person's name", "姓名"), ("Name of the person", "人名"), ("Who it is for", "对象")])
    return Parameter(
        words,
        about,
        STRING,
        _text(person_name),
        ("for {v}", "for {v}", "under the name {v}"),
        zh_prefix=("{v}的", "给{v}"),
    )


def date(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "date",
            "day",
            "when",
            "start date",
            "due date",
            "departure date",
            "deadline",
            "on date",
            "target day",
            "end date",
        ],
    )
    about = draw.choice([("The date", "日期"), ("Day, as the user says it", "哪一天"), ("Date of the event", "日期")])

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        made = date_words(draw, lang)
        return made, made

    return Parameter(
        words, about, STRING, say, ("on {v}", "for {v}", "{v}"), ("日期是{v}", "时间是{v}"), ("{v}的", "{v}")
    )


def time(draw: Draw) -> Parameter:
    words = name_of(draw, ["time", "start time", "hour", "at time", "begin", "end time"])
    return Parameter(
        words, ("Time of day", "时间"), STRING, _text(clock), ("at {v}", "for {v}"), ("时间是{v}", "{v}"), ("{v}的",)
    )


def text(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "query",
            "title",
            "message",
            "text",
            "subject",
            "note",
            "keyword",
            "topic",
            "content",
            "body",
            "caption",
            "phrase",
            "label",
            "question",
            "comment",
        ],
    )
    about = draw.choice([(f"The {words}", "内容"), ("Free text", "文本"), ("Words to use", "关键词")])
    en = ("about {v}", "called {v}", "saying {v}", "with {n} {v}", "with the {n} {v}", "for {v}", "{n}: {v}")
    return Parameter(
        words, about, STRING, _quoted, en, ("{n}是{v}", "{n}为{v}", "内容是{v}", "叫{v}", "{n}：{v}"), ("关于{v}的",)
    )


def mail(draw: Draw) -> Parameter:
    words = name_of(draw, ["to", "email", "recipient", "address", "email address", "send to", "mail"])
    return Parameter(
        words,
        ("Email address", "邮箱"),
        STRING,
        _text(lambda d, _: email(d)),
        ("to {v}", "for {v}"),
        ("发给{v}", "邮箱是{v}"),
    )


def identifier(draw: Draw) -> Parameter:
    noun = draw.word(
        [
            "order",
            "ticket",
            "user",
            "item",
            "account",
            "product",
            "file",
            "device",
            "invoice",
            "record",
            "job",
            "case",
            "room",
        ]
    )
    words = draw.choice([f"{noun} id", "id", f"{noun} number", "code", f"{noun} code", "reference"])
    about = draw.choice([(f"The {words}", "编号"), ("Unique identifier", "唯一编号")])
    en = ("{v}", "with {n} {v}", "number {v}", "{n} {v}", "for {v}")
    return Parameter(
        words,
        about,
        STRING,
        _text(lambda d, _: code(d)),
        en,
        ("编号是{v}", "{n}是{v}", "号码{v}"),
        ("{v}的", "编号{v}的"),
    )


def integer(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "count",
            "quantity",
            "limit",
            "minutes",
            "days",
            "number of people",
            "max results",
            "page",
            "guests",
            "hours",
            "amount",
            "copies",
            "year",
            "age",
            "top k",
        ],
    )
    about = draw.choice([(f"The {words}", "数量"), ("A whole number", "整数"), (f"Number for {words}", "数值")])
    en = ("with {n} {v}", "{n}: {v}", "with {v} {n}", "{v} {n}", "{n} = {v}", "and {n} {v}")
    return Parameter(words, about, {"type": "integer"}, _figure(whole), en)


def quantity(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "price",
            "weight",
            "distance",
            "amount",
            "budget",
            "height",
            "width",
            "radius",
            "temperature",
            "score",
            "rate",
            "length",
            "volume",
            "speed",
        ],
    )
    about = draw.choice([(f"The {words}", "数值"), ("A number", "数字"), (f"Value of the {words}", "数值")])
    return Parameter(words, about, {"type": "number"}, _figure(number))


def choice(draw: Draw) -> Parameter:
    (en_name, zh_name), options = draw.word(ENUMS)
    chinese = draw.chance(0.12)
    offered = draw.sample(list(options), min(len(options), draw.randint(2, 5)))

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        option = draw.choice(offered)
        value = option[1] if chinese else option[0]
        return value, value if draw.chance(0.6) or lang == "en" else option[lang == "zh"]

    schema = {"type": "string", "enum": [option[chinese] for option in offered]}
    en = ("with {n} {v}", "{n}: {v}", "in {v} {n}", "{v} {n}", "as {v}", "with the {n} set to {v}", "{v}")
    return Parameter(en_name.replace("_", " "), (f"The {en_name}", zh_name), schema, say, en)


def flag(draw: Draw) -> Parameter:
    words = name_of(
        draw,
        [
            "urgent",
            "notify",
            "include details",
            "verbose",
            "express",
            "dry run",
            "confirmed",
            "recursive",
            "public",
            "silent",
            "overwrite",
            "gift wrap",
        ],
    )
    on = {
        "en": ("with {n} on", "{n}: yes", "and turn {n} on", "with {n} enabled"),
        "zh": ("开启{n}", "{n}：是", "打开{n}"),
    }
    off = {
        "en": ("with {n} off", "{n}: no", "and turn {n} off", "with {n} disabled"),
        "zh": ("关闭{n}", "{n}：否", "不要{n}"),
    }

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        wanted = draw.chance(0.5)
        return wanted, draw.choice((on if wanted else off)[lang]).format(n=parameter.words)

    about = draw.choice([(f"Whether to use {words}", "是否启用"), (f"{words} or not", "开关")])
    parameter = Parameter(words, about, {"type": "boolean"}, say, ("{v}",), ("{v}",))
    return parameter


def language(draw: Draw) -> Parameter:
    words = name_of(draw, ["language", "target language", "lang", "to language", "locale", "into"])
    return Parameter(
        words,
        ("Target language", "目标语言"),
        STRING,
        _text(lambda d, lang: of(LANGUAGES, d, lang)),
        ("in {v}", "into {v}"),
        ("用{v}", "语言是{v}"),
    )


def currency(draw: Draw) -> Parameter:
    words = name_of(draw, ["currency", "currency code", "target currency", "in currency"])
    return Parameter(
        words,
        ("Currency code, e.g. NZD", "货币代码"),
        STRING,
        _text(lambda d, _: d.word(CURRENCIES)[0]),
        ("in {v}", "with currency {v}"),
    )


def listing(draw: Draw) -> Parameter:
    words = name_of(
        draw, ["tags", "items", "names", "numbers", "keywords", "values", "ingredients", "products", "options"]
    )
    numeric = words in ("numbers", "values")

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        count = draw.randint(1, 4)
        made: list[Any] = [whole(draw) if numeric else of(THINGS, draw, lang) for _ in range(count)]
        spoken = [str(item) for item in made]
        last = " and " if lang == "en" else "和"
        separator = ", " if lang == "en" else "、"
        return made, separator.join(spoken[:-1]) + last + spoken[-1] if count > 1 else spoken[0]

    schema = {"type": "array", "items": {"type": "number" if numeric else "string"}}
    return Parameter(
        words, (f"List of {words}", "列表"), schema, say, ("with {n} {v}", "with the {n} {v}", "{n}: {v}", "for {v}")
    )


def invented(draw: Draw) -> Parameter:
    """A name out of no bank at all, with values of any type."""
    words = " ".join(draw.syllables(1, 3) for _ in range(draw.choice([1, 1, 2])))
    if draw.chance(0.3):
        words += " " + draw.choice(["id", "name", "type", "value", "count", "key", "2", "x"])
    about = draw.choice([(f"The {words}", f"{words} 的值"), (f"Value for {words}", words), (words, words)])
    kind = draw.random()
    zh = ("{n}是{v}", "{n}为{v}", "{n}：{v}", "{n}设为{v}", "{n} {v}")
    if kind < 0.2:
        return Parameter(words, about, {"type": "integer"}, _figure(whole), zh=zh)
    if kind < 0.35:
        return Parameter(words, about, {"type": "number"}, _figure(number), zh=zh)
    if kind < 0.55:
        return Parameter(
            words, about, STRING, _text(lambda d, lang: d.syllables() if lang == "en" else d.hanzi(HANZI, 2, 4)), zh=zh
        )
    if kind < 0.7:
        return Parameter(words, about, STRING, _text(lambda d, _: code(d)), zh=zh)
    return Parameter(words, about, STRING, _quoted, zh=zh)


KINDS: tuple[tuple[float, Callable[[Draw], Parameter]], ...] = (
    (3, place), (2, person), (2, date), (1, time), (3, text), (1, mail), (2, identifier), (2.5, integer), (2, quantity),
    (2.5, choice), (1.2, flag), (0.7, language), (0.7, currency), (0.8, listing), (5, invented),
)  # fmt: skip


def draw_parameters(draw: Draw, count: int) -> list[Parameter]:
    """Parameters with different names."""
    found: dict[str, Parameter] = {}
    while len(found) < count:
        (make,) = draw.choices([kind for _, kind in KINDS], [weight for weight, _ in KINDS])
        parameter = make(draw)
        found.setdefault(parameter.words, parameter)
    return list(found.values())
