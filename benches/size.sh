#!/bin/sh
# How many bytes the crate `runtime` adds to a stripped release binary: a program that loads and runs a package of the
# processor, less one that only prints its arguments. With `device`, what CUDA and OpenCL take too.
#
#     benches/size.sh
set -eu
cd "$(dirname "$0")/.."
export CARGO_PROFILE_RELEASE_STRIP=true
folder=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/examples

bytes() {
    cargo build -q --release -p runtime --no-default-features $2 --example "$1"
    wc -c <"$folder/$1"
}

nothing=$(bytes nothing "")
for features in "" "--features device"; do
    call=$(bytes call "$features")
    echo "runtime ${features:---no-default-features}: $(((call - nothing) / 1000)) kB more than $((nothing / 1000)) kB"
done
