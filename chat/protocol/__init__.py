"""Protocol version 1: every frame as a frozen pydantic model, and the codec. No I/O.

`limits` holds constants that need no model, `values` the field types and their bounds, `commands`
the frames of a client, `frames` those of a server, and `items` the entries of a log. `codec`
converts between bytes and models.
"""

PROTOCOL_VERSION = 1

FEATURES = ("hidden", "accounts", "rooms")
"""Features of this version beyond the first release of version 1.

A server lists them in `Welcome.features` and in the header `FEATURES_HEADER` of every HTTP
response, because a client must know them before `hello`. Towards a server without a feature, a
client sends none of its fields and commands.

- `hidden`: the field `hidden` of `prefer`.
- `accounts`: `invite`, `link`, `password` and `device` in `hello`, and the commands for devices,
  accounts, invitations, bans and the audit log.
- `rooms`: `thread_only` in `send`, `thread` in `mark`, `channel` in `ban`, `unban` and `bans`, and
  the commands for private channels, invitations to channels, moderation, roles, settings of
  channels, ignored users and followed threads.
"""
FEATURES_HEADER = "Chat-Features"
