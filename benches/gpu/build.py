#!/usr/bin/env python3
"""Builds a package for each workload: no device is needed.

    python3 benches/gpu/build.py TILEWRIGHT OUT [--target cuda:sm_90a] [--only WORD]
"""

import argparse
import pathlib
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("tilewright", type=pathlib.Path, help="the command")
    options.add_argument("out", type=pathlib.Path, help="a folder for the packages")
    options.add_argument("--target", default="cuda:sm_90a")
    options.add_argument("--only", default="", help="workloads with this in their names")
    options = options.parse_args()
    failed = []
    for workload in tomllib.loads((HERE / "workloads.toml").read_text())["workload"]:
        if options.only not in workload["name"]:
            continue
        program = HERE.parent / "kernels" / f"{workload['kernel']}.tc"
        sizes = ",".join(f"{name}={size}" for name, size in workload["sizes"].items())
        folder = options.out / workload["name"]
        command = [options.tilewright, "build", program, "-s", sizes, "--target", options.target, "-o", folder]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        print(f"{workload['name']:28} {time.monotonic() - begin:6.2f} s  {'failed' if done.returncode else folder}", flush=True)
        if done.returncode:
            failed.append(workload["name"])
            print(done.stderr, file=sys.stderr)
    sys.exit(f"build.py: no package for {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
