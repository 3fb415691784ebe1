"""The examples in the docstrings."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["_token_loss", "_weighted_loss", "_dense_loss", "_normalizing_factors"])
def test_docstring_examples_print_what_they_say(name):
    """Breaks if a documented example is out of date."""
    result = doctest.testmod(importlib.import_module(f"lossproof.impl.{name}"))
    assert result.attempted
    assert not result.failed
