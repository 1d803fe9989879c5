"""Intel's Math Kernel Library through its C interface: matrix products only."""
import ctypes
import glob
import os
import sys

import numpy as np

from worker import Skip

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112


def prepare(task):
    names = {"float32": "s", "float64": "d", "float16": "h"}
    if task.op not in ("gemm", "tmm", "hgemm") or task.arrays[0].dtype.name not in names:
        raise Skip
    library = ctypes.CDLL(glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))[0])
    a, b = task.arrays
    c, = task.results
    product = getattr(library, f"cblas_{names[a.dtype.name]}gemm")
    product.restype = None
    # What is short for float16 in its interface is its bits.
    real = {"s": ctypes.c_float, "d": ctypes.c_double, "h": lambda x: ctypes.c_ushort(int(np.float16(x).view(np.uint16)))}
    real = real[names[a.dtype.name]]
    (m, k), n = a.shape, c.shape[1]
    pointer = lambda array: ctypes.c_void_p(array.ctypes.data)
    arguments = (ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE if task.op == "tmm" else NO_TRANSPOSE, m, n, k, real(1), pointer(a), k,
                 pointer(b), b.shape[1], real(0), pointer(c), n)
    return lambda: product(*arguments), lambda: [c]
