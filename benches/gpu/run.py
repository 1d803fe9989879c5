#!/usr/bin/env python3
"""Runs packages of kernels on an NVIDIA device, beside PyTorch, torch.compile and Triton, and compares their results.

    ./x bench gpu                                   builds the packages (no device needed), and runs this where there is one
    python3 benches/gpu/run.py PACKAGES [--only WORD] [--json FILE]

Every way to compute a workload is recorded once as a CUDA graph over several copies of its tensors, more than the caches
hold; the graph is replayed after a warm-up, all ways in turn, and the median over the rounds is what is reported. `eager` is also
timed as a user calls it, launches included. Results are compared with PyTorch's in double precision.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
CACHE_BYTES = 256 << 20
TYPES = {"float32": "float32", "float64": "float64", "int32": "int32", "int64": "int64", "float16": "float16", "bfloat16": "bfloat16"}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("packages", type=pathlib.Path, help="a folder with a package for each workload")
    options.add_argument("--only", default="", help="workloads with this in their names")
    options.add_argument("--rounds", type=int, default=25)
    options.add_argument("--json", type=pathlib.Path, help="where to write the figures")
    options = options.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("run.py: PyTorch is not there: results could not be verified, and there is nothing to compare with")
    if not torch.cuda.is_available():
        sys.exit("run.py: PyTorch sees no CUDA device")
    import cuda
    import peers

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    driver = cuda.Driver()
    limit = copy_limit(torch)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, copies {limit:.0f} GB/s", flush=True)
    rows = []
    for workload in tomllib.loads((HERE / "workloads.toml").read_text())["workload"]:
        if options.only not in workload["name"]:
            continue
        try:
            row = measured(torch, cuda, peers, driver, workload, options, limit)
        except Exception as failed:  # One workload that fails leaves the others.
            row = {"name": workload["name"], "failed": f"{type(failed).__name__}: {failed}"}
        rows.append(row)
        print(line(row), flush=True)
        if options.json:
            options.json.write_text(json.dumps({"device": torch.cuda.get_device_name(), "copy_gb_s": limit, "rows": rows}, indent=1))
    sys.exit(any("failed" in row or not row["verified"] for row in rows))


def measured(torch, cuda, peers, driver, workload, options, limit):
    package = cuda.Package(driver, options.packages / workload["name"])
    arguments = package.arguments
    inputs = [at for at, argument in enumerate(arguments) if argument["role"] == "input"]
    outputs = [at for at, argument in enumerate(arguments) if argument["role"] != "input"]
    size = sum(elements(argument) * 4 for argument in arguments)
    copies = max(1, min(64, -(-CACHE_BYTES // size)))
    sets = [[filled(torch, argument, workload, at) for at, argument in enumerate(arguments)] for _ in range(copies)]
    workspace = torch.empty(max(package.workspace_bytes(), 1), dtype=torch.uint8, device="cuda")
    faults = torch.zeros(max(package.plan["fault_words"], 1), dtype=torch.int64, device="cuda")
    calls = [
        package.bind([tensor.data_ptr() for tensor in tensors], workspace.data_ptr(), faults.data_ptr()) for tensors in sets
    ]
    calls[0](torch.cuda.current_stream().cuda_stream)
    torch.cuda.synchronize()
    if int(faults[0]) != 0:
        raise RuntimeError(f"a subscript lies outside: {faults.tolist()}")
    wrong = largest_error(torch, peers, workload, [sets[0][at] for at in inputs], [sets[0][at] for at in outputs])

    ours = [lambda call=call: call(torch.cuda.current_stream().cuda_stream) for call in calls]
    ways = {"tilewright": graph(torch, ours)}
    eager = None
    for name, way in peers.of(workload["kernel"]).items():
        run = [lambda way=way, tensors=tensors: way(*(tensors[at] for at in inputs)) for tensors in sets]
        try:
            ways[name] = graph(torch, run)
        except Exception as failed:  # A peer that cannot be recorded is missing from the table, and says so.
            print(f"  {workload['name']}: {name} is left out: {failed}", file=sys.stderr)
        if name == "eager":
            eager = run
    times = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, replay in ways.items():
            times[name].append(elapsed(torch, replay) / copies)
    medians = {name: statistics.median(all_times) for name, all_times in times.items()}
    called = statistics.median(elapsed(torch, lambda: [run() for run in eager]) / copies for _ in range(options.rounds))
    own = medians.pop("tilewright")
    tolerance = workload.get("tolerance", 1e-4)
    return {
        "name": workload["name"],
        "verified": bool(wrong <= tolerance),
        "error": wrong,
        "us": own,
        "kernels": len(package.plan["launches"]),
        "gflops": workload["flops"] / own / 1e3,
        "of_copy": workload["bytes"] / own / 1e3 / limit,
        "peers_us": medians,
        "eager_called_us": called,
        "rival": workload["rival"],
        "ratio": (min(medians.values()) if workload["rival"] == "best" else medians.get("eager", called)) / own,
        "least": workload["least"],
    }


def elements(argument):
    count = 1
    for length in argument["shape"]:
        count *= length
    return count


def filled(torch, argument, workload, seed):
    shape = argument["shape"]
    dtype = getattr(torch, TYPES[argument["dtype"]])
    if not dtype.is_floating_point:
        return torch.randint(0, workload.get("data", {}).get(argument["name"], 2), shape, dtype=dtype, device="cuda")
    return torch.randn(shape, dtype=dtype, device="cuda")


def largest_error(torch, peers, workload, inputs, outputs):
    """The largest difference to the result in double precision, as a part of the largest result."""
    wide = [tensor.double() if tensor.is_floating_point() else tensor for tensor in inputs]
    expected = peers.EAGER[workload["kernel"]](*wide)
    worst = 0.0
    for got, want in zip(outputs, expected, strict=True):
        scale = want.abs().max().clamp_min(1e-30)
        difference = ((got.double() - want).abs().max() / scale).item()
        worst = max(worst, difference if difference == difference else float("inf"))
    return worst


def graph(torch, runs):
    """Records what the functions launch; a function that replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            for run in runs:
                run()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        kept = [run() for run in runs]
    for _ in range(3):
        recorded.replay()
    torch.cuda.synchronize()
    return lambda recorded=recorded, kept=kept: recorded.replay()


def elapsed(torch, run):
    """Microseconds between two events around it."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e3


def copy_limit(torch):
    """Bytes read and written by a copy of 2 GiB, in GB/s."""
    source = torch.empty(1 << 29, dtype=torch.float32, device="cuda").normal_()
    target = torch.empty_like(source)
    for _ in range(3):
        target.copy_(source)
    times = [elapsed(torch, lambda: target.copy_(source)) for _ in range(11)]
    return 2 * source.numel() * 4 / statistics.median(times) / 1e3


def line(row):
    if "failed" in row:
        return f"{row['name']:28} failed: {row['failed']}"
    others = "  ".join(f"{name} {time:.1f}" for name, time in row["peers_us"].items())
    met = "" if row["ratio"] >= row["least"] else "  below the goal"
    right = "" if row["verified"] else f"  WRONG by {row['error']:.1e}"
    return (
        f"{row['name']:28} {row['us']:9.1f} us in {row['kernels']} kernels  {row['gflops']:8.0f} GFLOP/s  "
        f"{row['of_copy']:4.0%} of a copy  {row['ratio']:.2f} of {row['rival']} (goal {row['least']})  "
        f"[{others}  eager called {row['eager_called_us']:.1f}]{met}{right}"
    )


if __name__ == "__main__":
    main()
