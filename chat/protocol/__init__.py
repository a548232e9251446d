"""Protocol version 1: every frame as a frozen pydantic model, and the codec. No I/O.

`words` holds what needs no model, `values` the field types and the limits, `commands` what a client
sends, `items` what a log holds, `frames` what a server sends, `codec` turns bytes into models and
back.
"""

PROTOCOL_VERSION = 1
