"""Parameters of made-up tools: a name, a JSON schema, and values together with how a person would say them."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .draw import Draw
from .values import clock, code, date_words, email, free_text, number, of, person_name, place_name, whole
from .words import CURRENCIES, ENUMS, LANGUAGES, NOUNS, THINGS, Language, Pair, pairs

Value = str | int | float | bool | list[Any]
Say = Callable[[Draw, Language], tuple[Value, str]]
"""Draws a value and the words that a person uses for it."""

STRING: dict[str, Any] = {"type": "string"}


@dataclass
class Parameter:
    """One parameter. `words` become its name; a pattern's {v} is the value's words, {n} the parameter's name."""

    words: str
    about: Pair
    schema: dict[str, Any]
    say: Say
    en: Sequence[str] = ()
    zh: Sequence[str] = ()
    zh_prefix: Sequence[str] = ()
    name: str = field(default="")

    def phrase(self, draw: Draw, lang: Language, spoken: str, prefix: bool = False) -> str:
        """How a question mentions the value."""
        patterns = self.en if lang == "en" else self.zh_prefix if prefix else self.zh
        return draw.choice(patterns).format(v=spoken, n=self.words)


def same(make: Callable[[Draw, Language], Value]) -> Say:
    """Values that are said as they are written."""

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        made = make(draw, lang)
        return made, str(made)

    return say


def _quoted(draw: Draw, lang: Language) -> tuple[Value, str]:
    made = free_text(draw, lang)
    mark = draw.choice(['"{}"', "'{}'", "{}"] if lang == "en" else ["“{}”", "「{}」", '"{}"', "{}"])
    return made, mark.format(made)


_NAMED_EN = ("with {n} {v}", "with the {n} {v}", "{n}: {v}", "with {n} set to {v}", "{n} = {v}")
_NAMED_ZH = ("{n}是{v}", "{n}为{v}", "{n}：{v}", "{n}设为{v}", "{n} {v}")


_QUALIFIERS = (
    *("main", "first", "second", "target", "source", "total", "base", "primary", "new", "old", "next", "last"),
    *("full", "user", "given", "max", "min", "own"),
)


@dataclass(frozen=True)
class Family:
    """Parameters of one meaning: names they go by, and how questions mention them when not by name.

    `about` has to tell the meaning, for the name may be one that training never saw.
    """

    weight: float
    names: str
    about: Sequence[Pair]
    say: Say
    schema: dict[str, Any]
    en: Sequence[str] = _NAMED_EN
    zh: Sequence[str] = _NAMED_ZH
    zh_prefix: Sequence[str] = ()

    def parameter(self, draw: Draw) -> Parameter:
        """One of the family."""
        words = draw.word(self.names.split(","))
        if draw.invents(0.4):
            kind = draw.random()
            first = draw.word(_QUALIFIERS) if kind < 0.25 else draw.word(NOUNS)[0]
            words = draw.syllables(1, 2) if kind > 0.75 else first if kind > 0.4 else f"{first} {words.split()[-1]}"
        english, chinese = draw.choice(self.about)
        about = (english.format(n=words), chinese.format(n=words))
        return Parameter(words, about, self.schema, self.say, self.en, self.zh, self.zh_prefix)


FAMILIES: tuple[Family, ...] = (
    Family(
        4, "city,location,place,town,destination,country,region,venue,area,address,site,locality",
        (("The city", "城市"), ("City name, e.g. Lyon", "城市名称"), ("Name of the place", "地点")), same(place_name), STRING,
        ("in {v}", "in {v}", "near {v}"), ("地点是{v}", "城市是{v}", "在{v}"), ("{v}的", "{v}", "在{v}"),
    ),
    Family(
        2.5, "name,person,user,customer,contact,owner,full name,guest,member,employee,author,client",
        (("The person's name", "姓名"), ("Name of the person", "人名")), same(person_name), STRING,
        ("for {v}", "for {v}", "under the name {v}"), ("姓名是{v}", "名字是{v}"), ("给{v}", "为{v}"),
    ),
    Family(
        2, "date,day,when,start date,due date,departure date,deadline,on date,day of visit,event date,travel date,end date",
        (("The date", "日期"), ("Day, as the user says it", "哪一天"), ("Date of the event", "日期")), same(date_words), STRING,
        ("on {v}", "{v}"), ("日期是{v}", "时间是{v}"), ("{v}的", "{v}"),
    ),
    Family(
        1, "time,start time,hour,at time,begin,end time", (("Time of day", "时间"), ("The time", "几点")), same(clock), STRING,
        ("at {v}",), ("时间是{v}", "{v}"), ("{v}的",),
    ),
    Family(
        3, "query,title,message,text,subject,note,keyword,topic,content,body,caption,phrase,label,question,comment,description,search term,heading",
        (("The {n}", "{n} 的内容"), ("Text of the {n}", "{n} 文本")), _quoted, STRING,
    ),
    Family(
        1.5, "query,topic,keyword,subject,about,search", (("What it is about", "主题"), ("Words to look for", "关键词")), _quoted, STRING,
        ("about {v}", "on the topic of {v}"), ("主题是{v}", "关于{v}"), ("关于{v}的",),
    ),
    Family(
        1, "to,email,recipient,address,email address,mail", (("Email address", "邮箱"), ("Email of the recipient", "收件人邮箱")),
        same(lambda d, _: email(d)), STRING, ("to {v}",), ("发给{v}", "邮箱是{v}"),
    ),
    Family(
        2, "order id,ticket id,id,item id,code,record id,number,order number,reference,file id,account number,case id",
        (("The number", "编号"), ("Unique identifier", "唯一编号"), ("Code such as A-12", "编号")), same(lambda d, _: code(d)), STRING,
        ("{v}", "number {v}", "with number {v}", "with the id {v}"), ("编号是{v}", "号码{v}"), ("{v}的", "编号{v}的", "{v}"),
    ),
    Family(
        3, "count,quantity,limit,minutes,days,people,max results,page,guests,hours,amount,copies,year,age,size,rooms,seats,tickets",
        (("The {n}", "{n} 数量"), ("Number of {n}", "{n} 个数"), ("A whole number", "整数")), same(lambda d, _: whole(d)), {"type": "integer"},
    ),
    Family(
        2, "price,weight,distance,amount,budget,height,width,radius,temperature,score,rate,length,volume,speed,ratio,limit,cost,depth",
        (("The {n}", "{n} 数值"), ("Value of the {n}", "{n} 的值"), ("A number", "数字")), same(lambda d, _: number(d)), {"type": "number"},
    ),
    Family(
        0.7, "language,target language,lang,to language,locale,into", (("The language", "语言"), ("Target language", "目标语言")),
        same(lambda d, lang: d.word(LANGUAGES)[lang == "zh"]), STRING, ("in {v}",), ("用{v}", "语言是{v}"),
    ),
    Family(
        0.5, "currency,currency code,target currency,in currency,unit,money", (("Currency code, e.g. NZD", "货币代码"),),
        same(lambda d, _: d.word(CURRENCIES)[0]), STRING, ("in {v}", "with currency {v}"), ("货币是{v}", "用{v}"),
    ),
)  # fmt: skip


def choice(draw: Draw) -> Parameter:
    """One of an enumeration."""
    (en_name, zh_name), options = draw.word(ENUMS)
    offered = [option[0] for option in draw.sample(options, min(len(options), draw.randint(2, 4)))]
    words = en_name.replace("_", " ")
    schema = {"type": "string", "enum": offered}
    en = ("with {n} {v}", "{n}: {v}", "with the {n} set to {v}", "with {v} {n}")
    return Parameter(words, (f"The {words}", zh_name), schema, same(lambda d, _: d.choice(offered)), en, _NAMED_ZH)


_FLAGS = pairs(
    "urgent=紧急; notify=通知; verbose=详细; express=加急; confirmed=已确认; public=公开; silent=静音; overwrite=覆盖; gift wrap=礼品包装; "
    "repeat=重复; private=私密; archived=归档"
)


def flag(draw: Draw) -> Parameter:
    """A switch, told to be on or off."""
    words, chinese = draw.word(_FLAGS)
    on = {"en": ("with {n} on", "with {n}", "and turn {n} on"), "zh": ("开启{n}", "打开{n}")}
    off = {"en": ("with {n} off", "without {n}", "and turn {n} off"), "zh": ("关闭{n}", "不要{n}")}

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        wanted = draw.chance(0.5)
        return wanted, draw.choice((on if wanted else off)[lang]).format(n=words)

    return Parameter(words, (f"Whether to use {words}", f"是否{chinese}"), {"type": "boolean"}, say, ("{v}",), ("{v}",))


def listing(draw: Draw) -> Parameter:
    """A list of words or numbers."""
    words = draw.word(("tags", "items", "names", "numbers", "keywords", "values", "ingredients", "products", "options"))
    numeric = words in ("numbers", "values")

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        made: list[Any] = [
            whole(draw) if numeric else of(THINGS, draw, lang) for _ in range(draw.choice([1, 2, 2, 3, 3]))
        ]
        spoken = [str(item) for item in made]
        last, separator = (" and ", ", ") if lang == "en" else ("和", "、")
        return made, separator.join(spoken[:-1]) + last + spoken[-1] if len(made) > 1 else spoken[0]

    schema = {"type": "array", "items": {"type": "number" if numeric else "string"}}
    en = ("with {n} {v}", "with the {n} {v}", "{n}: {v}")
    return Parameter(words, (f"List of {words}", f"{words} 列表"), schema, say, en, _NAMED_ZH)


_MAKERS: tuple[tuple[float, Callable[[Draw], Parameter]], ...] = (
    *((family.weight, family.parameter) for family in FAMILIES), (2, choice), (0.7, flag), (0.3, listing),
)  # fmt: skip


def draw_parameters(draw: Draw, count: int) -> list[Parameter]:
    """Parameters which a question can tell apart: no name twice, and no two that are mentioned in the same way."""
    found: dict[str, Parameter] = {}
    while len(found) < count:
        parameter = draw.weighted([(weight, partial(make, draw)) for weight, make in _MAKERS])
        taken = any(parameter.en is other.en and parameter.en is not _NAMED_EN for other in found.values())
        if not taken:
            found.setdefault(parameter.words, parameter)
    return list(found.values())
