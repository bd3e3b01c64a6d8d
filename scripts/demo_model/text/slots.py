"""Parameters of the well-known tools: the names they go by, and how their values are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from .draw import Draw
from .parameters import Say, Value, same
from .values import clock, code, date_words, email, free_text, number, of, person_name, place_name, whole
from .words import CURRENCIES, FOODS, LANGUAGES, THINGS, Language, Pair


@dataclass(frozen=True)
class Slot:
    """A parameter of a classic: names it goes by, its description, its type, and how values are drawn."""

    names: str
    about: Pair
    draw: Say
    type: str = "string"
    enum: tuple[str, ...] = ()


def _named(options: dict[str, tuple[str, ...]]) -> Say:
    """Options of an enumeration, each with English and Chinese names: the first half of them is English."""

    def say(draw: Draw, lang: Language) -> tuple[Value, str]:
        value = draw.choice(list(options))
        spoken = [name for name in options[value] if name.isascii() == (lang == "en")]
        return value, draw.choice(spoken)

    return say


def _currency(draw: Draw, lang: Language) -> tuple[Value, str]:
    symbol, chinese = draw.word(CURRENCIES)
    return symbol, chinese if lang == "zh" and draw.chance(0.6) else symbol


def _small(draw: Draw) -> int:
    return draw.choice([draw.randint(0, 12), draw.randint(0, 100), draw.randint(0, 1000)])


def _expression(draw: Draw, lang: Language) -> Value:
    made = str(_small(draw))
    for _ in range(draw.choice([1, 1, 2])):
        made += draw.choice([" + ", " * ", " - ", " / ", "+", "*", "-", "/"]) + str(_small(draw))
    return made


PLACE = Slot("city,location,city,location,place", ("City name", "城市名称"), same(place_name))
WHERE = Slot("location,city", ("The city and state, e.g. San Francisco, CA", "城市"), same(place_name))
UNITS: dict[str, tuple[str, ...]] = {
    "celsius": ("Celsius", "celsius", "degrees Celsius", "摄氏度"),
    "fahrenheit": ("Fahrenheit", "fahrenheit", "degrees Fahrenheit", "华氏度"),
}
UNIT = Slot("unit", ("Temperature unit", "温度单位"), _named(UNITS), enum=("celsius", "fahrenheit"))
A = Slot("a,x,first,num1,left", ("The first number", "第一个数"), same(lambda d, _: _small(d)), "integer")
B = Slot("b,y,second,num2,right", ("The second number", "第二个数"), same(lambda d, _: _small(d)), "integer")
A_NUMBER = Slot(A.names, A.about, same(lambda d, _: number(d) if d.chance(0.5) else _small(d)), "number")
B_NUMBER = Slot(B.names, B.about, A_NUMBER.draw, "number")
QUERY = Slot("query,q,query,keywords,query", ("Search query", "搜索关键词"), same(free_text))
TO = Slot("to,recipient,email,to", ("Recipient email address", "收件人邮箱"), same(lambda d, _: email(d)))
SUBJECT = Slot("subject,title,subject", ("Subject line", "主题"), same(free_text))
BODY = Slot("body,message,content,body,text", ("The message", "正文"), same(free_text))
AMOUNT = Slot(
    "amount,value,amount",
    ("Amount of money", "金额"),
    same(lambda d, _: number(d) if d.chance(0.3) else whole(d)),
    "number",
)
FROM = Slot("from,from currency,source,base", ("Source currency", "源货币"), _currency)
INTO = Slot("to,to currency,target,quote", ("Target currency", "目标货币"), _currency)
MINUTES = Slot(
    "minutes,duration,duration minutes",
    ("Duration in minutes", "分钟数"),
    same(lambda d, _: d.randint(1, 90)),
    "integer",
)
DATE = Slot("date,day", ("The date", "日期"), same(date_words))
TIME = Slot("time,at,clock", ("Time of day", "时间"), same(clock))
SYMBOL = Slot(
    "symbol,ticker,stock",
    ("Ticker symbol", "股票代码"),
    same(lambda d, _: "".join(d.choice("ABCDEFGHIKLMNOPRSTUVXYZ") for _ in range(d.randint(2, 4)))),
)
TEXT = Slot("text,sentence,phrase", ("Text to work on", "文本"), same(free_text))
LANGUAGE = Slot(
    "language,target language,to", ("Target language", "目标语言"), same(lambda d, lang: of(LANGUAGES, d, lang))
)
ZONE = Slot("timezone,city,location,tz", ("Time zone or city", "时区或城市"), same(place_name))
LOW = Slot("min,low,start", ("Smallest number", "最小值"), same(lambda d, _: d.randint(0, 10)), "integer")
HIGH = Slot("max,high,end", ("Largest number", "最大值"), same(lambda d, _: d.randint(11, 1000)), "integer")
WHO = Slot("name,person,contact", ("Name of the person", "姓名"), same(person_name))
ORDER = Slot("order id,id,order number", ("The order's number", "订单号"), same(lambda d, _: code(d)))
EXPRESSION = Slot("expression,expr,formula", ("Arithmetic expression", "算式"), same(_expression))
FOOD = Slot("food,dish,item", ("The dish", "菜名"), same(lambda d, lang: of(FOODS, d, lang)))
TOPIC = Slot("topic,subject,keyword", ("Topic", "主题"), same(lambda d, lang: of(THINGS, d, lang)))
ORIGIN = Slot("origin,from,departure,from city", ("Where from", "出发地"), same(place_name))
GOAL = Slot("destination,to,arrival,to city", ("Where to", "目的地"), same(place_name))
ROOMS = {
    "living room": ("living room", "客厅"),
    "bedroom": ("bedroom", "卧室"),
    "kitchen": ("kitchen", "厨房"),
    "office": ("office", "书房"),
}
ROOM = Slot(
    "room,location",
    ("The room", "房间"),
    lambda d, lang: (lambda r: (r, r))(d.choice(list(ROOMS.values()))[lang == "zh"]),
)
SWITCH = Slot(
    "state,on,enabled",
    ("true to switch it on", "是否打开"),
    lambda d, lang: d.choice([(True, "on" if lang == "en" else "打开"), (False, "off" if lang == "en" else "关闭")]),
    "boolean",
)
DEGREES = Slot("temperature,degrees,target", ("Degrees", "度数"), same(lambda d, _: d.randint(10, 35)), "integer")
NAME = Slot("title,event,name,task,summary", ("What it is about", "标题"), same(free_text))
