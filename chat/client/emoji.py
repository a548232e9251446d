"""Emoji by their short names: a modest table of those that people write often."""

from __future__ import annotations

__all__ = ["EMOJI", "resolve"]

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
"""Short name, without its colons, to emoji."""


def resolve(word: str) -> str:
    """Return the emoji that `:name:` or `name` stands for; any other word as it is."""
    return EMOJI.get(word.strip(":").lower(), word)
