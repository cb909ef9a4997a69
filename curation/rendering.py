"""Hostile text to safe HTML: markdown without raw HTML, then an allow-list, both bounded."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

# Longer texts are shown as they are, without markdown; longer still, they are cut and the reader is told.
MARKDOWN_CHARS = 40_000
SHOWN_CHARS = 400_000

TAGS = {
    "p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li",
    "a", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}, "pre": {"class"}, "th": {"align"}, "td": {"align"}}
SCHEMES = {"http", "https", "mailto"}


# A formula ends within so much, or it is none: an unpaired mark must not swallow the text, nor cost time.
MATH_CHARS = 2_000
MATH_LINES = 40
MATH_MARKS = {r"\(": r"\)", r"\[": r"\]", "$$": "$$"}
MATH_BEGIN = re.compile(r"\\begin\{([a-zA-Z]{1,20}\*?)\}")


def formula_end(text: str, start: int, stop: int) -> int:
    """Just after the formula that begins at `start`; 0 where none does.

    Single dollars follow pandoc, so that prices stay prices: no space just inside them, and no digit after the second.
    """
    stop = min(stop, start + MATH_CHARS)
    closer = MATH_MARKS.get(text[start : start + 2])
    if closer:
        end = text.find(closer, start + 2, stop)
        return end + 2 if end > 0 else 0
    if text[start] != "$" or text[start + 1 : start + 2].isspace():
        return 0
    end = text.find("$", start + 1, stop)
    while end > 0 and text[end - 1] == "\\":
        end = text.find("$", end + 1, stop)
    if end <= start + 1 or text[end - 1].isspace() or text[end + 1 : end + 2].isdigit() or "`" in text[start:end]:
        return 0
    return end + 1


def keep_formula(state: StateInline, silent: bool) -> bool:
    """A formula within a line of text, exactly as written."""
    end = formula_end(state.src, state.pos, state.posMax)
    if not end:
        return False
    if not silent:
        token = state.push("code_inline", "code", 0)
        token.attrs, token.content = {"class": "math"}, state.src[state.pos : end]
    state.pos = end
    return True


def formula_lines(state: StateBlock, start: int, end: int) -> int:
    """The line after the displayed formula that begins in line `start`; 0 where none does."""

    def line(number: int) -> str:
        return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]

    first = line(start)
    begun = MATH_BEGIN.match(first)
    closer = f"\\end{{{begun[1]}}}" if begun else MATH_MARKS.get(first[:2], "") if first[:2] != r"\(" else ""
    if not closer:
        return 0
    for number in range(start, min(end, start + MATH_LINES)):
        text = line(number)
        if not text or state.sCount[number] < state.blkIndent:
            return 0
        at = text.find(closer, 2 if number == start else 0)
        if at >= 0:
            return 0 if text[at + len(closer) :].strip(" .,;:") else number + 1
    return 0


def keep_display(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula on lines of its own, exactly as written: its lines are no list, no table and no heading."""
    after = 0 if state.is_code_block(start) else formula_lines(state, start, end)
    if not after:
        return False
    if not silent:
        token = state.push("code_block", "code", 0)
        token.attrs, token.content = {"class": "math"}, state.getLines(start, after, state.blkIndent, False) + "\n"
        token.map, state.line = [start, after], after
    return True


def keep_math_backslash(state: StateInline, silent: bool) -> bool:
    r"""Leave an unpaired \( \) \[ \] as written, too."""
    mark = state.src[state.pos : state.pos + 2]
    if mark not in (r"\(", r"\)", r"\[", r"\]"):
        return False
    if not silent:
        state.pending += mark
    state.pos += 2
    return True


def engine() -> MarkdownIt:
    # Line breaks are kept as written: much of what is judged here is plain text that relies on them.
    built = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    built.disable(["image", "html_block", "html_inline"])
    built.inline.ruler.before("escape", "math_backslash", keep_math_backslash)
    built.inline.ruler.before("math_backslash", "formula", keep_formula)
    built.block.ruler.before("fence", "display", keep_display, {"alt": ["paragraph", "blockquote", "list"]})
    return built


ENGINE = engine()


def lowered(token: Token) -> Token:
    """A heading two levels down: the page itself owns h1 and h2."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    elif token.type in ("th_open", "td_open") and "style" in token.attrs:
        token.attrs = {"align": str(token.attrs["style"]).removeprefix("text-align:")}  # inline style is refused by the CSP
    return token


def clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},  # a link followed must not close an unfinished answer
    )


@lru_cache(maxsize=256)
def render_markdown(text: str) -> SafeString:
    """Safe HTML of a text in markdown. Raw HTML in it shows as text; images become links; nothing is loaded."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) > MARKDOWN_CHARS:
        return plain(text)
    tokens = [lowered(token) for token in ENGINE.parse(text)]
    return mark_safe(clean(ENGINE.renderer.render(tokens, ENGINE.options, {})))  # noqa: S308


def plain(text: str) -> SafeString:
    """The text as it is, in one block that keeps its line breaks."""
    cut = text[:SHOWN_CHARS]
    note = (
        f'<p class="cut">Shown are the first {SHOWN_CHARS:,} of {len(text):,} characters.</p>' if len(text) > SHOWN_CHARS else ""
    )
    return mark_safe(f'<pre class="plain">{escape(cut)}</pre>{note}')  # noqa: S308


def content_text(content: Any) -> str:
    """The text of one message's content: a string, or a list of parts of which images become a placeholder."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n\n".join(part_text(part) for part in content)
    return "" if content is None else str(content)


def part_text(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    if isinstance(part.get("text"), str):
        return str(part["text"])
    return f"[{part.get('type', 'part')}]"


def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """All messages as one text: the content alone where there is one message, else each after its role."""
    if len(messages) == 1:
        return content_text(messages[0].get("content"))
    return "\n\n".join(f"{message.get('role', '')}: {content_text(message.get('content'))}" for message in messages)
