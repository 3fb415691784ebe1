"""Defects where two or three features of a call meet, made from the coverage model."""
