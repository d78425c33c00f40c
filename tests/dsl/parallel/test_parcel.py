"""Parcels: functions and stores by name, else by a key that gives one object for each."""

import pickle
import sys

import numpy as np
import parallel_models as models
import pytest

from genparams import ParamStore, gen, map_, normal, param
from genparams.dsl.parallel.parcel import packed, unpacked


@pytest.mark.parametrize(
    "thing",
    [
        models.line,
        models.teacher,
        models.teacher_params,
        models.line.params,
        models.rows,
        models.waiting,
        normal,
    ],
    ids=repr,
)
def test_what_a_module_has_arrives_by_its_name(thing):
    parcel = packed([thing, thing])
    found = unpacked(parcel)
    assert found[0] is found[1] is thing
    assert len(parcel) < 400


def test_a_store_without_a_name_arrives_by_a_key_and_without_its_contents():
    theta = ParamStore(w=np.ones(10_000))
    clone = models.line.with_params(theta)
    first, second = packed(clone), packed([clone, theta])
    assert len(first) + len(second) < 2000
    assert unpacked(first) is clone
    assert unpacked(second)[1] is theta


def test_local_functions_may_call_each_other_and_themselves():
    pytest.importorskip("cloudpickle")

    @gen
    def leaf(x):
        return normal(param("a", 1.0) * x, 1.0) @ "y"

    @gen
    def tree(depth):
        return [tree(depth - 1) @ "below", leaf(1.0) @ "leaf"] if depth else None

    assert unpacked(packed(tree)) is tree
    trace = tree.simulate((2,), 0)
    assert unpacked(packed([trace]))[0] == trace
    over = map_(leaf)
    assert unpacked(packed(over)) is over


def test_without_cloudpickle_a_local_function_has_no_parcel(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)

    @gen
    def local():
        return normal(0.0, 1.0) @ "x"

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        packed(local)
