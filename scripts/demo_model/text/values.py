"""Values as people say them: words, names, texts, dates, numbers, codes and addresses."""

from __future__ import annotations

from collections.abc import Sequence

from .draw import Draw
from .words import ADJECTIVES, CITIES, DAYS, HANZI, MONTHS, PEOPLE, SENTENCES, THINGS, Language, Pair


def of(bank: Sequence[Pair], draw: Draw, lang: Language) -> str:
    """A word of a bank, in one language, or an invented one."""
    if draw.invents(0.25):
        return draw.syllables(1, 3) if lang == "en" else draw.hanzi(HANZI, 1, 3)
    return draw.word(bank)[lang == "zh"]


def place_name(draw: Draw, lang: Language) -> str:
    """A city, real or invented."""
    if lang == "en" and draw.chance(0.06):
        return f"{draw.word(CITIES)[0]}, {draw.choice(['CA', 'NY', 'MA', 'UK', 'FR', 'TX', 'WA', 'DE', 'CN'])}"
    if draw.chance(0.7):
        return of(CITIES, draw, lang)
    if lang == "zh":
        return draw.hanzi(HANZI, 2, 4) + draw.choice(["", "", "市", "县", "镇"])
    name = draw.syllables().capitalize()
    return draw.choice(["", "", "", "", "New ", "Port ", "San ", "North "]) + name


def person_name(draw: Draw, lang: Language) -> str:
    """A person's name, from the bank or invented."""
    if draw.chance(0.7):
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
