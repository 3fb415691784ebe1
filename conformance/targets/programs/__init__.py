"""Targets in any language, as programs (docs/exec-protocol.md)."""
