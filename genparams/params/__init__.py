"""Parameters and stores of them: values that are trained, with the accumulators of gradients."""

from genparams.params.carried import carried, record_of
from genparams.params.changes import added, edited, emptied
from genparams.params.conversions import (
    coordinates_and_value,
    edit_to,
    edit_to_saved,
    edit_to_value,
    gradient_of,
)
from genparams.params.declaring import (
    add,
    addition,
    declare,
    declared_by_run,
    find,
    lookup,
    refuse_other_shape,
    removal,
)
from genparams.params.layout import lay_together, place_of
from genparams.params.numbers import DOUBLE, as_floats, finite_scale, is_finite
from genparams.params.parameter import Parameter, has_moved, is_current, loose, read
from genparams.params.positions import Positions
from genparams.params.records import (
    Cell,
    Changes,
    lock,
    restructured,
    structure,
    swap,
    swap_and_call,
)
from genparams.params.store import ParamStore, labels

__all__ = [
    "DOUBLE",
    "Cell",
    "Changes",
    "ParamStore",
    "Parameter",
    "Positions",
    "add",
    "added",
    "addition",
]
__all__ += ["addition", "carried", "loose", "record_of"]
__all__ += ["as_floats", "coordinates_and_value", "declare", "declared_by_run", "edit_to"]
__all__ += ["edit_to_saved", "edit_to_value", "edited", "emptied", "find", "finite_scale"]
__all__ += ["gradient_of", "has_moved", "is_current", "is_finite", "labels", "lay_together", "lock"]
__all__ += ["lookup", "place_of", "read", "refuse_other_shape", "removal", "restructured"]
__all__ += ["structure", "swap", "swap_and_call"]
