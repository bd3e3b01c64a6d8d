"""The tools that everybody tries first, with the questions that everybody asks."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .draw import Draw
from .parameters import STRING, Parameter
from .slots import (
    A_NUMBER,
    AMOUNT,
    B_NUMBER,
    BODY,
    DATE,
    DEGREES,
    EXPRESSION,
    FOOD,
    FROM,
    GOAL,
    HIGH,
    INTO,
    LANGUAGE,
    LOW,
    MINUTES,
    NAME,
    ORDER,
    ORIGIN,
    PLACE,
    QUERY,
    ROOM,
    SUBJECT,
    SWITCH,
    SYMBOL,
    TEXT,
    TIME,
    TO,
    TOPIC,
    UNIT,
    WHERE,
    WHO,
    ZONE,
    A,
    B,
    Slot,
)
from .tools import Tool, build_tool
from .words import Language, Pair


@dataclass(frozen=True)
class Classic:
    """Names, descriptions, slots (the number in front are required) and questions, where {0} is the first slot."""

    names: str
    about: Sequence[Pair]
    slots: Sequence[Slot]
    required: int
    topic: Pair
    en: str
    zh: str
    action: bool = False


CLASSICS: tuple[Classic, ...] = (
    Classic(
        "get weather,get current weather,weather,get weather,current weather,fetch weather,query weather", (("Get the current weather in a given location", "获取指定城市的天气"), ("Get the weather for a city", "查询天气"), ("Current weather", "查询城市当前的天气情况"), ("Get current temperature for a given location.", "获取天气")),
        (PLACE, UNIT), 1, ("weather", "天气"),
        "What's the weather in {0}?|What is the weather like in {0}?|What's the weather like in {0} today?|weather in {0}|weather in {0} please|How is the weather in {0}?|Is it raining in {0}?|Is it cold in {0}|Tell me the weather in {0}.|{0} weather|What's the temperature in {0}?|How warm is it in {0} right now?|What is the weather in {0} in {1}?|What's the temperature in {0} in {1}?|Weather for {0}, in {1}|Do I need an umbrella in {0}?|What's the current weather in {0}?|How hot is it in {0}, in {1}?|Will it rain in {0}?|I am going to {0}, how is the weather there?",
        "{0}今天天气怎么样？|{0}的天气怎么样|{0}天气|查一下{0}的天气|{0}现在的天气如何？|{0}今天天气如何|今天{0}天气怎么样？|请问{0}的天气|{0}下雨了吗？|{0}今天冷吗？|{0}多少度？|{0}现在气温是多少，用{1}|{0}的天气，用{1}表示|告诉我{0}的天气|帮我查询{0}的天气|我要去{0}，天气怎么样？|{0}天气怎么样？单位用{1}",
    ),
    Classic(
        "get weather,get current weather,weather forecast,get forecast", (("Get the current weather in a given location", "获取指定城市的天气"), ("Weather forecast for a place and day", "查询某地某天的天气")),
        (WHERE, DATE), 1, ("weather", "天气"),
        "What's the weather in {0} {1}?|weather in {0} {1}|Will it rain in {0} {1}?|What will the weather be in {0} {1}?|How is the weather in {0}?|Weather forecast for {0} {1} please|What's the weather like in {0}?",
        "{0}{1}天气怎么样？|{1}{0}的天气如何|{0}{1}会下雨吗？|{0}的天气怎么样|查一下{0}{1}的天气",
    ),
    Classic(
        "add,add numbers,sum,add two numbers,plus", (("Add two numbers", "两数相加"), ("Adds two integers.", "计算两个数的和"), ("Add a and b.", "加法")),
        (A, B), 2, ("sum", "和"),
        "What is {0} plus {1}?|What's {0} + {1}?|Add {0} and {1}.|{0} + {1}|{0} plus {1}|Sum of {0} and {1}|How much is {0} + {1}?|Please add {0} and {1}|Calculate {0} + {1}|what is {0}+{1}?|add {0} to {1}|{0}+{1}=?|Compute the sum of {0} and {1}.",
        "{0}加{1}等于多少？|{0}加{1}是多少|计算{0}+{1}|{0}+{1}=?|{0} + {1} 等于几？|把{0}和{1}相加|{0}与{1}的和是多少？|请算一下{0}加{1}",
    ),
    Classic(
        "add,add numbers,sum", (("Add two numbers", "两数相加"),), (A_NUMBER, B_NUMBER), 2, ("sum", "和"),
        "What is {0} plus {1}?|What's {0} + {1}?|Add {0} and {1}.|{0} + {1}|Please add {0} and {1}", "{0}加{1}等于多少？|计算{0}+{1}|把{0}和{1}相加",
    ),
    Classic(
        "multiply,multiply numbers,product,times,mul", (("Multiply two numbers", "两数相乘"), ("Multiply a and b.", "乘法"), ("Multiplies two integers together.", "计算两个数的积")),
        (A, B), 2, ("product", "积"),
        "What is {0} times {1}?|What's {0} * {1}?|Multiply {0} by {1}.|Multiply {0} and {1}|{0} times {1}|{0} * {1}|{0} x {1}|How much is {0} multiplied by {1}?|Calculate {0} * {1}|product of {0} and {1}|what is {0} multiplied by {1}",
        "{0}乘以{1}等于多少？|{0}乘{1}是多少|计算{0}*{1}|{0}×{1}=?|{0}和{1}的积是多少？|请算一下{0}乘以{1}",
    ),
    Classic(
        "subtract,minus,subtract numbers,difference", (("Subtract b from a", "两数相减"),), (A, B), 2, ("difference", "差"),
        "What is {0} minus {1}?|{0} - {1}|What's {0} - {1}?|Calculate {0} minus {1}|how much is {0} minus {1}?", "{0}减{1}等于多少？|{0}减去{1}是多少|计算{0}-{1}",
    ),
    Classic(
        "divide,divide numbers,quotient", (("Divide a by b", "两数相除"),), (A_NUMBER, B), 2, ("quotient", "商"),
        "What is {0} divided by {1}?|Divide {0} by {1}.|{0} / {1}|What's {0} / {1}?|how much is {0} divided by {1}", "{0}除以{1}等于多少？|计算{0}/{1}|{0}除以{1}是多少",
    ),
    Classic(
        "calculate,calculator,calc,evaluate,eval expression", (("Evaluate an arithmetic expression", "计算算式"), ("A calculator", "计算器")), (EXPRESSION,), 1, ("result", "结果"),
        "What is {0}?|Calculate {0}|Compute {0}.|{0}|How much is {0}?|what's {0}|{0} = ?", "计算{0}|{0}等于多少？|{0}是多少？|算一下{0}|{0}=?",
    ),
    Classic(
        "get time,now,get current time,current time,time now,get datetime", (("Get the current time", "获取当前时间"), ("Current date and time", "当前日期和时间"), ("Returns the time.", "返回时间")), (), 0, ("time", "时间"),
        "What time is it?|What's the time?|What time is it now?|Tell me the time.|current time|Do you know what time it is?|Can you tell me the time please?|what is the current time|time?|What is the date today?|What day is it?",
        "现在几点？|现在几点了？|几点了|现在是什么时间|告诉我时间|请问现在几点钟？|今天几号？|当前时间|现在时间是多少？",
    ),
    Classic(
        "get time,get current time,current time,time in", (("Get the current time in a time zone", "获取某地的当前时间"), ("Current time in a city", "查询某个城市的时间")), (ZONE,), 1, ("time", "时间"),
        "What time is it in {0}?|What's the time in {0}?|current time in {0}|Tell me the time in {0}.|time in {0} please|What time is it now in {0}?", "{0}现在几点？|现在{0}几点了？|{0}的时间|{0}几点|请问{0}现在是几点钟？",
    ),
    Classic(
        "search,web search,search web,google search,search internet,bing search,wikipedia,find", (("Search the web", "搜索网页"), ("Search the internet for information", "在互联网上搜索信息"), ("Look something up", "搜索"), ("Search for information", "查找资料")), (QUERY,), 1, ("search", "搜索"),
        "Search for {0}.|search {0}|Look up {0}|Find information about {0}|Search the web for {0}|Can you search for {0}?|Google {0}|Please look up {0} for me|Find me something about {0}|I want to read about {0}|search the internet for {0}|What can you find about {0}?|Do a search for {0}",
        "搜索{0}|搜一下{0}|帮我搜索{0}|查找关于{0}的信息|请搜索一下{0}|上网查一下{0}|帮我查查{0}|搜索关于{0}的资料",
    ),
    Classic(
        "send email,send mail,email,compose email,send message", (("Send an email", "发送邮件"), ("Sends an email to a recipient", "给收件人发送电子邮件")), (TO, SUBJECT, BODY), 3, ("email", "邮件"),
        "Send an email to {0} with subject {1} and body {2}.|Email {0} with the subject '{1}' and the message '{2}'|Send {0} an email, subject \"{1}\", body \"{2}\"|Please send an email to {0} with the subject {1} saying {2}|Write to {0}: subject {1}, text {2}|send an email to {0} about {1} saying {2}|email to {0}, subject: {1}, body: {2}",
        "给{0}发邮件，主题是{1}，内容是{2}|发一封邮件给{0}，主题：{1}，正文：{2}|请给{0}发送邮件，标题为“{1}”，内容为“{2}”|帮我发邮件到{0}，主题{1}，正文{2}", True,
    ),
    Classic(
        "send message,send sms,text,notify,message", (("Send a message to a person", "发送消息"), ("Send a text message", "发短信")), (WHO, BODY), 2, ("message", "消息"),
        "Send a message to {0}: {1}|Text {0} {1}|Tell {0} {1}|Send {0} the message '{1}'|Message {0} saying {1}|send {0} a text saying \"{1}\"", "给{0}发消息：{1}|告诉{0}{1}|给{0}发短信说{1}|发消息给{0}，内容是{1}", True,
    ),
    Classic(
        "convert currency,currency converter,exchange,convert money,convert", (("Convert an amount between currencies", "货币换算"), ("Currency conversion", "将金额从一种货币换算为另一种"), ("Convert money from one currency to another", "汇率转换")), (AMOUNT, FROM, INTO), 3, ("converted amount", "换算结果"),
        "Convert {0} {1} to {2}.|How much is {0} {1} in {2}?|{0} {1} to {2}|What is {0} {1} in {2}?|Exchange {0} {1} into {2}|convert {0} {1} into {2} please|I have {0} {1}, how much is that in {2}?|change {0} {1} to {2}|How many {2} is {0} {1}?",
        "把{0}{1}换成{2}|{0}{1}等于多少{2}？|{0}{1}是多少{2}|将{0} {1}兑换成{2}|{0} {1}换算成{2}|{0}{1}能换多少{2}？",
    ),
    Classic(
        "set timer,start timer,timer,set a timer,countdown", (("Set a timer", "设置计时器"), ("Start a countdown timer", "开始倒计时")), (MINUTES,), 1, ("timer", "计时器"),
        "Set a timer for {0} minutes.|Timer {0} minutes|Start a timer for {0} minutes|set a {0} minute timer|Please set a timer for {0} minutes|{0} minutes timer please|remind me in {0} minutes|wake me up in {0} minutes|countdown of {0} minutes",
        "设置{0}分钟的计时器|定时{0}分钟|{0}分钟后提醒我|帮我计时{0}分钟|开始{0}分钟倒计时|设一个{0}分钟的定时器", True,
    ),
    Classic(
        "set alarm,create alarm,alarm", (("Set an alarm", "设置闹钟"),), (TIME,), 1, ("alarm", "闹钟"),
        "Set an alarm for {0}.|Wake me up at {0}|alarm at {0}|Please set an alarm for {0}|I need an alarm at {0}", "设置{0}的闹钟|{0}叫醒我|帮我定一个{0}的闹钟|闹钟{0}", True,
    ),
    Classic(
        "get stock price,stock price,get quote,stock quote", (("Get the price of a stock", "查询股价"), ("Latest stock price by ticker", "获取股票价格")), (SYMBOL,), 1, ("stock price", "股价"),
        "What is the stock price of {0}?|stock price of {0}|How much is {0} stock?|{0} stock price|Get the price of {0}|quote for {0}|What's {0} trading at?", "{0}的股价是多少？|查一下{0}的股票价格|{0}股价|{0}股票现在多少钱？",
    ),
    Classic(
        "translate,translate text,translation", (("Translate text", "翻译文本"), ("Translate a text into a language", "把文本翻译成指定语言")), (TEXT, LANGUAGE), 2, ("translation", "译文"),
        "Translate {0} into {1}.|Translate '{0}' to {1}|How do you say {0} in {1}?|translate \"{0}\" into {1} please|What is {0} in {1}?", "把{0}翻译成{1}|将“{0}”翻译为{1}|{0}用{1}怎么说？|翻译{0}，语言是{1}",
    ),
    Classic(
        "random number,get random number,roll,pick number", (("Pick a random number", "生成随机数"),), (LOW, HIGH), 2, ("random number", "随机数"),
        "Give me a random number between {0} and {1}.|random number from {0} to {1}|Pick a number between {0} and {1}|roll a number from {0} to {1}", "给我一个{0}到{1}之间的随机数|生成{0}到{1}的随机数|从{0}到{1}随便选一个数",
    ),
    Classic(
        "get order status,order status,track order,check order", (("Get the status of an order", "查询订单状态"),), (ORDER,), 1, ("order status", "订单状态"),
        "Where is my order {0}?|What is the status of order {0}?|Track order {0}|order status of {0}|Check my order {0} please", "我的订单{0}在哪里？|查询订单{0}的状态|订单{0}到哪了？|订单号{0}，查一下状态",
    ),
    Classic(
        "book flight,search flights,find flights,get flights", (("Find flights", "查询航班"), ("Book a flight between two cities", "预订机票")), (ORIGIN, GOAL, DATE), 2, ("flight", "航班"),
        "Find flights from {0} to {1}.|Book a flight from {0} to {1} {2}|flights from {0} to {1} {2}|I want to fly from {0} to {1}|I need a flight from {0} to {1} {2}", "查一下从{0}到{1}的航班|预订{2}从{0}到{1}的机票|从{0}飞到{1}的航班|我要{2}从{0}去{1}", True,
    ),
    Classic(
        "create reminder,set reminder,add reminder,remind", (("Create a reminder", "创建提醒"),), (NAME, TIME), 1, ("reminder", "提醒"),
        "Remind me about {0} at {1}.|Remind me of {0}|Set a reminder for {0} at {1}|reminder: {0} at {1}", "{1}提醒我{0}|设置提醒：{0}|提醒我{0}，时间是{1}", True,
    ),
    Classic(
        "create event,add event,create calendar event,schedule meeting", (("Create a calendar event", "创建日历事件"), ("Schedule a meeting", "安排会议")), (NAME, DATE, TIME), 2, ("calendar event", "日历事件"),
        "Create an event called {0} on {1} at {2}.|Add {0} to my calendar on {1}|Schedule a meeting about {0} for {1} at {2}|Put {0} in the calendar for {1}", "在{1}{2}创建一个日历事件：{0}|把{0}加到{1}的日历|{1}安排会议，主题是{0}", True,
    ),
    Classic(
        "get news,news,latest news,search news", (("Get the latest news", "获取新闻"),), (TOPIC,), 0, ("news", "新闻"),
        "What's in the news?|Show me the latest news|Any news about {0}?|News about {0} please|latest news on {0}|What is new in {0}?", "有什么新闻？|最近有什么关于{0}的新闻？|{0}的新闻|看看今天的新闻|查找{0}的最新新闻",
    ),
    Classic(
        "get recipe,find recipe,recipe", (("Find a recipe", "查找菜谱"),), (FOOD,), 1, ("recipe", "菜谱"),
        "How do I make {0}?|Recipe for {0}|Give me a recipe for {0}.|How do I cook {0}?|I want to cook {0}", "{0}怎么做？|给我{0}的菜谱|我想做{0}|查一下{0}的做法",
    ),
    Classic(
        "turn on light,set light,switch light,light control,toggle light", (("Switch the light in a room", "控制房间的灯"),), (ROOM, SWITCH), 2, ("light", "灯"),
        "Turn {1} the light in the {0}.|Switch {1} the {0} light|Turn the {0} light {1}|Please turn {1} the lights in the {0}|{0} light {1}", "{1}{0}的灯|请{1}{0}的灯|把{0}的灯{1}|帮我{1}{0}灯", True,
    ),
    Classic(
        "set temperature,set thermostat,thermostat", (("Set the thermostat", "设置室温"),), (DEGREES,), 1, ("thermostat", "恒温器"),
        "Set the temperature to {0} degrees.|Make it {0} degrees|thermostat to {0}|Please set the thermostat to {0}", "把温度调到{0}度|室温设为{0}度|空调设置成{0}度", True,
    ),
    Classic(
        "get joke,tell joke,joke,random joke", (("Get a random joke", "讲一个笑话"),), (), 0, ("joke", "笑话"),
        "Tell me a joke.|joke please|Do you know a joke?|Make me laugh|I want to hear a joke", "讲个笑话|给我讲一个笑话吧|来个笑话",
    ),
    Classic(
        "get distance,distance,distance between", (("Distance between two places", "两地之间的距离"),), (ORIGIN, GOAL), 2, ("distance", "距离"),
        "How far is it from {0} to {1}?|distance from {0} to {1}|What is the distance between {0} and {1}?|How far is {1} from {0}?", "从{0}到{1}有多远？|{0}到{1}的距离|{0}和{1}相距多远？",
    ),
)  # fmt: skip


def classic_tool(draw: Draw, classic: Classic | None = None) -> Tool:
    """One of the classics, with one of its names and a fresh declaration."""
    classic = classic or draw.choices(CLASSICS, [4 if i < 13 else 1.5 for i in range(len(CLASSICS))])[0]
    taken: set[str] = set()
    parameters = []
    for slot in classic.slots:
        words = draw.choice([name for name in slot.names.split(",") if name not in taken])
        taken.add(words)
        schema = {"type": slot.type, "enum": list(slot.enum)} if slot.enum else {**STRING, "type": slot.type}
        parameters.append(Parameter(words, slot.about, schema, slot.draw))
    shown = len(parameters) if draw.chance(0.6) else classic.required
    slots = [p.words.replace(" ", "_") for p in parameters]
    numbered = dict(enumerate(slots[:shown]))
    templates: dict[Language, Sequence[str]] = {}
    languages: tuple[Language, Language] = ("en", "zh")
    for lang in languages:
        lines = (classic.en if lang == "en" else classic.zh).split("|")
        usable = [line for line in lines if not any(f"{{{i}}}" in line for i in range(shown, len(slots)))]
        templates[lang] = [_with_names(line, numbered) for line in usable]
    parameters = parameters[:shown]
    required = {p.words for p in parameters[: classic.required]}
    about = draw.choice(classic.about)[draw.chance(0.3)] if draw.chance(0.95) else ""
    style = draw.choices(["snake", "camel", "pascal", "kebab"], [78, 16, 3, 3])[0]
    name = draw.choice(classic.names.split(","))
    verb = (name.split()[0], "")
    return build_tool(draw, name, verb, classic.topic, classic.action, parameters, required, about, style, templates)


def _with_names(line: str, numbered: dict[int, str]) -> str:
    for index, name in numbered.items():
        line = line.replace(f"{{{index}}}", "{" + name + "}")
    return line
