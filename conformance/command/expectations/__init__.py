"""What a target is expected to break (docs/expectations.md)."""
