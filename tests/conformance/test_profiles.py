"""The platforms' error profiles: data with sources, and what the bounds make of it."""

import doctest
import tomllib
from dataclasses import fields, replace
from importlib import resources

import numpy as np
import pytest

from lossproof.conformance.judging.draw import make
from lossproof.reference.bounds import (
    JAX_CPU,
    Bounds,
    Functions,
    Profile,
    _profiles,
    profile,
    profile_names,
    profiles_version,
)
from lossproof.spec import TOKEN

FUNCTIONS = [field.name for field in fields(Functions)]


@pytest.fixture(scope="module")
def data():
    """The file as it is shipped."""
    return tomllib.loads(resources.files("lossproof.reference.bounds").joinpath("profiles.toml").read_text("utf-8"))


def test_every_number_has_one_row_and_a_source(data):
    """Fails when a platform lacks a function, has it twice, or a number comes from nowhere."""
    rows = [(row["platform"], row["dtype"], row["function"]) for row in data["rows"]]
    types = dict.fromkeys(row[:2] for row in rows)
    assert sorted(rows) == sorted((*pair, function) for pair in types for function in FUNCTIONS)
    assert {row["source"] for row in data["rows"]} == set(data["sources"])
    assert all(row["ulp"] >= 0.5 for row in data["rows"])
    assert all(len(text.split()) > 5 for text in data["sources"].values())
    assert profiles_version() == data["version"]


def test_a_profile_is_what_its_rows_say(data):
    """Fails when a platform is given another's numbers, or float32 those of float64."""
    assert profile_names()[0] == "jax-cpu"
    assert set(profile_names()) == {row["platform"] for row in data["rows"]}
    for row in data["rows"]:
        assert getattr(profile(row["platform"]).of(row["dtype"]), row["function"]) == row["ulp"]
    assert profile("jax-cpu") == JAX_CPU == Bounds(make(TOKEN, "float32", [[0.0]], [0])).profile


def test_an_unknown_platform_names_those_that_there_are():
    """Fails when a typing error in --profile ends in a traceback, or in another platform's bounds."""
    with pytest.raises(ValueError, match=r"profile must be one of jax-cpu, jax-nvidia, .*, got 'jax-gpu'"):
        profile("jax-gpu")


def test_a_type_that_a_platform_lacks_is_said():
    """Fails when float64 on a TPU is judged by float32's errors."""
    case = make(TOKEN, "float64", [[0.0, 1.0]], [0])
    with pytest.raises(ValueError, match="profile 'jax-tpu-v6e' knows nothing of float64"):
        Bounds(case, profile=profile("jax-tpu-v6e")).values()


@pytest.mark.parametrize("grade", ["A", "B", "C"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_worse_function_loosens_the_bounds_of_its_type_alone(function, grade):
    """Fails when a profile's number does not reach the bounds, or reaches those of the other type."""
    x, targets = [[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]], [0, 0]
    capped = {"logit_softcap": 8.0} if function == "tanh" else {}
    for dtype, judged_by in (("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")):
        case = make(TOKEN, dtype, x, targets, **capped)
        known = Bounds(case, grade=grade).values()["loss"]
        for changed in ("float32", "float64"):
            worse = replace(getattr(JAX_CPU, changed), **{function: 100.0})
            bound = Bounds(case, grade=grade, profile=replace(JAX_CPU, **{changed: worse})).values()["loss"]
            assert np.all(bound >= known)
            assert np.any(bound > known) == (changed == judged_by), (dtype, changed)


def test_the_example_prints_what_it_says():
    """Fails when the documented example is out of date."""
    result = doctest.testmod(_profiles)
    assert result.attempted and not result.failed
    assert isinstance(JAX_CPU, Profile)
