"""Emoji by name: common short names and the standard set.

The standard set comes from the `emoji` package, with the names of Slack, GitHub and Unicode. Its
import takes 0.1 s, so it happens at the first lookup of a name that the short table lacks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

__all__ = ["EMOJI", "OFTEN", "all_names", "resolve", "spelled", "with_emoji"]

OFTEN = ("+1", "heart", "joy", "tada", "eyes", "white_check_mark", "thinking", "cry", "pray", "-1")
"""The most common reactions."""

_TABLE = """
+1 👍|-1 👎|100 💯|alarm_clock ⏰|alien 👽|angry 😠|apple 🍎|arrow_down ⬇️|arrow_left ⬅️
arrow_right ➡️|arrow_up ⬆️|astonished 😲|avocado 🥑|baby 👶|banana 🍌|bangbang ‼️|bear 🐻
beer 🍺|beers 🍻|bell 🔔|bike 🚲|birthday 🎂|blue_heart 💙|blush 😊|boat ⛵|bomb 💣|book 📖
books 📚|boom 💥|bow 🙇|brain 🧠|bread 🍞|broken_heart 💔|bug 🐛|bulb 💡|butterfly 🦋|cactus 🌵
cake 🍰|calendar 📅|camera 📷|car 🚗|cat 🐱|checkered_flag 🏁|cherries 🍒|chocolate 🍫|clap 👏
clinking_glasses 🥂|cloud ☁️|clown 🤡|coffee ☕|cold_face 🥶|computer 💻|confetti 🎊|confused 😕
construction 🚧|cookie 🍪|cool 😎|crab 🦀|croissant 🥐|crossed_fingers 🤞|crown 👑|cry 😢
dancer 💃|dart 🎯|dash 💨|disappointed 😞|dog 🐶|dolphin 🐬|dragon 🐉|drum 🥁|duck 🦆|earth 🌍
eggplant 🍆|email 📧|exclamation ❗|exploding_head 🤯|expressionless 😑|eyes 👀|face_palm 🤦
fire 🔥|fireworks 🎆|fish 🐟|flag 🚩|flushed 😳|four_leaf_clover 🍀|fox 🦊|frog 🐸|frown ☹️
fries 🍟|game 🎮|gear ⚙️|gem 💎|ghost 👻|gift 🎁|globe 🌐|goat 🐐|grapes 🍇|green_heart 💚
grimacing 😬|grin 😁|grinning 😀|guitar 🎸|hamburger 🍔|hammer 🔨|handshake 🤝|hatching_chick 🐣
headphones 🎧|heart ❤️|heart_eyes 😍|heavy_check_mark ✔️|hedgehog 🦔|herb 🌿|hot_face 🥵
hourglass ⌛|house 🏠|hug 🤗|hushed 😯|ice_cream 🍦|innocent 😇|joy 😂|key 🔑|kiss 😘|koala 🐨
laughing 😆|leaves 🍃|lemon 🍋|link 🔗|lock 🔒|mag 🔍|mailbox 📫|mask 😷|medal 🏅|mega 📣
melting 🫠|memo 📝|microphone 🎤|money 💰|monkey 🐵|moon 🌙|mouse 🐭|muscle 💪|mushroom 🍄
musical_note 🎵|nerd 🤓|neutral 😐|no_entry ⛔|octopus 🐙|ok 🆗|ok_hand 👌|open_mouth 😮
owl 🦉|package 📦|palm_tree 🌴|panda 🐼|paperclip 📎|partying 🥳|peach 🍑|pencil ✏️|penguin 🐧
phone 📞|pig 🐷|pin 📌|pizza 🍕|pleading 🥺|point_down 👇|point_left 👈|point_right 👉
point_up 👆|popcorn 🍿|pray 🙏|purple_heart 💜|question ❓|rabbit 🐰|rage 😡|rainbow 🌈
raised_hands 🙌|recycle ♻️|relieved 😌|robot 🤖|rocket 🚀|rofl 🤣|rose 🌹|running 🏃|sad 😔
salute 🫡|scream 😱|see_no_evil 🙈|shrug 🤷|skull 💀|sleeping 😴|slight_smile 🙂|smile 😄
smiley 😃|smirk 😏|snail 🐌|snake 🐍|snowflake ❄️|snowman ⛄|sob 😭|sparkles ✨|speech_balloon 💬
star ⭐|strawberry 🍓|sun ☀️|sunflower 🌻|sunglasses 😎|sweat 😓|sweat_smile 😅|tada 🎉|taco 🌮
tea 🍵|test_tube 🧪|thinking 🤔|thumbsdown 👎|thumbsup 👍|thread 🧵|timer ⏲️|tired 😫|tomato 🍅
tongue 😛|tools 🛠️|train 🚆|tree 🌳|trophy 🏆|turtle 🐢|umbrella ☔|unamused 😒|unicorn 🦄
unlock 🔓|upside_down 🙃|v ✌️|warning ⚠️|watermelon 🍉|wave 👋|weary 😩|whale 🐳|white_check_mark ✅
wine 🍷|wink 😉|wolf 🐺|worried 😟|wrench 🔧|x ❌|yawning 🥱|yellow_heart 💛|yum 😋|zap ⚡|zzz 💤
"""

EMOJI: dict[str, str] = {
    name: char
    for line in _TABLE.strip().splitlines()
    for name, char in (entry.split(" ") for entry in line.split("|"))
}
"""Emoji by short name, without colons."""


@cache
def all_names() -> Mapping[str, str]:
    """Return the emoji by name, without colons; short names come first."""
    from emoji import EMOJI_DATA, STATUS

    common = [
        (char, data)
        for char, data in EMOJI_DATA.items()
        if data["status"] == STATUS["fully_qualified"]
    ]
    names = dict(EMOJI)
    for char, data in common:
        if all(_is_flag_letter(each) for each in char):
            code = "".join(chr(ord(each) - _FLAG_A + ord("a")) for each in char)
            names.update({f"flag_{code}": char, f"flag-{code}": char})
        for alias in data.get("alias", ()):
            names.setdefault(alias.strip(":").lower(), char)
    for char, data in common:  # after the aliases: an alias may equal another emoji's Unicode name
        names.setdefault(data["en"].strip(":").lower(), char)
    return names


def _is_flag_letter(char: str) -> bool:
    return 0 <= ord(char) - _FLAG_A < 26


def resolve(word: str) -> str:
    """Return the emoji named `:name:` or `name`; return any other word unchanged."""
    name = word.strip(":").lower()
    return EMOJI.get(name) or all_names().get(name, word)


# Code, links and escaped characters match first, so names in them are not replaced.
_NAMED = re.compile(
    r"(?P<kept>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|(?P<fence>~~~+).*?(?:(?P=fence)|\Z)"
    r"|`{3,}.*|https?://\S+|\\.)|(?<![^\W_]):(?P<name>[^\W_][^\s:]{0,60}|[+-]1):(?![^\W_])",
    re.DOTALL,
)


def with_emoji(text: str) -> str:
    """Return the text with each `:name:` replaced by its emoji, except in code and links."""
    if text.count(":") < 2:
        return text
    return _NAMED.sub(_emoji_of, text)


def _emoji_of(found: re.Match[str]) -> str:
    if found["name"] is None:
        return found[0]
    name = found["name"].lower()
    return EMOJI.get(name) or all_names().get(name, found[0])


_TONES = {chr(0x1F3FB + tone): f"tone{tone + 1}" for tone in range(5)}
_NAMES = _TONES | {char.rstrip("\ufe0f"): name for name, char in reversed(EMOJI.items())}
_ONE = "[\u203c\u2049\u231a-\u23ff\u25fb-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff]"
_TONE = "[\U0001f3fb-\U0001f3ff]"
_CLUSTER = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{2}}|{_ONE}\ufe0f?{_TONE}?(?:\u200d{_ONE}\ufe0f?{_TONE}?)*"
)
_FLAG_A = 0x1F1E6


def spelled(text: str) -> str:
    """Return the text with each emoji as `:name:`; Unicode's name if the table has none."""
    return _CLUSTER.sub(lambda found: f":{_name(found[0])}:", text)


def _name(cluster: str) -> str:
    known = _NAMES.get(cluster.rstrip("\ufe0f"))
    if known is not None:
        return known
    if _is_flag_letter(cluster[0]):
        return "flag_" + "".join(chr(ord(char) - _FLAG_A + ord("a")) for char in cluster)
    return "+".join(
        _NAMES.get(char) or unicodedata.name(char, f"u{ord(char):x}").lower().replace(" ", "_")
        for char in cluster
        if char not in "\u200d\ufe0f"
    )
