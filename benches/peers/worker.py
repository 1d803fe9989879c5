"""One peer in a process of its own: `worker.py PEER THREADS`, driven by lines on standard input (../src/worker.rs):

    prepare DIR        load the workload described by DIR/workload.json, compile and warm up
    results            call it once and write every output to DIR/NAME.PEER.bin
    measure N SECONDS  call it up to N times within SECONDS: `ns` and the times

Answers are `ok`, `ns …`, `skip` (the peer has no natural form of this workload) or `error REASON`.

A peer is a module of this folder with a function `prepare(task)` that returns two functions: one that runs the workload
once, and one that then returns the outputs as NumPy arrays.
"""
import contextlib
import importlib
import json
import os
import sys
import time

import numpy as np

with contextlib.suppress(ImportError):
    import ml_dtypes  # NumPy learns from it what `bfloat16` is

# The module of each peer.
PEERS = {"numpy": "arrays_numpy", "numpy-avx512": "arrays_numpy", "jax": "arrays_jax",
         "torch": "arrays_torch", "inductor": "arrays_torch",
         "onnxruntime": "library_onnxruntime", "mkl": "library_mkl",
         "halide": "compiler_halide", "halide-auto": "compiler_halide"}


class Skip(Exception):
    """This peer has no natural form of this workload."""


class Task:
    """A workload: its data, its sizes, its outputs' shapes."""

    def __init__(self, folder, peer, threads):
        with open(os.path.join(folder, "workload.json")) as f:
            self.__dict__.update(json.load(f))
        self.folder, self.peer, self.threads = folder, peer, threads
        self.names = [tensor["name"] for tensor in self.inputs]
        self.arrays = [self.load(tensor) for tensor in self.inputs]
        self.results = [aligned(tensor["shape"], tensor["dtype"]) for tensor in self.outputs]

    def load(self, tensor):
        array = aligned(tensor["shape"], tensor["dtype"])
        array.reshape(-1)[...] = np.fromfile(os.path.join(self.folder, tensor["name"] + ".bin"), tensor["dtype"])
        return array

    def write(self, arrays):
        for tensor, array in zip(self.outputs, arrays, strict=True):
            if list(array.shape) != tensor["shape"]:
                raise ValueError(f"{tensor['name']} has shape {array.shape}")
            np.ascontiguousarray(array, tensor["dtype"]).tofile(
                os.path.join(self.folder, f"{tensor['name']}.{self.peer}.bin"))


def aligned(shape, dtype, count=[0]):
    """Zeros, aligned to 64 bytes. Successive arrays lie at different distances from a page: buffers that agree in their low
    address bits evict each other."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 8192, np.uint8)
    count[0] += 1
    start = -memory.ctypes.data % 4096 + 832 * count[0] % 4096
    return memory[start:start + size].view(dtype).reshape(shape)


def measure(call, most, seconds):
    call()
    clock, times = time.perf_counter_ns, []
    end = clock() + seconds * 1e9
    while len(times) < most and (not times or clock() < end):
        start = clock()
        call()
        times.append(clock() - start)
    return "ns " + " ".join(map(str, times))


def on_cores(cores):
    """Lets every thread of this process run on these cores."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(int(thread), cores)


def main():
    peer, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    cores = os.sched_getaffinity(0)
    task = call = results = None
    for line in sys.stdin:
        request, _, rest = line.strip().partition(" ")
        try:
            if request == "prepare":
                task = call = results = None  # the memory of the one before
                if threads == 1:
                    on_cores({max(cores)})  # thread pools count the cores
                task = Task(rest, peer, threads)
                call, results = importlib.import_module(PEERS[peer]).prepare(task)
                call()
                on_cores(cores)
                answer = "ok"
            elif request == "results":
                call()
                task.write(results())
                answer = "ok"
            else:
                most, seconds = rest.split()
                answer = measure(call, int(most), float(seconds))
        except Skip:
            answer = "skip"
        except Exception as e:
            answer = f"error {type(e).__name__}: " + " ".join(str(e).split())[:200]
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    sys.modules["worker"] = sys.modules["__main__"]
    main()
