"""Formulas in Markdown: what is one, what is none, and that neither a list nor a hostile text breaks out of it."""

from __future__ import annotations

import pytest

from chatglm_server.markdown.blocks import rendered
from chatglm_server.markdown.formulas import MAX_FORMULA
from chatglm_server.markdown.mathml import kept_value


def html(text: str) -> str:
    return "".join(block["html"] for block in rendered(text))


@pytest.mark.parametrize(
    "text", [r"\(x^2\)", "$x^2$", "**$x^2$**", "是$x^2$。", "a $x^2$, b", "- $x^2$", "| $x^2$ |\n|---|"]
)
def test_a_formula_in_a_line(text: str) -> None:
    shown = html(text)
    assert shown.count("<math") == 1
    assert 'display="block"' not in shown
    assert "<msup>" in shown


@pytest.mark.parametrize(
    "text",
    [
        r"\[x^2\]",
        "$$x^2$$",
        "\\[\nx^2\n\\]",
        "$$\nx^2\n$$",
        "so\n\\[\nx^2\n\\]\nthen",
        "1. so\n   \\[\n   x^2\n   \\]",
        "> $$\n> x^2\n> $$",
    ],
)
def test_a_displayed_formula(text: str) -> None:
    shown = html(text)
    assert shown.count("<math") == 1
    assert 'display="block"' in shown
    assert "<msup>" in shown
    assert "\\" not in shown and "$" not in shown


@pytest.mark.parametrize(
    "text",
    [
        *(
            "It costs $5 or $6.",
            "US$5 or HK$6$",
            "echo $HOME/$USER",
            "$ x $",
            "$x",
            "$$x",
            "a $ b $ c",
            "`$x$`",
            "```\n$x$\n```",
        ),
        *(
            r"\$x\$",
            r"\(x",
            r"\[x",
            r"\\(x\\)",
            "\\[\nx\n\ny\n\\]",
            "$x\ny$",
            "$$",
            "$$$$",
            r"\(\)",
            "    \\[\n    x\n    \\]",
        ),
    ],
)
def test_what_is_no_formula(text: str) -> None:
    assert "<math" not in html(text)


@pytest.mark.parametrize("line", ["- b", "+ b", "> 0", "# b", "1. b", "---", "===", "* b"])
def test_lines_of_a_formula_are_nothing_else(line: str) -> None:
    (block,) = rendered(f"\\[\na\n{line}\n\\]")
    assert block["html"].startswith("<p>")


def test_a_formula_that_never_ends_takes_its_paragraph_only() -> None:
    blocks = rendered("\\[\n- a\n```\ncode\n```\n\n$$\n- b\n\n- c")
    assert [block["html"][:4] for block in blocks] == ["<p>[", "<pre", "<p>$", "<ul>"]


def test_what_cannot_be_drawn_is_shown_as_it_is_written() -> None:
    assert html(r"\(\frac{1}\)") == "<p><code>\\frac{1}</code></p>\n"
    assert html("\\[\n\\frac{<b>}\n\\]") == "<p><code>\\frac{&lt;b&gt;}</code></p>\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("\\(" * 32_000, 0), ("\\(" * 31_000 + "\\)", 0), ("\\(" * 8_000 + "\\\\)" * 8_000, 0), ("$" * 65_000, 0)),
        *(
            ("$x " * 20_000, 0),
            ("\\[\n" * 20_000, 0),
            ("$a$ " * 16_000, 16_000),
            ("$" + "{" * 1_400 + "x" + "}" * 1_400 + "$", 1),
        ),
        *(("$" + "x^{" * 700 + "x" + "}" * 700 + "$", 1), ("$" + r"\sqrt " * 490 + "x$", 1), (r"$\def\a{\a\a}\a$", 0)),
        *(("$" + r"\left(" * 200 + r"\right)" * 200 + "$", 1), ("$" + "x" * MAX_FORMULA + "$", 0)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_many_and_deep_formulas(text: str, count: int) -> None:
    assert html(text).count("<math") == count


def test_no_length_reaches_out_of_a_formula() -> None:
    for length in ("-90em", "999em", "1e9em", "90000px"):
        assert "width" not in html(rf"$a\hspace{{{length}}}b$")
    assert kept_value("mspace", "width", "-90em") is kept_value("mo", "lspace", "-1.5em") is None
    assert kept_value("mo", "lspace", "-0.1667em") == "-0.1667em"
    assert kept_value("a", "href", "http://e/") == "http://e/"
    assert 'width="2em"' in html(r"$a\hspace{2em}b$")


def test_columns_have_classes_in_place_of_styles() -> None:
    shown = html("\\[\n\\begin{align}\na &= b \\tag{1}\\\\\nc &= d\n\\end{align}\n\\]")
    assert shown.count('class="right close-right"') == shown.count('class="left close-left"') == 2
    assert " style=" not in shown
    assert 'mathcolor="#FF0000"' in html(r"$\color{red}{x}$")
