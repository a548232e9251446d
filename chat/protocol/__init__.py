"""Protocol version 1: every frame as a frozen pydantic model, and the codec. No I/O.

`limits` holds constants that need no model, `values` the field types and their bounds, `commands`
what a client sends, `frames` what a server sends, `items` what a log holds, and `codec` turns bytes
into models and back.
"""

PROTOCOL_VERSION = 1
