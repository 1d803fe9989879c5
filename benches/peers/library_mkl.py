"""Intel's Math Kernel Library through its C interface: matrix products only."""
import ctypes
import glob
import os
import sys

import numpy as np

from worker import Skip

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112


def prepare(task):
    if task.op not in ("gemm", "tmm"):
        raise Skip
    library = ctypes.CDLL(glob.glob(os.path.join(sys.prefix, "lib", "libmkl_rt.so*"))[0])
    a, b = task.arrays
    c, = task.results
    single = a.dtype == np.float32
    product, real = (library.cblas_sgemm, ctypes.c_float) if single else (library.cblas_dgemm, ctypes.c_double)
    product.restype = None
    (m, k), n = a.shape, c.shape[1]
    pointer = lambda array: ctypes.c_void_p(array.ctypes.data)
    arguments = (ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE if task.op == "tmm" else NO_TRANSPOSE, m, n, k, real(1), pointer(a), k,
                 pointer(b), b.shape[1], real(0), pointer(c), n)
    return lambda: product(*arguments), lambda: [c]
