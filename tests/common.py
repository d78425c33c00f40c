"""What tests of several folders share."""

import gc

from genparams import ParamStore
from genparams.params import Parameter


def parameters_in_memory(store: ParamStore) -> list[Parameter]:
    """Every parameter that was made in a store and that something still refers to."""
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is Parameter and o.store is store]
