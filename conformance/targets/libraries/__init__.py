"""Losses of published libraries, each with an adapter that is a file of its own."""
