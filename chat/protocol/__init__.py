"""Protocol version 1: every frame as a frozen pydantic model, and the codec. No I/O.

`limits` holds constants that need no model, `values` the field types and their bounds, `commands`
the frames of a client, `frames` those of a server, and `items` the entries of a log. `codec`
converts between bytes and models.
"""

PROTOCOL_VERSION = 1
