//! Several threads compile and call at once: every result is right, and nothing waits for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use tilewright::{Compiler, ForkJoin, Kernel, Pool, Tensor};

/// A definition over matrices of whole numbers, and what one element of its result is.
struct Definition {
    text: &'static str,
    /// The inputs and the position of the element.
    expected: fn(&Matrix, &Matrix, usize, usize) -> f32,
}

/// Small whole numbers, so that every order of summation gives the same.
struct Matrix {
    extent: usize,
    elements: Vec<f32>,
}

impl Matrix {
    fn new(extent: usize, seed: usize) -> Matrix {
        let elements = (0..extent * extent).map(|at| ((at * 7 + at / 5 + seed) % 9) as f32 - 4.0).collect();
        Matrix { extent, elements }
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.elements[row * self.extent + column]
    }

    /// The sum over one index.
    fn sum(&self, term: impl Fn(usize) -> f32) -> f32 {
        (0..self.extent).map(term).sum()
    }

    fn tensor(&self) -> Tensor {
        let extent = self.extent as i64;
        Tensor::from_slice(&self.elements, &[extent, extent]).expect("as many elements as the shape has")
    }
}

const DEFINITIONS: [Definition; 8] = [
    Definition {
        text: "def product(float(N,N) A, float(N,N) B) -> (C) { C(i,j) +=! A(i,k) * B(k,j) }",
        expected: |a, b, i, j| a.sum(|k| a.at(i, k) * b.at(k, j)),
    },
    Definition {
        text: "def transposed(float(N,N) A, float(N,N) B) -> (C) { C(i,j) +=! A(i,k) * B(j,k) }",
        expected: |a, b, i, j| a.sum(|k| a.at(i, k) * b.at(j, k)),
    },
    Definition {
        text: "def sum(float(N,N) A, float(N,N) B) -> (C) { C(i,j) = A(i,j) + B(i,j) }",
        expected: |a, b, i, j| a.at(i, j) + b.at(i, j),
    },
    Definition {
        text: "def turned(float(N,N) A, float(N,N) B) -> (C) { C(i,j) = A(j,i) - 2.0 * B(i,j) }",
        expected: |a, b, i, j| a.at(j, i) - 2.0 * b.at(i, j),
    },
    Definition {
        text: "def largest(float(N,N) A, float(N,N) B) -> (C) { C(i,j) max=! A(i,k) + B(k,j) }",
        expected: |a, b, i, j| (0..a.extent).map(|k| a.at(i, k) + b.at(k, j)).fold(f32::NEG_INFINITY, f32::max),
    },
    Definition {
        text: "def rows(float(N,N) A, float(N,N) B) -> (C) { R(i) +=! A(i,k)  C(i,j) = R(i) * B(i,j) }",
        expected: |a, b, i, j| a.sum(|k| a.at(i, k)) * b.at(i, j),
    },
    Definition {
        text: "def rectified(float(N,N) A, float(N,N) B) -> (C) { C(i,j) +=! A(i,k) * B(k,j)  C(i,j) = fmax(C(i,j), 0.0) }",
        expected: |a, b, i, j| a.sum(|k| a.at(i, k) * b.at(k, j)).max(0.0),
    },
    Definition {
        text: "def chain(float(N,N) A, float(N,N) B) -> (C) { T(i,j) = A(i,j) * B(j,i)  C(i,j) = T(j,i) + 1.0 }",
        expected: |a, b, i, j| a.at(j, i) * b.at(i, j) + 1.0,
    },
];

/// Fails when `work` takes longer than any compilation could: a deadlock must not hang the tests.
fn before_long(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        // The receiver is gone only after it has given up.
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(300)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the threads wait for each other"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => worker.join().expect("no thread fails"),
    }
}

fn check(definition: &Definition, kernel: &Kernel, extent: usize, seed: usize) {
    let (a, b) = (Matrix::new(extent, seed), Matrix::new(extent, seed + 1));
    let c = kernel.call(&[&a.tensor(), &b.tensor()]).unwrap_or_else(|error| panic!("{}: {error}", definition.text));
    let c = c.as_slice::<f32>().expect("floats");
    for (i, j) in (0..extent).flat_map(|i| (0..extent).map(move |j| (i, j))) {
        let expected = (definition.expected)(&a, &b, i, j);
        assert_eq!(c[i * extent + j], expected, "element ({i}, {j}) of {}", definition.text);
    }
}

#[test]
fn eight_threads_compile_different_definitions_at_once() {
    before_long(|| {
        // All run their parallel loops on the same three threads.
        let compiler = Compiler::host().with_pool(Pool::with_threads(3).expect("threads"));
        let start = Barrier::new(DEFINITIONS.len());
        thread::scope(|scope| {
            for (at, definition) in DEFINITIONS.iter().enumerate() {
                let (compiler, start) = (&compiler, &start);
                scope.spawn(move || {
                    start.wait();
                    let kernel = compiler.compile(definition.text).expect("a good definition");
                    for extent in [5, 33, 96] {
                        check(definition, &kernel, extent, at);
                    }
                });
            }
        });
    });
}

#[test]
fn sixteen_threads_call_one_kernel() {
    before_long(|| {
        let definition = &DEFINITIONS[5];
        let compiler = Compiler::host().with_pool(Pool::with_threads(3).expect("threads"));
        let kernel = compiler.compile(definition.text).expect("a good definition");
        let start = Barrier::new(16);
        thread::scope(|scope| {
            for at in 0..16 {
                let (kernel, start) = (&kernel, &start);
                scope.spawn(move || {
                    start.wait();
                    // The shapes are seen for the first time by all of them at once.
                    for (round, extent) in [8, 17, 8, 24, 17].into_iter().enumerate() {
                        check(definition, kernel, extent, 16 * at + round);
                    }
                });
            }
        });
    });
}

/// Threads of the program's own, new ones for every loop.
struct Scoped {
    loops: AtomicUsize,
}

impl ForkJoin for Scoped {
    fn threads(&self) -> usize {
        3
    }

    fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        self.loops.fetch_add(1, Ordering::Relaxed);
        thread::scope(|scope| {
            for task in 0..tasks {
                scope.spawn(move || body(task));
            }
        });
    }
}

#[test]
fn a_kernel_runs_on_the_threads_of_the_program() {
    before_long(|| {
        let threads = Arc::new(Scoped { loops: AtomicUsize::new(0) });
        let pool = Pool::from(Arc::clone(&threads) as Arc<dyn ForkJoin>);
        let rayon = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads"));
        for pool in [pool, Pool::from(rayon)] {
            let compiler = Compiler::host().with_pool(pool);
            assert_eq!(compiler.target().threads, 3);
            let kernel = compiler.compile(DEFINITIONS[0].text).expect("a good definition");
            check(&DEFINITIONS[0], &kernel, 96, 1);
            check(&DEFINITIONS[0], &kernel, 96, 2);
        }
        assert!(threads.loops.load(Ordering::Relaxed) > 0, "a product of 96 is worth three threads");
    });
}

#[test]
fn a_kernel_is_called_from_the_threads_that_it_runs_on() {
    before_long(|| {
        let definition = &DEFINITIONS[0];
        let pool = Pool::with_threads(2).expect("threads");
        let kernel = Compiler::host().with_pool(pool.clone()).compile(definition.text).expect("a good definition");
        let status = pool.parallel(8, |range| {
            range.for_each(|at| check(definition, &kernel, 12, at as usize));
            0
        });
        assert_eq!(status, 0);
    });
}
