"""What touches the operating system: standard streams, clipboard, notifications, links."""
