"""What both faces of the client share, the screens and the lines: the presenter of conversations.

In come the updates of a core, through its port (`port.CorePort`), and what a person asks for, by
key or by slash command. Out goes what is to be shown, to a `view.View`, which each face implements.
It knows no terminal and no Textual: what it decides is the same wherever it is looked at or heard.
"""
