//! What every error code means: those of programs come from `frontend-tc`, those of files, sizes and calls stand here.

use std::fmt::Write;

/// The explanation of a code that belongs to a call, a file or an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The code, `TC0920`.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is, what to do, and an example.
    pub text: &'static str,
}

/// The text for people; `None` when there is no such code. Upper and lower case are the same.
pub fn explain(code: &str) -> Option<String> {
    let code = code.to_ascii_uppercase();
    if let Some(page) = frontend_tc::explain(&code) {
        return Some(page.to_string());
    }
    let page = PAGES.iter().find(|page| page.code == code)?;
    Some(format!("{}: {}\n\n{}\n", page.code, page.title, page.text))
}

/// Every code with its title, a line each.
pub fn list() -> String {
    let mut out = String::new();
    let programs = frontend_tc::codes::PAGES.iter().map(|page| (page.code, page.title));
    for (code, title) in programs.chain(PAGES.iter().map(|page| (page.code, page.title))) {
        writeln!(out, "{code}  {title}").expect("a string takes text");
    }
    out
}

/// The codes of this crate, ascending.
pub const PAGES: &[Page] = &[
    Page {
        code: "TC0901",
        title: "the text has no definition",
        text: "A program is one or more definitions:

    def mm(float(M,K) A, float(K,N) B) -> (C) {
      C(m,n) +=! A(m,k) * B(k,n)
    }",
    },
    Page {
        code: "TC0902",
        title: "which definition is meant?",
        text: "The file has several definitions, and one was needed. Name it:

    tilewright run layers.tc -d relu -s N=1024",
    },
    Page {
        code: "TC0903",
        title: "no definition has that name",
        text: "`-d NAME` names a definition of the file. `tilewright check FILE` lists them with their shapes.",
    },
    Page {
        code: "TC0904",
        title: "the definition has several outputs",
        text: "`Kernel::call` returns the only output. With several, `Kernel::call_all` returns all of them in order, and
`Kernel::run` writes them into memory of the caller:

    let outputs = kernel.call_all(&[&a, &b])?;",
    },
    Page {
        code: "TC0905",
        title: "too few or too many inputs",
        text: "A kernel takes its inputs in the order in which the definition declares them, all of them.

    def mm(float(M,K) A, float(K,N) B) -> (C) { … }

    mm.call(&[&a, &b])          // A, then B",
    },
    Page {
        code: "TC0906",
        title: "an input has another element type",
        text: "Nothing is converted silently. Convert the data before the call, or declare the input with the type that the
data have: `double(N) A` for `f64`, `uint8(H,W) A` for `u8`.",
    },
    Page {
        code: "TC0907",
        title: "an input has another number of dimensions",
        text: "`float(M,K) A` has two dimensions, so a tensor given for `A` must have two as well. Reshape the tensor: `[6]` becomes
`[1, 6]` or `[2, 3]`, which holds the same elements.",
    },
    Page {
        code: "TC0908",
        title: "an input has another size",
        text: "Dimensions with one name have one size in all inputs, and a constant size is exact:

    def mm(float(M,K) A, float(K,N) B) -> (C) { … }

With `A` of 4 × 8, `B` must have 8 rows, since both are called `K`.",
    },
    Page {
        code: "TC0909",
        title: "the tensors do not fit in memory",
        text: "With these sizes the inputs, outputs and temporaries need more memory than this machine has free, or more than an
address can count. Choose smaller sizes with -s, or end other programs.",
    },
    Page {
        code: "TC0910",
        title: "an argument of a call does not fit",
        text: "The message names the argument and says what was expected and what was found. Nothing was written.
Common reasons: an output of the wrong shape, an output that overlaps an input, a wrong number of outputs.",
    },
    Page {
        code: "TC0911",
        title: "a subscript read from a tensor is out of range",
        text: "In `O(n,d) = LUT(I(n),d)` the values of `I` choose rows of `LUT`; each is checked while the kernel runs. The message
names the tensor, the value, the dimension and the elements that the value was computed from: `I(3)`. Where several are
wrong, it is the first one in the order in which the kernel runs on one thread, on however many it ran. No memory outside the
tensor was touched; some elements of the outputs may have been written. Correct the data; `--trust-indices` leaves the check out and makes such a value undefined behaviour.",
    },
    Page {
        code: "TC0912",
        title: "the target cannot do this",
        text: "The target's description names a CPU or a feature that the compiler does not know, or the program needs something
that the target does not have. `tilewright targets` lists the targets.",
    },
    Page {
        code: "TC0913",
        title: "a command of the schedule was refused",
        text: "A command is applied only when it is proved that every dependence of the program keeps its order. The message names
the command, its line in the script, and either what does not fit or two instances of statements that it would swap, with their
places in the program; the help says what is legal in its place, where something was found. The script may
belong to another program: loops are named after statement and index (`C.update.m`).

    tilewright emit script mm.tc -s M=64,N=64,K=64      prints the automatic schedule, to be edited",
    },
    Page {
        code: "TC0914",
        title: "a program built in Rust is wrong",
        text: "`builder::Program::build` writes the program out, and the message points into that text: handles of another
program, operands of different types, subscripts outside of a tensor, elements of an output that may be read before they are
written, outputs that are not written whole.",
    },
    Page {
        code: "TC0915",
        title: "the sizes break what a program assumes",
        text: "A program built in Rust is right only for sizes that satisfy what it assumes: `p.size` assumes that a size is not
negative, `p.assume` any condition. Call it with other sizes.",
    },
    Page {
        code: "TC0916",
        title: "the program is too large for one kernel",
        text: "Finding the loops of a program, and proving them, takes work that grows with its statements, and that work is bounded.
Some hundred statements, those of the definitions that are called included, are no problem: large programs are divided into parts,
each with a bound of its own. A script without `part` is about the whole program, and so are all for devices: divide the
program there, by `part STATEMENT` in the script or into several definitions, called one after the other.",
    },
    Page {
        code: "TC0920",
        title: "a file cannot be read",
        text: "There is no such file, it is a directory, this user may not read it, or it is not UTF-8 text where text is needed.
Programs and scripts are text; tensors are read from .npy and .png files with `-i`.",
    },
    Page {
        code: "TC0921",
        title: "neither a .npy nor a .png file",
        text: "Tensors are read from and written to files whose names end in .npy (NumPy's format) or .png (pictures):

    tilewright run mm.tc -i A=a.npy -i B=b.npy -o C=c.npy",
    },
    Page {
        code: "TC0922",
        title: "the file is not what its name says",
        text: "A .npy file begins with NumPy's header, which says the type and the shape; exactly so many bytes must follow. Pickled
objects and records are not read. A .png file has 8 bits for each channel. Write the file again:

    numpy.save(\"a.npy\", array)",
    },
    Page {
        code: "TC0923",
        title: "the file holds another element type",
        text: "The element type of a .npy file must be exactly the declared one: converting silently would hide mistakes. Convert
the file, or change the declaration:

    numpy.save(\"a.npy\", array.astype(\"float32\"))

NumPy's default is float64, which is `double` here. Pictures become uint8, float32 or float64, with values from 0 to 255.",
    },
    Page {
        code: "TC0924",
        title: "the file holds another number of dimensions",
        text: "`float(M,K) A` has two dimensions, and so must the array in the file. A picture has height × width × channels, or
height × width for a tensor of two dimensions when the picture is grey.",
    },
    Page {
        code: "TC0925",
        title: "a file cannot be written",
        text: "The directory does not exist, this user may not write there, the disk is full, or a picture cannot hold the tensor:
a picture is height × width, or height × width × 1 to 4 channels, of uint8, float32 or float64 elements.",
    },
    Page {
        code: "TC0930",
        title: "no size has that name",
        text: "`-s NAME=VALUE` names a size from the types of the inputs: `M`, `K` and `N` in

    def mm(float(M,K) A, float(K,N) B) -> (C) { … }

Case counts.",
    },
    Page {
        code: "TC0931",
        title: "not a size",
        text: "A size is a whole number from 0 on: `-s M=128,K=64`.",
    },
    Page {
        code: "TC0932",
        title: "a size has two values",
        text: "A size has one value. It is given with -s, or it follows from the shapes of the inputs; all must agree.",
    },
    Page {
        code: "TC0933",
        title: "a size is not known",
        text: "Before a kernel runs, every size must be known: from -s, or from the shape of an input that has it.

    tilewright run mm.tc -s M=128,N=128,K=64

From Rust, `Kernel::with_sizes` gives those that are in no argument's shape, such as a number of steps:

    jacobi.with_sizes(&[(\"T\", 100)])?.run(&[], &mut [&mut a, &mut b])?;",
    },
    Page {
        code: "TC0934",
        title: "no tensor has that name",
        text: "`-i NAME=FILE` names an input of the definition (or a tensor that it updates), `-o NAME=FILE` an output; each once.",
    },
    Page {
        code: "TC0935",
        title: "the system gives no more threads",
        text: "Ask for fewer threads with -j, or raise the limit (`ulimit -u`).",
    },
    Page {
        code: "TC0936",
        title: "not a script",
        text: "`--schedule` replays a script: one command a line, as `tilewright emit script` prints it. The message says line, column
and what was expected there.",
    },
    Page {
        code: "TC0937",
        title: "no target has that name",
        text: "`tilewright targets` lists the names; `host` is this machine.",
    },
    Page {
        code: "TC0938",
        title: "this machine cannot run that target's code",
        text: "Code for another machine may hold instructions that this one does not have. It can be looked at:

    tilewright emit asm mm.tc -t x86-64-v4 -s M=64,N=64,K=64",
    },
    Page {
        code: "TC0939",
        title: "no code has that name",
        text: "`tilewright explain-code` without a code lists all of them.",
    },
    Page {
        code: "TC0941",
        title: "too large to be verified",
        text: "The reference evaluator runs one instance after the other, some twenty million a second, so `--verify` refuses what
would take minutes. Verify with smaller sizes, where the compiler does the same things: the sizes just past a tile (65 where
tiles are 64) are the most telling.",
    },
    Page {
        code: "TC0942",
        title: "these loops are no kernels",
        text: "`emit cuda` and `emit opencl` make a kernel of each part of the schedule that has loops on blocks and threads:

    split C.i by 256 as io ii
    bind C.io to block.x
    bind C.ii to thread.x

Loops on blocks come first, then loops that all threads run, then loops on threads. What two threads of a block do to one
element, one of them writing it, has a barrier in between; between blocks there is none, so that nothing may depend on another
block of the same kernel. Loops outside of the first one on blocks are the host's: each of their iterations launches again.",
    },
    Page {
        code: "TC0943",
        title: "kernels that cannot be written in this language",
        text: "The message says what the language has no words for, or what is not written in it yet. Without `--trust-indices` that
is every subscript that is computed from data, which has to be checked.",
    },
    Page {
        code: "TC0944",
        title: "there is no such device here",
        text: "Devices are found through the library of their driver, which is loaded when it is asked for: libOpenCL.so.1 (Debian: the
package `ocl-icd-libopencl1`, and a driver such as `pocl-opencl-icd`, which runs on any processor), or libcuda.so.1, which
comes with NVIDIA's driver. `tilewright targets` lists what is found, and why there is nothing.",
    },
    Page {
        code: "TC0945",
        title: "the device fails or refuses",
        text: "The message says which device, what it was asked to do and what it says: too little memory, a kernel that it cannot
build or launch, code that is for another device. After some failures, such as a kernel that touches memory it does not
have, a CUDA device takes no more work from the process.",
    },
    Page {
        code: "TC0946",
        title: "a package cannot be built",
        text: "`tilewright build` compiles for processors and devices and writes a folder that runs without the compiler. The message says
what is in the way: the folder cannot be written.

    tilewright build mm.tc -s M=512,N=512,K=512 --target x86-64-v3,cuda:sm_80 -o mm",
    },
    Page {
        code: "TC0947",
        title: "devices are not measured here",
        text: "`--measure` (of `explain` and `inspect`) puts the time of a kernel beside what this processor's arithmetic and caches can do. Of a device
`tilewright bench -t opencl` and `bench -t cuda` say how long kernels take there, and beside which limit.",
    },
    Page {
        code: "TC0948",
        title: "nothing of that name to draw",
        text: "`emit domain.svg` draws the instances of one statement in two of its dimensions:

    tilewright emit domain.svg mm.tc -s M=8,N=8,K=8 --stmt C.update --dims m,k

`tilewright emit scop` lists the statements with their dimensions; those that a script adds are in `emit schedule`.",
    },
    Page {
        code: "TC0949",
        title: "too many instances for a picture",
        text: "Every instance is a point, so pictures are for small sizes: a few tiles in each dimension show what thousands would.",
    },
    Page {
        code: "TC0950",
        title: "kernels cannot be kept",
        text: "What was compiled is kept in a folder, and machine code is taken from there. So it must be this user's alone, mode 0700;
the message says what is in the way.

    chmod 700 ~/.cache/tilewright
    TILEWRIGHT_CACHE=/var/tmp/kernels tilewright run mm.tc -s M=64,N=64,K=64
    TILEWRIGHT_CACHE=off tilewright run mm.tc -s M=64,N=64,K=64",
    },
    Page {
        code: "TC0951",
        title: "a build script cannot compile its kernels",
        text: "`tilewright-build` found no file, a target for another architecture than cargo builds for, two definitions of one name,
or was called outside of a build script. Patterns begin in the folder of Cargo.toml:

    fn main() {
        tilewright_build::kernels([\"kernels/*.tc\"]);
    }",
    },
    Page {
        code: "TC0952",
        title: "a package cannot describe a definition for any sizes",
        text: "What follows from the sizes of a call (extents, workspace, launches) is written into package.json as formulas, none of
them longer than 16 KiB. Of programs of thousands of statements the workspace may need a longer one. Divide the definition, or
build it for given sizes:

    tilewright build f.tc -s N=512 -o f",
    },
    Page {
        code: "TC0960",
        title: "commands cannot be tried on a program in parts",
        text: "`explain --why-not` tries commands behind the schedule of a definition. A large program is scheduled in parts, each by
itself, and has no one schedule. Write the nests that the question is about as a definition of their own.",
    },
    Page {
        code: "TC0961",
        title: "no command to be tried",
        text: "What stands behind `--why-not` is written as in a script, one command or several on lines of their own:

    tilewright explain mm.tc -s M=64,N=64,K=64 --why-not 'parallel C.update.k'

The loops of the schedule are those that `tilewright explain` lists; those of the source, before any command, are tried where
the finished schedule has none of the name.",
    },
    Page {
        code: "TC0962",
        title: "fusion strategies are for processors",
        text: "`--fusion` orders statements by isl's scheduler and a strategy of Pluto's or Tensor Comprehensions', then schedules each nest for
the processor. Devices are scheduled by a policy of their own; what shares loops there is said in a script:

    tilewright run edges.tc -s H=480,W=640 -t x86-64-v3 --fusion smart
    tilewright run edges.tc -s H=480,W=640 -t opencl --schedule edges.sched",
    },
    Page {
        code: "TC0999",
        title: "a bug in Tilewright",
        text: "The program is right, or at least nothing that you wrote should lead here. Please report it with the program, the
command and what was printed; `tilewright emit schedule` and `emit loops` show how far the compiler came.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The codes in the sources of this crate, but for those of programs, which tests of messages use.
    fn used(dir: &Path, codes: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                used(&path, codes);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("codes.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let after = text.split("\"TC09").skip(1).map(|rest| format!("TC09{}", &rest[..2]));
                codes.extend(after);
            }
        }
    }

    #[test]
    fn every_code_has_one_page() {
        let mut codes = BTreeSet::new();
        for sources in ["src", "../tilewright-build/src"] {
            used(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut codes);
        }
        let pages: Vec<String> = PAGES.iter().map(|page| page.code.to_string()).collect();
        let set: BTreeSet<String> = pages.iter().cloned().collect();
        assert_eq!(set.len(), pages.len());
        assert!(pages.is_sorted());
        assert_eq!(set, codes);
    }

    #[test]
    fn both_kinds_are_explained_in_any_case() {
        assert!(explain("tc0923").unwrap().contains("astype"));
        assert!(explain("TC0101").is_some());
        assert_eq!(explain("TC0000"), None);
        assert!(list().contains("TC0999") && list().contains("TC0101"));
    }
}
