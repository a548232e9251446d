"""Text of hostile peers and servers, and the readable form that users must see."""

from __future__ import annotations

__all__ = ["PAYLOADS", "mixed"]

PAYLOADS: tuple[tuple[str, str], ...] = (
    ("\x1b[2J\x1b[31m", "␛[2J␛[31m"),
    ("\x1b[9A\x1b[1;1HX", "␛[9A␛[1;1HX"),
    ("\x1b[?1049l\x1b[?2004l", "␛[?1049l␛[?2004l"),
    ("\x1b[6n\x1b[c\x1b[>q\x1b[?u", "␛[6n␛[c␛[>q␛[?u"),  # a terminal would type the answers
    ("\x1b[21t\x1b[0;5;9'z", "␛[21t␛[0;5;9'z"),
    ("\x1bc\x1b#8\x1b(0", "␛c␛#8␛(0"),
    ("\x1b]0;title\x07", "␛]0;title␇"),
    ("\x1b]2;title\x1b\\z", "␛]2;title␛"),
    ("\x1b]8;;evil\x07x\x1b]8;;\x07", "␛]8;;evil␇x"),
    ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
    ("\x1b]777;notify;a;b\x07", "␛]777;notify;a;b␇"),
    ("\x1b]1337;File=inline:aGk=\x07", "␛]1337;File=inline:aGk=␇"),
    ("\x1bP1$r0m\x1b\\z", "␛P1$r0m␛"),
    ("\x1b_Gi=1;AAAA\x1b\\z", "␛"),  # text between underscores may be Markdown
    ("\x1b^private\x1b\\z", "␛^private␛"),
    ("\x1bXstring\x1b\\z", "␛Xstring␛"),
    ("\x00\x07\x08\x0b\x0c\x0e\x0f\x7f", "␀␇␈␋␌␎␏␡"),
    ("\x9b2J\x9d2;t\x9c\x90q", "<U+009B>2J<U+009D>2;t<U+009C><U+0090>q"),
    ("\x85\x84\x8d", "<U+0085><U+0084><U+008D>"),
    ("\u202egnp.exe\u202c", "<U+202E>gnp.exe<U+202C>"),
    ("\u202a\u202b\u202d", "<U+202A><U+202B><U+202D>"),
    ("\u2066\u2067\u2068\u2069", "<U+2066><U+2067><U+2068><U+2069>"),
    ("\u200e\u200f\u061c", "<U+200E><U+200F><U+061C>"),
    ("\u200b\u2060\ufeff", "<U+200B><U+2060><U+FEFF>"),
    ("\U000e0041\U000e007f", "<U+E0041><U+E007F>"),
    ("\ufff9a\ufffab\ufffb", "<U+FFF9>a<U+FFFA>b<U+FFFB>"),
    ("\u2028\u2029", "<U+2028><U+2029>"),
    ("\u00ad\u3164\u115f", "<U+00AD><U+3164><U+115F>"),
    ("\U0001d173\U0001bca0", "<U+1D173><U+1BCA0>"),
    ("\u200dx\u200cy", "x"),
    ("\ufe0f\ufe0e", ""),
    ("a" + "\u0301" * 40, "a\u0301"),
    ("👩" + "\u200d👩" * 20, "👩"),
    ("🏽🏽🏽🏽", ""),
    ("\ue000\uffff\ufdd0\U0010ffff", "\ue000<U+FFFF><U+FDD0><U+10FFFF>"),
    ("漢字漢字ｗｉｄｅ", "漢字"),
    ("[/b][bold red]x[/]", "[/b][bold red]x[/]"),
    ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ("[link=file:///x]x[/link]", "[link="),
    ("\\[b]$text[/]", ""),
    ("[x](javascript:alert)", "[x](javascript:alert)"),
    ("[x](https://e.org/\x1b]8;;y\x07)", ""),  # a link in Markdown, its text elsewhere
    ("\x1b[31m`red`", "␛[31m"),
    ("{0}%s%n${x}", "{0}%s%n${x}"),
)
"""Each payload, and the start of its readable form; empty if nothing is drawn."""


FLOODS = ("a" + "\u0301" * 1_000, "👩" + "\u200d👩" * 200)
"""Payloads that are too long for names, with the start of their readable form."""


def mixed(field: str, most: int = 10_000) -> str:
    """Return one line with as many payloads as fit, each after its own marker."""
    parts: list[str] = []
    for number, (payload, _) in enumerate(PAYLOADS):
        part = f"{field}{number:02}.{payload[:40]} "
        if sum(len(part.encode()) for part in [*parts, part]) <= most:
            parts.append(part)
    return "".join(parts)
