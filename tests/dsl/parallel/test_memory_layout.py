"""Arrays with gaps arrive with gaps, so that numpy computes with them as it did."""

import numpy as np
import pytest

from genparams.dsl.parallel.layout import has_gaps
from genparams.dsl.parallel.parcel import packed, unpacked

TABLE = np.random.default_rng(0).normal(size=(400, 12, 5))
VIEWS = {
    "a column": TABLE[:, 0, 0],
    "reversed": TABLE[:, 0, 0][::-1],
    "some columns": TABLE[:, 1, :3],
    "steps": TABLE[::2, 1:7, ::-1],
    "broadcast": np.broadcast_to(TABLE[0, :, 0], (400, 12)),
    "turned": TABLE[:, :4, 2].T,
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_arrives_with_its_gaps(name):
    view = VIEWS[name]
    assert has_gaps(view)
    found = unpacked(packed(view))
    np.testing.assert_array_equal(found, view, strict=True)
    assert np.sign(found.strides).tolist() == np.sign(view.strides).tolist()
    assert has_gaps(found)
    assert len(packed(view)) < 8 * view.size + 500


@pytest.mark.parametrize("name", ["a column", "reversed"])
def test_numpy_computes_with_it_to_the_bit(name):
    view, other = VIEWS[name], np.random.default_rng(1).normal(size=400)
    for array in (unpacked(packed(view)), view):
        assert array @ other == view @ other
        np.testing.assert_array_equal(np.exp(array), np.exp(view))


@pytest.mark.parametrize("array", [TABLE, TABLE.T, np.float64(1.0), np.array([None, 1])[::2]])
def test_other_arrays_are_sent_as_anywhere(array):
    np.testing.assert_array_equal(unpacked(packed(array)), array)
