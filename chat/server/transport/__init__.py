"""Sockets: accepting connections, TLS, frames in, bounded writes out, and limits on peers."""
