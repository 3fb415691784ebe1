"""The vector files, as package data."""
