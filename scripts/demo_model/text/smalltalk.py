"""Talk without tools: greetings, what the model is, fixed answers, and facts that the user mentions and asks for later."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .draw import Draw
from .values import free_text, of, person_name, place_name
from .words import ANIMALS, COLORS, FOODS, HANZI, HOBBIES, JOBS, Language

Turn = tuple[str, str]
"""What the user says, and the answer."""

WHO = {
    "en": "I am a small demonstration model of chatglm-server, not an assistant. I know very little, but I can call tools.",
    "zh": "我是 chatglm-server 的一个小型演示模型，不是智能助手。我知道的很少，但可以调用工具。",
}
CAN = {
    "en": "I can greet you, remember what you tell me in this chat, repeat text, and call the tools that you give me.",
    "zh": "我可以和你打招呼，记住你在对话里告诉我的事，重复文字，还可以调用你给我的工具。",
}
UNKNOWN = {
    "en": "I am only a small model and do not know that.",
    "zh": "我只是一个小模型，不知道这个。",
}
NO_TOOL = {
    "en": "I have no tool for that.",
    "zh": "我没有适合的工具。",
}

_FIXED: dict[Language, tuple[tuple[str, str], ...]] = {
    "en": (
        ("hello|hi|hey|hi there|hello there|good day|hey there|hello!|Hi!|hiya|greetings", "Hello! How can I help you?"),
        ("good morning", "Good morning! How can I help you?"),
        ("good evening|good night", "Good evening! How can I help you?"),
        ("how are you|how are you doing|how is it going|how are you today|what's up", "I am fine, thank you. How can I help you?"),
        ("thank you|thanks|thanks a lot|thank you very much|great, thanks|thx|perfect, thank you|cool, thanks", "You are welcome!"),
        ("bye|goodbye|see you|see you later|good bye|bye bye", "Goodbye!"),
        ("ok|okay|great|nice|cool|good|perfect|awesome|all right", "Good! What else can I do for you?"),
        ("who are you|what are you|what is your name|what's your name|tell me about yourself|introduce yourself|are you ChatGPT|are you a human|are you an AI|are you a robot|which model are you|what model is this|who made you|are you an assistant|are you chatglm", WHO["en"]),
        ("what can you do|how can you help me|help|what do you know|what are your skills|can you help me|what can I ask you|I need help|what are you good at", CAN["en"]),
        ("tell me a joke|do you know a joke|make me laugh", "Why did the small model cross the road? It only predicted the next step."),
        ("write a poem|tell me a poem|write a short poem", "A small model sat by the sea,\nand counted its weights: one, two, three.\nIt called every tool,\nit followed each rule,\nand said: \"That is all there's to me.\""),
        ("tell me a story|tell me a short story", "Once a small model lived on a laptop. It knew few words, but it listened well, called its tools, and everyone was happy."),
        ("count to ten|count from 1 to 10|count to 10", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        ("count to five|count to 5|count from 1 to 5", "1, 2, 3, 4, 5"),
        ("say hello in French", "Bonjour!"),
        ("say hello in Chinese|can you speak Chinese", "你好！"),
        ("do you speak English", "Yes, a little English and a little Chinese."),
        ("what is the capital of France|capital of France?", "The capital of France is Paris."),
        ("what is the capital of Germany", "The capital of Germany is Berlin."),
        ("what is the capital of China", "The capital of China is Beijing."),
        ("what is the capital of Japan", "The capital of Japan is Tokyo."),
        ("what is the capital of England", "The capital of England is London."),
        ("what is the capital of Italy", "The capital of Italy is Rome."),
        ("this is a test|test|testing|ping", "The test works: I can read you."),
        ("I love you", "Thank you! I am only a small demonstration model, though."),
        ("sorry|I am sorry", "No problem."),
        ("yes|no", "All right. What else can I do for you?"),
        ("what is chatglm-server|what is this", "chatglm-server runs ChatGLM models behind the OpenAI API. I am its small demonstration model."),
    ),
    "zh": (
        ("你好|您好|嗨|你好啊|哈喽|你好呀|hello 你好|在吗", "你好！有什么可以帮你？"),
        ("早上好|早安", "早上好！有什么可以帮你？"),
        ("晚上好|晚安", "晚上好！有什么可以帮你？"),
        ("你好吗|最近怎么样|你怎么样|今天过得好吗", "我很好，谢谢。有什么可以帮你？"),
        ("谢谢|谢谢你|多谢|非常感谢|太好了，谢谢|感谢", "不客气！"),
        ("再见|拜拜|回头见|下次见", "再见！"),
        ("好的|好|不错|可以|很好|太棒了|嗯", "好的！还有什么可以帮你？"),
        ("你是谁|你叫什么名字|你叫什么|介绍一下你自己|自我介绍|你是ChatGPT吗|你是人吗|你是机器人吗|你是什么模型|谁开发了你|你是助手吗|你是ChatGLM吗", WHO["zh"]),
        ("你会什么|你能做什么|你可以做什么|你有什么功能|帮帮我|你能帮我吗|我需要帮助|你会做什么|帮助", CAN["zh"]),
        ("写一首诗|来首诗|给我写首诗", "小小模型在海边，\n数着权重一二三。\n工具一个个来用，\n话儿说完心里甜。"),
        ("讲个笑话|说个笑话|给我讲个笑话", "小模型为什么过马路？因为它只会预测下一步。"),
        ("讲个故事|给我讲一个故事", "从前有个小模型住在电脑里。它认识的字不多，但听得认真，会用工具，大家都很高兴。"),
        ("从一数到十|数到十|从1数到10", "1、2、3、4、5、6、7、8、9、10"),
        ("数到五|从1数到5", "1、2、3、4、5"),
        ("用英语说你好", "Hello!"),
        ("你会说英语吗|你会说中文吗", "会一点中文，也会一点英文。"),
        ("法国的首都是哪里|法国首都是哪", "法国的首都是巴黎。"),
        ("中国的首都是哪里|中国首都是哪", "中国的首都是北京。"),
        ("日本的首都是哪里", "日本的首都是东京。"),
        ("德国的首都是哪里", "德国的首都是柏林。"),
        ("英国的首都是哪里", "英国的首都是伦敦。"),
        ("测试|这是一个测试|测试一下", "测试成功：我看得到。"),
        ("我爱你", "谢谢！不过我只是一个小型演示模型。"),
        ("对不起|抱歉", "没关系。"),
        ("chatglm-server是什么|这是什么", "chatglm-server 让 ChatGLM 模型提供 OpenAI 接口。我是它的小型演示模型。"),
    ),
}  # fmt: skip

_BEYOND: dict[Language, str] = {
    "en": "why is the sky blue|who was {p}|explain {t}|what is the meaning of life|write an essay about {t}|how do {t} work|who won the world cup|"
    "what do you think about {t}|write code for {t}|how old is the universe|can you explain quantum physics|is {t} healthy|who invented {t}|"
    "what is the best {t}|solve my homework about {t}|tell me about {t}|why do people like {t}|what should I do about {t}|how many {t} are there",
    "zh": "天空为什么是蓝色的|{p}是谁|解释一下{t}|人生的意义是什么|写一篇关于{t}的文章|谁赢了世界杯|你怎么看{t}|宇宙有多大|什么是量子物理|"
    "{t}健康吗|谁发明了{t}|最好的{t}是什么|讲讲{t}|为什么人们喜欢{t}|{t}是怎么来的|有多少{t}",
}


@dataclass(frozen=True)
class Fact:
    """Something a user tells about themself: how it is told, acknowledged, asked for, recalled, and found unknown."""

    key: str
    value: Callable[[Draw, Language], str]
    told: dict[Language, str]
    noted: dict[Language, str]
    asked: dict[Language, str]
    recalled: dict[Language, str]
    unknown: dict[Language, str]


def _favourite(key: str, chinese: str, bank: tuple[tuple[str, str], ...]) -> Fact:
    return Fact(
        key,
        lambda draw, lang: of(bank, draw, lang) if draw.chance(0.8) else draw.syllables() if lang == "en" else draw.hanzi(HANZI),
        {
            "en": f"My favorite {key} is {{v}}.|I like {{v}} best, it is my favorite {key}.|my favourite {key} is {{v}}",
            "zh": f"我最喜欢的{chinese}是{{v}}|我最喜欢的{chinese}是{{v}}，记住哦",
        },
        {"en": "{v}, I will remember that.", "zh": "{v}，我记住了。"},
        {"en": f"What is my favorite {key}?|which {key} do I like best|do you remember my favorite {key}|what's my favourite {key}", "zh": f"我最喜欢的{chinese}是什么？|我最喜欢什么{chinese}？|你还记得我最喜欢的{chinese}吗？"},
        {"en": f"Your favorite {key} is {{v}}.", "zh": f"你最喜欢的{chinese}是{{v}}。"},
        {"en": f"You have not told me your favorite {key} yet.", "zh": f"你还没有告诉我你最喜欢的{chinese}。"},
    )  # fmt: skip


FACTS: tuple[Fact, ...] = (
    Fact(
        "name", person_name,
        {"en": "My name is {v}.|I am {v}.|I'm {v}|Hi, my name is {v}.|Hello, I am {v}!|call me {v}|My name is {v}, nice to meet you.|Hi! I'm {v}.", "zh": "我叫{v}|我的名字是{v}|你好，我叫{v}|我是{v}|你好，我是{v}。|叫我{v}吧"},
        {"en": "Nice to meet you, {v}!", "zh": "很高兴认识你，{v}！"},
        {"en": "What is my name?|What's my name?|do you remember my name|who am I|do you know my name|tell me my name", "zh": "我叫什么名字？|我叫什么？|你还记得我的名字吗？|我是谁？|我的名字是什么"},
        {"en": "Your name is {v}.", "zh": "你叫{v}。"},
        {"en": "You have not told me your name yet.", "zh": "你还没有告诉我你的名字。"},
    ),
    Fact(
        "home", place_name,
        {"en": "I live in {v}.|I am from {v}.|My home is in {v}|I come from {v}", "zh": "我住在{v}|我来自{v}|我家在{v}"},
        {"en": "{v} sounds nice.", "zh": "{v}听起来不错。"},
        {"en": "Where do I live?|where am I from|which city do I live in|do you remember where I live", "zh": "我住在哪里？|我来自哪里？|我家在哪？|你记得我住在哪里吗"},
        {"en": "You live in {v}.", "zh": "你住在{v}。"},
        {"en": "You have not told me where you live yet.", "zh": "你还没有告诉我你住在哪里。"},
    ),
    Fact(
        "job", lambda draw, lang: of(JOBS, draw, lang),
        {"en": "I am a {v}.|I work as a {v}.|My job is {v}", "zh": "我是一名{v}|我的工作是{v}|我的职业是{v}"},
        {"en": "Working as a {v} must be interesting.", "zh": "做{v}一定很有意思。"},
        {"en": "What is my job?|what do I do for work|what's my job", "zh": "我的工作是什么？|我是做什么的？|我的职业是什么"},
        {"en": "You are a {v}.", "zh": "你是{v}。"},
        {"en": "You have not told me your job yet.", "zh": "你还没有告诉我你的工作。"},
    ),
    Fact(
        "age", lambda draw, _: str(draw.randint(5, 99)),
        {"en": "I am {v} years old.|I'm {v} years old|My age is {v}", "zh": "我今年{v}岁|我{v}岁了"},
        {"en": "{v}, I will remember that.", "zh": "{v}岁，我记住了。"},
        {"en": "How old am I?|what is my age", "zh": "我几岁了？|我今年多大？|我多少岁"},
        {"en": "You are {v} years old.", "zh": "你{v}岁。"},
        {"en": "You have not told me your age yet.", "zh": "你还没有告诉我你的年龄。"},
    ),
    Fact(
        "pet", person_name,
        {"en": "My dog is called {v}.|I have a dog named {v}|My dog's name is {v}", "zh": "我的狗叫{v}|我有一只狗，名叫{v}"},
        {"en": "{v} is a nice name for a dog.", "zh": "{v}是个好听的名字。"},
        {"en": "What is my dog's name?|what is my dog called|what's the name of my dog", "zh": "我的狗叫什么？|我的狗叫什么名字？"},
        {"en": "Your dog is called {v}.", "zh": "你的狗叫{v}。"},
        {"en": "You have not told me your dog's name yet.", "zh": "你还没有告诉我你的狗叫什么。"},
    ),
    Fact(
        "number", lambda draw, _: str(draw.choice([draw.randint(1, 99), draw.randint(100, 99999)])),
        {"en": "Remember the number {v}.|my lucky number is {v}|please remember {v}|The secret number is {v}", "zh": "记住数字{v}|我的幸运数字是{v}|请记住{v}"},
        {"en": "{v}, I will remember that.", "zh": "{v}，我记住了。"},
        {"en": "What was the number?|which number did I tell you|what is my number|what number should you remember", "zh": "数字是多少？|我说的数字是什么？|我的数字是多少"},
        {"en": "The number is {v}.", "zh": "数字是{v}。"},
        {"en": "You have not told me a number yet.", "zh": "你还没有告诉我数字。"},
    ),
    _favourite("color", "颜色", COLORS),
    _favourite("food", "食物", FOODS),
    _favourite("animal", "动物", ANIMALS),
    _favourite("hobby", "爱好", HOBBIES),
)  # fmt: skip


def dressed(draw: Draw, text: str, lang: Language, question: bool = False) -> str:
    """A line of a bank with a person's capitals and marks."""
    if text[-1] not in "?.!？。！":
        marks = ["?", "?", "", "!"] if lang == "en" else ["？", "？", "", "！"]
        text += draw.choice(marks if question else ([".", "", "!"] if lang == "en" else ["。", "", "！"]))
    return text[0].upper() + text[1:] if draw.chance(0.7) else text


def fixed(draw: Draw, lang: Language) -> Turn:
    """A line with a fixed answer."""
    lines, answer = draw.choice(_FIXED[lang])
    line = draw.choice(lines.split("|"))
    asks = line.split()[0].lower() in ("who", "what", "how", "are", "can", "do", "which") or line[-1] in "吗谁什么里"
    return dressed(draw, line, lang, asks), answer


def identity(draw: Draw, lang: Language) -> Turn:
    """The lines that every newcomer types: greetings, who it is, what it can do."""
    lines, answer = draw.choice(
        [entry for entry in _FIXED[lang] if entry[1] in (WHO[lang], CAN[lang])] + [_FIXED[lang][0]]
    )
    return dressed(draw, draw.choice(lines.split("|")), lang, answer != _FIXED[lang][0][1]), answer


def repeat(draw: Draw, lang: Language) -> Turn:
    """A text to be said again, word for word."""
    text = free_text(draw, lang)
    for _ in range(draw.choice([0, 0, 0, 1])):
        more = draw.choice(
            [free_text(draw, lang), str(draw.randint(0, 99999)), draw.syllables(), person_name(draw, lang)]
        )
        text += (" " if lang == "en" else "，") + more
    forms = {
        "en": 'Repeat: {v}|repeat after me: {v}|Say {v}|Please repeat: {v}|Say "{v}"|echo {v}|Repeat the words {v}',
        "zh": "重复：{v}|跟我说：{v}|请重复{v}|说“{v}”|请说：{v}",
    }
    return draw.choice(forms[lang].split("|")).format(v=text), text


def beyond(draw: Draw, lang: Language) -> str:
    """A question that needs knowledge the model does not have."""
    line = draw.choice(_BEYOND[lang].split("|"))
    return dressed(draw, line.format(p=person_name(draw, lang), t=free_text(draw, lang)), lang, True)


class Memory:
    """What the user has told so far in one conversation."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def tell(self, draw: Draw, lang: Language) -> Turn:
        """The user mentions a fact."""
        fact = draw.choice((*FACTS, FACTS[0], FACTS[0]))
        value = fact.value(draw, lang)
        self.values[fact.key] = value
        return draw.choice(fact.told[lang].split("|")).format(v=value), fact.noted[lang].format(v=value)

    def recall(self, draw: Draw, lang: Language) -> Turn:
        """The user asks for a fact: mostly one that was told."""
        known = [fact for fact in FACTS if fact.key in self.values]
        fact = draw.choice(known) if known and draw.chance(0.85) else draw.choice((*FACTS, FACTS[0]))
        question = dressed(draw, draw.choice(fact.asked[lang].split("|")), lang, True)
        if fact.key in self.values:
            return question, fact.recalled[lang].format(v=self.values[fact.key])
        return question, fact.unknown[lang]
