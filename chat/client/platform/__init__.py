"""Access to the operating system: standard streams, clipboard, notifications, links."""
