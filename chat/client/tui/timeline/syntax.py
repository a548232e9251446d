"""Syntax colors for fenced code, by Rich's lexers, within bounds.

Lexers are sets of regular expressions and the code is untrusted: only well-known languages are
highlighted, and only code that is short enough for every lexer to finish quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

__all__ = ["LANGUAGES", "ROLES", "highlight"]

LANGUAGES = (
    "python", "javascript", "typescript", "bash", "json", "sql", "html", "css", "yaml", "java",
    "go", "rust", "c", "cpp", "csharp", "php", "ruby", "kotlin", "swift", "diff", "sh", "toml",
    "xml", "console", "docker", "lua", "powershell", "make", "r", "scala", "dart", "tsx", "jsx",
    "scss", "ini", "nginx", "perl", "haskell", "elixir", "clojure", "zig", "julia", "nix", "vim",
    "graphql", "groovy", "protobuf", "fish", "erlang", "fsharp", "ocaml", "elm", "nim", "prolog",
    "py", "js", "ts", "rs", "rb", "yml",
)  # fmt: skip
"""Languages of fenced code, the most used first; completion offers them too."""

_LONGEST = 4_000
_LONGEST_LINE = 400

ROLES = ("keyword", "string", "number", "comment", "name", "inserted", "deleted")
"""Roles of highlighted code; each has an ink named `code-…`. All other code is plain."""

_ROLE_OF = (
    ("Token.Comment.Preproc", "keyword"),
    ("Token.Comment", "comment"),
    ("Token.Keyword", "keyword"),
    ("Token.Operator.Word", "keyword"),
    ("Token.Literal.Number", "number"),
    ("Token.Literal", "string"),
    ("Token.Name.Function", "name"),
    ("Token.Name.Class", "name"),
    ("Token.Name.Decorator", "name"),
    ("Token.Name.Tag", "keyword"),
    ("Token.Name.Attribute", "name"),
    ("Token.Name.Builtin", "name"),
    ("Token.Generic.Inserted", "inserted"),
    ("Token.Generic.Deleted", "deleted"),
    ("Token.Generic.Subheading", "comment"),
    ("Token.Generic.Heading", "comment"),
    ("Token.Generic.Prompt", "comment"),
)


def highlight(code: str, language: str) -> list[tuple[str, str]]:
    """Return (text, role) pieces; the role is "" for plain code. The texts join to `code`."""
    language = language.lower()
    plain = [(code, "")]
    if language not in LANGUAGES or len(code) > _LONGEST:
        return plain
    if max(map(len, code.split("\n"))) > _LONGEST_LINE:
        return plain
    ended = code if code.endswith("\n") else code + "\n"
    pieces: list[tuple[str, str]] = []
    for token, text in _tokens(language)(ended):
        role = _role(str(token))
        if pieces and pieces[-1][1] == role:
            text = pieces.pop()[0] + text
        pieces.append((text, role))
    if "".join(text for text, _ in pieces) != ended:  # the lexer changed the code
        return plain
    text, role = pieces.pop()
    return [*pieces, (text[: len(text) - len(ended) + len(code)], role)]


@lru_cache
def _tokens(language: str) -> Callable[[str], Iterable[tuple[object, str]]]:
    """Return the function that splits code of a language into tokens."""
    from rich.syntax import Syntax  # imports Pygments: deferred until code is shown

    lexer = Syntax("", language).lexer
    if lexer is None:
        return lambda code: [("", code)]
    tokens: Callable[[str], Iterable[tuple[object, str]]] = lexer.get_tokens
    return tokens


@lru_cache(512)
def _role(token: str) -> str:
    return next((role for prefix, role in _ROLE_OF if token.startswith(prefix)), "")
