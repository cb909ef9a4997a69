import time

import pytest
from django.template import Context, Template

from curation import rendering
from curation.rendering import MARKDOWN_CHARS, SHOWN_CHARS, render_markdown, text_of


def test_markdown_tables_code_and_emphasis_are_rendered():
    html = render_markdown("| a | b |\n|---|:-:|\n| 1 | 2 |\n\n```python\nx < 1\n```\n\n**bold** ~~gone~~")
    assert "<table>" in html
    assert '<td align="center">2</td>' in html
    assert '<code class="language-python">x &lt; 1' in html
    assert "<strong>bold</strong> <s>gone</s>" in html


def test_line_breaks_stay_and_headings_go_below_the_pages_own():
    assert render_markdown("one\ntwo") == "<p>one<br>\ntwo</p>\n"
    assert render_markdown("# Title") == "<h3>Title</h3>\n"
    assert render_markdown("###### deep") == "<h6>deep</h6>\n"


def test_formulas_keep_their_backslashes_and_code_is_left_alone():
    assert (
        render_markdown(r"\(x_1\) and \[y\]")
        == '<p><code class="math">\\(x_1\\)</code> and <code class="math">\\[y\\]</code></p>\n'
    )
    assert r"an open \( and \] stay" in render_markdown(r"an open \( and \] stay")
    assert r"<code>\(</code>" in render_markdown(r"`\(`")
    assert render_markdown(r"\*not bold\*") == "<p>*not bold*</p>\n"


@pytest.mark.parametrize(
    "formula",
    [r"$x_1 * y_1 * z_1$", r"$\{a, b\}$", r"\(a_1 * b_1 * c_1\)", r"$$\sum_i x_i * y_i$$", r"\[\left[a\right]\]", r"$\$5_a 6_a$"],
)
def test_markdown_changes_nothing_within_a_formula(formula):
    assert f'<code class="math">{formula}</code>' in render_markdown(f"We have {formula} *so*.")


@pytest.mark.parametrize(
    "display",
    [
        "\\[\n\\begin{aligned}\na_1 &= b_1 \\\\\n- c_* &= d_*e_*\n\\end{aligned}\n\\]",
        "$$\n\\int_0^1 x^2 \\, dx\n= 1\n$$",
        "\\begin{align*}\n1. a_1 \\\\\n\\end{align*}",
    ],
)
def test_a_displayed_formula_keeps_its_lines(display):
    html = render_markdown(f"Then\n{display}\nholds, *really*.")
    assert f'<pre class="math"><code>{display.replace("&", "&amp;")}' in html
    assert "<em>really</em>" in html


def test_prices_are_no_formulas():
    assert render_markdown("It cost $5 and $10, *not* $20.") == "<p>It cost $5 and $10, <em>not</em> $20.</p>\n"
    assert "math" not in render_markdown("$5-$6, `a$b` or $ x $ and $$ alone")


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<javascript:alert(1)>",
        "![x](https://example.org/track.png)",
        "<style>body{display:none}</style>",
        '[x](https://example.org "onmouseover=alert(1)")',
        '```"><script>alert(1)</script>\nx\n```',
        "<iframe src=//evil></iframe>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_no_hostile_text_becomes_an_element_or_a_handler(hostile):
    html = render_markdown(hostile)
    for element in ("<script", "<img", "<style", "<iframe", 'href="javascript', 'href="data', " onmouseover=alert", " style="):
        assert element not in html.replace('title="onmouseover', "")


def test_links_open_elsewhere_and_tell_the_target_nothing():
    html = render_markdown("[x](https://example.org)")
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_long_texts_are_shown_plain_and_very_long_ones_are_cut_with_a_note():
    long = render_markdown("**x** " * MARKDOWN_CHARS)
    assert long.startswith('<pre class="plain">**x** ')
    cut = render_markdown("y" * (SHOWN_CHARS + 1))
    assert len(cut) < SHOWN_CHARS + 200
    assert "400,001 characters" in cut


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "*a ",
        "_a",
        "> ",
        "`",
        "- ",
        "|",
        "![](",
        "<",
        "&",
        "\\",
        "a](",
        "**a*",
        "1. ",
        "~~",
        "[a](b",
        "\n|",
        "```\n",
        "$a ",
        "$$a",
        "$$\n",
        "\\(",
        "\\[\n",
        "> \\[\n",
        "\\begin{a}\n",
    ],
)
def test_no_pattern_makes_rendering_slow(piece):
    text = (piece * MARKDOWN_CHARS)[:MARKDOWN_CHARS]
    started = time.perf_counter()
    render_markdown(text)
    assert time.perf_counter() - started < 2


def test_broken_unicode_does_not_stop_the_page():
    assert "?" in render_markdown("a \ud800 b")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "assistant", "content": "hi"}], "hi"),
        ([{"role": "assistant", "content": None}], ""),
        ([{"role": "assistant", "content": True}], "True"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}]}],
            "see\n\n[image_url]",
        ),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "user: a\n\nassistant: b"),
        ([], ""),
    ],
)
def test_the_text_of_messages(messages, text):
    assert text_of(messages) == text


def conversation(messages):
    return Template("{% load content %}{% conversation messages %}").render(Context({"messages": messages}))


def test_a_conversation_folds_earlier_turns_and_emphasises_the_last_question():
    turns = [{"role": "system", "content": "Be brief."}]
    turns += [{"role": role, "content": f"{role} {n}"} for n in range(4) for role in ("user", "assistant")]
    html = conversation([*turns, {"role": "user", "content": "the question"}])
    assert "8 earlier turns" in html
    assert "System prompt" in html
    assert html.index("chat-last") < html.index("the question")
    assert html.count("the question") == 1


def test_a_conversation_of_odd_messages_is_still_shown():
    assert "(no prompt)" in conversation([])
    assert "(empty)" in conversation([{"role": "user", "content": " "}])
    html = conversation([{"role": '"><script>', "content": "x"}])
    assert "<script>" not in html


def test_rendering_is_remembered():
    before = rendering.render_markdown.cache_info().hits
    render_markdown("the same text")
    render_markdown("the same text")
    assert rendering.render_markdown.cache_info().hits == before + 1
