//! What is wrong with programs, word for word.

use expect_test::{Expect, expect};
use frontend_tc::check;
use support::Severity;

/// The diagnostics of each program: code, the underlined text, message, help.
fn told(programs: &[&str]) -> String {
    let mut out = String::new();
    for program in programs {
        out += &format!("{program}\n");
        for diagnostic in check(program).diagnostics {
            let at = diagnostic.span().map_or("", |span| &program[span.range()]);
            let kind = if diagnostic.severity == Severity::Warning { "warning " } else { "" };
            out += &format!("  {kind}{} at `{at}`: {}\n", diagnostic.code, diagnostic.message);
            for label in &diagnostic.labels[1..] {
                out += &format!("    `{}`: {}\n", &program[label.span.range()], label.text);
            }
            out += &format!("    help: {}\n", diagnostic.help.unwrap_or_default());
        }
    }
    out
}

fn rejects(programs: &[&str], expected: Expect) {
    for program in programs {
        assert!(check(program).has_errors(), "accepted: {program}");
    }
    expected.assert_eq(&told(programs));
}

#[test]
fn syntax() {
    rejects(
        &[
            "def f(float(N) A) -> (B) { B(i) = A(i }",
            "def f(float(N) A) -> (B) { B(i) = A[i] }",
            "def f(float(N) A) -> (B) { B(i) = A(i); }",
            "def f(float(N) A) -> (B) { B(i) = }",
            "def f(float(N) A) -> (B) { B(i) A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(i) where exists }",
            "def f(float(N) A) -> (B) { B(i) = A(i) where A(i) exists }",
            "def f(float(N) A) -> (B) { B(i) = (i > 0 and i =< 4) ? A(i) : 0 }",
            "def f(float(N) A) -> (B) { B(i) = min(A(i)) }",
            "def f(float(N) A) -> (B) { B(i) = A(i)",
            "def f(float(N) A) -> (B) { B(i) = A(i) def g(float(N) A) -> (B) { B(i) = A(i) }",
            "def f(float(N A) -> (B) { B(i) = A(i) }",
            "def (float(N) A) -> (B) { B(i) = A(i) }",
            "B(i) = A(i)",
            "def f(half(N) A) -> (B) { B(i) = A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(i) where i in 0..4 }",
        ],
        expect![[r#"
            def f(float(N) A) -> (B) { B(i) = A(i }
              TC0010 at `}`: expected `)`, found `}`
                `(`: opened here
                help: write `)` here
            def f(float(N) A) -> (B) { B(i) = A[i] }
              TC0010 at `[`: expected an operator, a statement or `}`, found `[`
                help: subscripts are written in round parentheses: `A(i, j)`
            def f(float(N) A) -> (B) { B(i) = A(i); }
              TC0010 at `;`: expected an operator, a statement or `}`, found `;`
                help: statements need no separator: remove the `;`
            def f(float(N) A) -> (B) { B(i) = }
              TC0010 at `}`: expected an expression, found `}`
                help: write an expression here
            def f(float(N) A) -> (B) { B(i) A(i) }
              TC0010 at `A`: expected an assignment such as `=` or `+=!`, found `A`
                help: write an assignment such as `=` or `+=!` here
            def f(float(N) A) -> (B) { B(i) = A(i) where exists }
              TC0010 at `}`: expected an expression, found `}`
                help: write an expression here
            def f(float(N) A) -> (B) { B(i) = A(i) where A(i) exists }
              TC0010 at `(`: expected `=` or `in`, found `(`
                help: write `=` or `in` here
            def f(float(N) A) -> (B) { B(i) = (i > 0 and i =< 4) ? A(i) : 0 }
              TC0010 at `and`: expected `)`, found `and`
                `(`: opened here
                help: `and` is written `&&`
              TC0010 at `<`: expected an expression, found `<`
                help: `=<` is written `<=`
            def f(float(N) A) -> (B) { B(i) = min(A(i)) }
              TC0112 at `min(A(i))`: `min` takes 2 arguments, and 1 are given
                help: nest them: `min(a, min(b, c))`
            def f(float(N) A) -> (B) { B(i) = A(i)
              TC0010 at ``: expected an operator, a statement or `}`, found the end of the file
                help: write an operator, a statement or `}` here
            def f(float(N) A) -> (B) { B(i) = A(i) def g(float(N) A) -> (B) { B(i) = A(i) }
              TC0010 at `def`: expected an operator, a statement or `}`, found `def`
                help: close the definition before with `}`
            def f(float(N A) -> (B) { B(i) = A(i) }
              TC0010 at `A`: expected `)`, found `A`
                help: write `)` here
            def (float(N) A) -> (B) { B(i) = A(i) }
              TC0010 at `(`: expected the name of the definition, found `(`
                help: write the name of the definition here
            B(i) = A(i)
              TC0010 at `B`: expected `def`, found `B`
                help: write `def` here
            def f(half(N) A) -> (B) { B(i) = A(i) }
              TC0012 at `half`: `half` is not a type
                help: half precision is `float16` or `bfloat16`
            def f(float(N) A) -> (B) { B(i) = A(i) where i in 0..4 }
              TC0013 at `0..`: a range is written with a colon
                help: write `0:2` for 0, 1
        "#]],
    );
}

#[test]
fn several_errors_in_one_run() {
    rejects(
        &["def f(float(N) A) -> (B) { T(i) = A(i B(i) = A(i)) C(i = 2 }
def g(float(N) A) -> (B) { B(i) = A(i, i) + a(i) + $ 1 C(j) +=! B(k) * exp() }
def h(float(N) A) -> (B, D) { B(i) = A(q) }"],
        expect![[r#"
            def f(float(N) A) -> (B) { T(i) = A(i B(i) = A(i)) C(i = 2 }
            def g(float(N) A) -> (B) { B(i) = A(i, i) + a(i) + $ 1 C(j) +=! B(k) * exp() }
            def h(float(N) A) -> (B, D) { B(i) = A(q) }
              TC0010 at `B`: expected `)`, found `B`
                `(`: opened here
                help: write `)` here
              TC0010 at `)`: expected an operator, a statement or `}`, found `)`
                help: write an operator, a statement or `}` here
              TC0107 at `A(i, i)`: `A` has rank 1, and 2 subscripts are given
                `A`: declared here
                help: write `A(i)`
              TC0101 at `a`: no tensor or function is called `a`
                help: did you mean `A`?
              TC0004 at `$`: `$` has no meaning in this language
                help: remove it; comments begin with `#` or `//`
              TC0112 at `exp()`: `exp` takes 1 argument, and 0 are given
                help: give as many arguments as the function takes
              TC0106 at `D`: `D` is returned, and no statement writes it
                help: add a statement `D(…) = …`, or do not return it
              TC0301 at `q`: `=` does not reduce, and `q` is not on the left-hand side
                help: write `+=!` for a sum over `q`, or put it on the left
        "#]],
    );
}

#[test]
fn constructs() {
    rejects(
        &[
            "let K = 3 let K = 4 def f(float(N) A) -> (B) { B(i) = K * A(i) }",
            "let K = N def f(float(N) A) -> (B) { B(i) = A(i) }",
            "let N = 3 def f(float(M) A, float N) -> (B) { B(i) = A(i) * N }",
            "import \"nowhere.tc\" def f(float(N) A) -> (B) { B(i) = A(i) }",
            "import nowhere def f(float(N) A) -> (B) { B(i) = A(i) }",
            "def f(float(N) A) -> (B, C) { (B, C) = g(A) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B, C) { (B, C) = g(A) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(A, A) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(double(N) A) -> (B) { B = g(A) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(T) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(A + 1) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B(i) = g(A) where i in 0:N }",
            "def g(float(N) A) -> (B) { B = f(A) } def f(float(N) A) -> (B) { B = g(A) }",
            "def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { T(i) = A(i - 1) B = g(T) }",
            "def g(float(N) A, float(N) B) -> (C) { C(i) = A(i) + B(i) } def f(float(3) A, float(4) B) -> (C) { C = g(A, B) }",
            "def f(float(T, N) A) -> (B) { for t in 0:T { B(t, i) = A(t, i) where t in 0:2 } }",
            "def f(float(N) A) -> (B) { for N in 0:3 { B(i) = A(i) } }",
            "def f(float(N) A) -> (B) { for t in 0:t { B(i) = A(i) } }",
            "def f(float(N) A) -> (B) { for t in 0:A(0) { B(i) = A(i) } }",
            "def f(float(N) A) -> (B) { for t in 0:3 B(i) = A(i) }",
            "def f(float(N) A) -> (S) { for t in 0:N { S(t) = S(t - 1) + A(t) } }",
            "def f(int32(N) I, float(N) A) -> (B) { B(I(i)) +=! A(i) }",
            "def f(float(N) I, float(N) A) -> (float(M) B) { B(I(i)) +=! A(i) }",
            "def f(float(N) A) -> (C) { B(2*i+1) = A(i) C(i) = B(i) }",
            "def f(float(N) A) -> (B) { B &&=! A(i) }",
            "def f(bool(N) A) -> (B) { B ^=! A(i) }",
            "def f(float(N) A) -> (B) { B(i) = ~A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(i) << 1 }",
            "def f(float(N, M) A) -> (B) { B argmax=! A(i, j) }",
            "def f(float(N, M) A) -> (B) { B(i) argmin= A(i, j) }",
            "def f(float(N, M) A) -> (float(N) B) { B(i) argmin=! A(i, j) }",
            "def f(float(N, N*K) A) -> (B) { B(i, j) = A(i, j) }",
            "def f(float(N) A) -> (B) { B(i) = pad(A(i)) }",
            "def f(float(N) A) -> (B) { B(i) = pad(i, 0) + A(i) }",
            "def f(float(N) A) -> (B) { B(i) = clamp(i) + A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(clamp(i)) }",
            "def f(float(N) A) -> (B) { B(i) = A(wrap(i, 2)) }",
            "def f(float(N) A) -> (B) { B(i) = sat_int8(A(i), 2) }",
            "def f(bool(N) A) -> (B) { B(i) = sat_int8(A(i)) }",
        ],
        expect![[r#"
            let K = 3 let K = 4 def f(float(N) A) -> (B) { B(i) = K * A(i) }
              TC0119 at `K`: the constant `K` is given twice
                `K`: first here
                help: give one of the two another name
            let K = N def f(float(N) A) -> (B) { B(i) = A(i) }
              TC0120 at `N`: `K` is not constant
                help: a constant is made of numbers and of constants above it
            let N = 3 def f(float(M) A, float N) -> (B) { B(i) = A(i) * N }
              TC0119 at `N`: `N` is a constant of the file and cannot be anything else
                help: use another name
            import "nowhere.tc" def f(float(N) A) -> (B) { B(i) = A(i) }
              TC0023 at `"nowhere.tc"`: there is no file `nowhere.tc` to import
                help: a path is relative to this file; the library is std/conv, std/image, std/linalg, std/loss, std/nn, std/pool, std/reduce
            import nowhere def f(float(N) A) -> (B) { B(i) = A(i) }
              TC0010 at `nowhere`: expected the name of a file in quotes, found `nowhere`
                help: write the name of a file in quotes here
            def f(float(N) A) -> (B, C) { (B, C) = g(A) }
              TC0121 at `g`: no definition is called `g`
                help: call a definition of this file, or `import` the file that has it
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B, C) { (B, C) = g(A) }
              TC0123 at `(B, C) = g(A)`: `g` has 1 return, and 2 given
                `g`: defined here
                help: give one tensor for each
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(A, A) }
              TC0123 at `B = g(A, A)`: `g` has 1 input, and 2 given
                `g`: defined here
                help: give one tensor for each
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(double(N) A) -> (B) { B = g(A) }
              TC0124 at `B = g(A)`: `A` is `double` of rank 1, and the definition that is called has `float` of rank 1 here
                `float(N)`: declared here
                help: give a tensor of that type and rank
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(T) }
              TC0101 at `B = g(T)`: no tensor is called `T`
                help: an argument is an input, or written by an earlier statement
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B = g(A + 1) }
              TC0021 at `A + 1`: an argument of `g` must be a tensor
                help: write the value into a tensor of its own, and give its name
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { B(i) = g(A) where i in 0:N }
              TC0125 at `g`: the definition `g` cannot be called in the middle of a statement
                help: call it in a statement of its own: `T = g(…)`
            def g(float(N) A) -> (B) { B = f(A) } def f(float(N) A) -> (B) { B = g(A) }
              TC0122 at `B = f(A)`: `f` calls itself, at once or through others
                help: definitions cannot be recursive; a `for` loop repeats statements
              TC0122 at `B = g(A)`: `g` calls itself, at once or through others
                help: definitions cannot be recursive; a `for` loop repeats statements
            def g(float(N) A) -> (B) { B(i) = A(i) } def f(float(N) A) -> (B) { T(i) = A(i - 1) B = g(T) }
              TC0413 at `B = g(T)`: `T` begins at 1, and the definition that is called counts from 0
                help: write a tensor that begins at 0, and give that one
            def g(float(N) A, float(N) B) -> (C) { C(i) = A(i) + B(i) } def f(float(3) A, float(4) B) -> (C) { C = g(A, B) }
              TC0412 at `C = g(A, B)`: size 1 of `B` is 4 and is declared 3
                help: correct the declared size, or leave the type away
            def f(float(T, N) A) -> (B) { for t in 0:T { B(t, i) = A(t, i) where t in 0:2 } }
              TC0127 at `t`: `t` is the index of a loop, which gives it its range
                `t`: this loop
                help: remove the range
            def f(float(N) A) -> (B) { for N in 0:3 { B(i) = A(i) } }
              TC0103 at `N`: `N` is a size already and cannot be the index of a loop
                `N`: declared here
                help: use another name
            def f(float(N) A) -> (B) { for t in 0:t { B(i) = A(i) } }
              TC0408 at `t`: the range of `t` mentions `t` itself
                help: bound it by sizes and numbers
            def f(float(N) A) -> (B) { for t in 0:A(0) { B(i) = A(i) } }
              TC0405 at `A(0)`: a bound cannot depend on `A`, whose values are known only while running
                help: use sizes and numbers, and choose the elements in the value: `i < n ? A(i) : 0`
            def f(float(N) A) -> (B) { for t in 0:3 B(i) = A(i) }
              TC0010 at `B`: expected `{`, found `B`
                help: write `{` here
            def f(float(N) A) -> (S) { for t in 0:N { S(t) = S(t - 1) + A(t) } }
              TC0118 at `S(t - 1)`: `S` is read before a statement writes it
                `S`: declared here
                help: write it first
            def f(int32(N) I, float(N) A) -> (B) { B(I(i)) +=! A(i) }
              TC0414 at `B(I(i)) +=! A(i)`: how large `B` is does not follow from subscripts that are data
                help: declare it, `-> (float(M) B)`, or write all of it before: `B(j) = 0 where j in 0:M`
            def f(float(N) I, float(N) A) -> (float(M) B) { B(I(i)) +=! A(i) }
              TC0201 at `I(i)`: a subscript of `B` has type `float`, and subscripts are whole numbers
                help: write `int32(…)` around it
            def f(float(N) A) -> (C) { B(2*i+1) = A(i) C(i) = B(i) }
              TC0307 at `B`: elements of `B` are read that no statement writes
                help: write all of it first: a statement without a range in `where`
            def f(float(N) A) -> (B) { B &&=! A(i) }
              TC0203 at `A(i)`: `&&=!` needs `bool` operands and got `float`
                help: compare with `!= 0`; arithmetic uses `+`, `*`, `min` and `max`
            def f(bool(N) A) -> (B) { B ^=! A(i) }
              TC0208 at `A(i)`: `^=!` needs whole numbers and got `bool`
                help: write `int32(…)` around it; `bool` has `&&`, `||` and `!`
            def f(float(N) A) -> (B) { B(i) = ~A(i) }
              TC0208 at `~A(i)`: `~` needs whole numbers and got `float`
                help: write `int32(…)` around it; `bool` has `&&`, `||` and `!`
            def f(float(N) A) -> (B) { B(i) = A(i) << 1 }
              TC0208 at `A(i) << 1`: `<<` needs whole numbers and got `float`
                help: write `int32(…)` around it; `bool` has `&&`, `||` and `!`
            def f(float(N, M) A) -> (B) { B argmax=! A(i, j) }
              TC0305 at `B`: `argmax=!` finds the value of one index, and 2 reduction indices are given
                help: join them into one: `i = x / W`, `j = x % W`
            def f(float(N, M) A) -> (B) { B(i) argmin= A(i, j) }
              TC0304 at `B`: `argmin=` cannot go on from an index alone: the value there is not known
                help: write `argmin=!`
            def f(float(N, M) A) -> (float(N) B) { B(i) argmin=! A(i, j) }
              TC0306 at `B`: `argmin=!` gives an index, and `B` is `float`
                help: declare it `int32` or `int64`
            def f(float(N, N*K) A) -> (B) { B(i, j) = A(i, j) }
              TC0028 at `N*K`: a size in a type must be affine in the sizes
                help: sums, products with a number, division by a number, `min` and `max` are
            def f(float(N) A) -> (B) { B(i) = pad(A(i)) }
              TC0112 at `pad(A(i))`: `pad` takes 2 arguments, and 1 are given
                help: `pad(A(i - 1), 0)` and `sat_int8(e)` are the forms
            def f(float(N) A) -> (B) { B(i) = pad(i, 0) + A(i) }
              TC0126 at `i`: `pad` wants an element of a tensor first
                help: write `pad(A(i - 1), 0)`
            def f(float(N) A) -> (B) { B(i) = clamp(i) + A(i) }
              TC0029 at `clamp`: `clamp` stands for a subscript, and here is none
                help: write it around a subscript: `A(clamp(i - 1))`
            def f(float(N) A) -> (B) { B(i) = A(clamp(i)) }
              TC0404 at `i`: nothing on the right-hand side says how far `i` runs
                help: add `where i in 0:…`
            def f(float(N) A) -> (B) { B(i) = A(wrap(i, 2)) }
              TC0112 at `wrap(i, 2)`: `wrap` takes 1 argument, and 2 are given
                help: write `wrap(i - 1)`
            def f(float(N) A) -> (B) { B(i) = sat_int8(A(i), 2) }
              TC0112 at `sat_int8(A(i), 2)`: `sat_int8` takes 1 argument, and 2 are given
                help: `pad(A(i - 1), 0)` and `sat_int8(e)` are the forms
            def f(bool(N) A) -> (B) { B(i) = sat_int8(A(i)) }
              TC0206 at `sat_int8(A(i))`: saturation does not work on `bool`
                help: write `int32(…)` around it, or use `&&`, `||`, `!`
        "#]],
    );
}

#[test]
fn names() {
    rejects(
        &[
            "def f(float(N) A) -> (B) { B(i) = a(i) }",
            "def f(float(N) input) -> (B) { B(i) = inputs(i) }",
            "def f(float(N) A, float(A) C) -> (B) { B(i) = C(i) }",
            "def f(float(N) A) -> (A) { A(i) = 0 where i in 0:N }",
            "def f(float(N) A) -> (B) { B(N) = A(N) }",
            "def f(float(N) A) -> (B) { B(A) = A(A) }",
            "def f(float(N) A) -> (B) { B(sin) = A(sin) }",
            "def f(float(N) A) -> (B) { B(i, i) = A(i) }",
            "def f(float(N) A) -> (B) { A(i) = 0 B(i) = A(i) }",
            "def f(float(N) A) -> (Bout) { Bou(i) = A(i) }",
            "def f(float(N) A) -> (B, B) { B(i) = A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(i)(i) }",
            "def f(float(N) A) -> (B) { B(i) = A() }",
            "def f(float(N) A, float c) -> (B) { B(i) = A(i) + c(i) }",
            "def f(float(N) A) -> (B) { B(i) = x(i) where x = A(i) }",
            "def f(float(N) A) -> (B) { B(i) = A(i) where i = 3 }",
            "def f(float(N) A) -> (B) { B(i) = x where x = A(i), x = 2 }",
            "def f(float(N) A) -> (B) { B(i) = 2 * x where x = A(i), x in 1:2 }",
            "def f(float(N) A) -> (B) { B(i) = A(i) B = 1 }",
            "def f(float(N) A) -> (B, C) { C(i) = B(i) B(i) = A(i) }",
            "def f(float(N) A) -> (B) { B(i) = B(i) + A(i) }",
            "def f(float(N) A) -> (B) { B(i) = fma(A(i), A(i)) }",
            "def f(A) -> (B) { B(i) = A(i) }",
        ],
        expect![[r#"
            def f(float(N) A) -> (B) { B(i) = a(i) }
              TC0101 at `a`: no tensor or function is called `a`
                help: did you mean `A`?
            def f(float(N) input) -> (B) { B(i) = inputs(i) }
              TC0101 at `inputs`: no tensor or function is called `inputs`
                help: did you mean `input`?
            def f(float(N) A, float(A) C) -> (B) { B(i) = C(i) }
              TC0103 at `A`: `A` is a tensor already and cannot be a size
                `A`: declared here
                help: use another name
            def f(float(N) A) -> (A) { A(i) = 0 where i in 0:N }
              TC0103 at `A`: `A` is a tensor already and cannot be returned
                `A`: declared here
                help: use another name
              TC0105 at `A`: `A` is an input and cannot be written
                `A`: an input
                help: write another tensor, and return that one
            def f(float(N) A) -> (B) { B(N) = A(N) }
              TC0103 at `N`: `N` is a size already and cannot be an index
                `N`: declared here
                help: use another name
            def f(float(N) A) -> (B) { B(A) = A(A) }
              TC0103 at `A`: `A` is a tensor already and cannot be an index
                `A`: declared here
                help: use another name
              TC0109 at `A`: `A` has rank 1 and cannot be used as a scalar
                `A`: declared here
                help: write `A(i)`
            def f(float(N) A) -> (B) { B(sin) = A(sin) }
              TC0111 at `sin`: `sin` is a built-in function and cannot be an index
                help: use another name
              TC0111 at `sin`: `sin` is a built-in function and cannot be an index
                help: use another name
            def f(float(N) A) -> (B) { B(i, i) = A(i) }
              TC0104 at `i`: the index `i` stands twice on the left-hand side
                `i`: first here
                help: use two indices, and choose the elements on the right: `i == j ? … : 0`
            def f(float(N) A) -> (B) { A(i) = 0 B(i) = A(i) }
              TC0105 at `A`: `A` is an input and cannot be written
                `A`: an input
                help: write another tensor, and return that one
            def f(float(N) A) -> (Bout) { Bou(i) = A(i) }
              TC0106 at `Bout`: `Bout` is returned, and no statement writes it
                help: did you mean `Bou`?
            def f(float(N) A) -> (B, B) { B(i) = A(i) }
              TC0103 at `B`: `B` is a tensor already and cannot be returned
                `B`: declared here
                help: use another name
            def f(float(N) A) -> (B) { B(i) = A(i)(i) }
              TC0010 at `}`: expected `=` or `in`, found `}`
                help: write `=` or `in` here
            def f(float(N) A) -> (B) { B(i) = A() }
              TC0109 at `A()`: `A` has rank 1 and cannot be used as a scalar
                `A`: declared here
                help: write `A(i)`
            def f(float(N) A, float c) -> (B) { B(i) = A(i) + c(i) }
              TC0107 at `c(i)`: `c` has rank 0, and 1 subscript is given
                `c`: declared here
                help: write `c` alone
            def f(float(N) A) -> (B) { B(i) = x(i) where x = A(i) }
              TC0110 at `x(i)`: `x` is a name of `where` and takes no subscripts
                help: write `x` alone
            def f(float(N) A) -> (B) { B(i) = A(i) where i = 3 }
              TC0103 at `i`: `i` has a meaning in this statement already
                help: use another name
            def f(float(N) A) -> (B) { B(i) = x where x = A(i), x = 2 }
              TC0103 at `x`: `x` has a meaning in this statement already
                help: use another name
            def f(float(N) A) -> (B) { B(i) = 2 * x where x = A(i), x in 1:2 }
              TC0115 at `x`: `x` is no index of this statement and cannot have a range
                help: remove the range, or use the index in the statement
            def f(float(N) A) -> (B) { B(i) = A(i) B = 1 }
              TC0108 at `B`: `B` has rank 1, and 0 indices are given
                `B`: the rank comes from here
                help: write every statement of a tensor with the same number of indices
            def f(float(N) A) -> (B, C) { C(i) = B(i) B(i) = A(i) }
              TC0118 at `B(i)`: `B` is read before a statement writes it
                `B`: declared here
                help: write it first
            def f(float(N) A) -> (B) { B(i) = B(i) + A(i) }
              TC0118 at `B(i)`: `B` is read before a statement writes it
                `B`: declared here
                help: write it first
            def f(float(N) A) -> (B) { B(i) = fma(A(i), A(i)) }
              TC0112 at `fma(A(i), A(i))`: `fma` takes 3 arguments, and 2 are given
                help: give as many arguments as the function takes
            def f(A) -> (B) { B(i) = A(i) }
              TC0117 at `A`: the input `A` has no type
                help: write `float(N) A`, with as many sizes as it has dimensions
        "#]],
    );
}

#[test]
fn types() {
    rejects(
        &[
            "def f(int32(N) A) -> (B) { B(i) = A(i + .5) }",
            "def f(float(N) A) -> (B) { B(i) = A(i > 0) where i in 0:N }",
            "def f(float(N) A) -> (B) { B(i) = 1 ? A(i) : 0 }",
            "def f(float(N) A) -> (B) { B(i) = A(i) && true }",
            "def f(float(N) A) -> (B) { B(i) = !A(i) }",
            "def f(bool(N) A) -> (B) { B(i) = A(i) + A(i) }",
            "def f(bool(N) A) -> (B) { B(i) = -A(i) }",
            "def f(bool(N) A) -> (B) { B max=! A(i) }",
            "def f(float(N) A) -> (int32(N) B) { B(i) = A(i) }",
            "def f(float(N) A) -> (float(N, N) B) { B(i) = A(i) }",
            "def f(float(8) A) -> (float(4) B) { B(i) = A(i) }",
        ],
        expect![[r#"
            def f(int32(N) A) -> (B) { B(i) = A(i + .5) }
              TC0201 at `i + .5`: a subscript of `A` has type `float`, and subscripts are whole numbers
                help: write `int32(…)` around it
            def f(float(N) A) -> (B) { B(i) = A(i > 0) where i in 0:N }
              TC0201 at `i > 0`: a subscript of `A` has type `bool`, and subscripts are whole numbers
                help: write `int32(…)` around it
            def f(float(N) A) -> (B) { B(i) = 1 ? A(i) : 0 }
              TC0202 at `1`: the condition of `?:` has type `int32` and must be `bool`
                `1 ? A(i) : 0`: in this choice
                help: compare it: `… != 0`
            def f(float(N) A) -> (B) { B(i) = A(i) && true }
              TC0203 at `A(i) && true`: `&&` needs `bool` operands and got `float`
                help: compare with `!= 0`; arithmetic uses `+`, `*`, `min` and `max`
            def f(float(N) A) -> (B) { B(i) = !A(i) }
              TC0203 at `!A(i)`: `!` needs `bool` operands and got `float`
                help: compare with `!= 0`; arithmetic uses `+`, `*`, `min` and `max`
            def f(bool(N) A) -> (B) { B(i) = A(i) + A(i) }
              TC0206 at `A(i) + A(i)`: `+` does not work on `bool`
                help: write `int32(…)` around it, or use `&&`, `||`, `!`
            def f(bool(N) A) -> (B) { B(i) = -A(i) }
              TC0206 at `-A(i)`: `-` does not work on `bool`
                help: write `int32(…)` around it, or use `&&`, `||`, `!`
            def f(bool(N) A) -> (B) { B max=! A(i) }
              TC0206 at `A(i)`: `max=!` does not work on `bool`
                help: write `int32(…)` around it, or use `&&`, `||`, `!`
            def f(float(N) A) -> (int32(N) B) { B(i) = A(i) }
              TC0204 at `A(i)`: a value of type `float` does not fit into `B`, which is declared `int32`
                help: write `int32(…)` around the value to narrow it
            def f(float(N) A) -> (float(N, N) B) { B(i) = A(i) }
              TC0205 at `B`: `B` is declared with rank 2, and 1 index is given
                `float(N, N)`: declared here
                help: make the two agree
            def f(float(8) A) -> (float(4) B) { B(i) = A(i) }
              TC0412 at `float(4)`: size 1 of `B` is 8 and is declared 4
                help: correct the declared size, or leave the type away
        "#]],
    );
}

#[test]
fn reductions() {
    rejects(
        &[
            "def f(float(N, M) A) -> (B) { B(i) = A(i, j) }",
            "def f(float(N) A) -> (B) { B(i) = A(i) + wieght where exists A(i) }",
            "def f(float(N, M) A) -> (C) { T(i) max= A(i, j) C(i) = T(i) }",
        ],
        expect![[r#"
            def f(float(N, M) A) -> (B) { B(i) = A(i, j) }
              TC0301 at `j`: `=` does not reduce, and `j` is not on the left-hand side
                help: write `+=!` for a sum over `j`, or put it on the left
            def f(float(N) A) -> (B) { B(i) = A(i) + wieght where exists A(i) }
              TC0301 at `wieght`: `=` does not reduce, and `wieght` is not on the left-hand side
                help: write `+=!` for a sum over `wieght`, or put it on the left
            def f(float(N, M) A) -> (C) { T(i) max= A(i, j) C(i) = T(i) }
              TC0303 at `T`: `max=` goes on from `T`, which has no contents yet and is not returned
                help: write `max=!` to start from nothing
        "#]],
    );
}

#[test]
fn ranges() {
    rejects(
        &[
            "def f(float(I_0, I_1, I_2) A) -> (O) { O(i) +=! A(i + j, i + j, i + j) }",
            "def f(float(N, M) I) -> (O) { O(i, j) = I(10 + i - j, i + j) }",
            "def f(float(I_0, I_1, I_2, I_3, I_4) I) -> (O) { O(i, j, k, l, m) = I(j, i, k, i, l) }",
            "def f(float(K) S) -> (O) { O min=! S(k) == 1 ? k : n }",
            "def f(float(N) A) -> (O) { O(i) = A(i % 3) }",
            "def f(int32(N) I, float(M) A) -> (O) { O(i, j) = A(I(i) + j) }",
            "def f(float(N) A) -> (O) { O(i) = A(i) where i in 5:5 }",
            "def f(float(N) A) -> (O) { O(i) = A(i) where i in N:N-3 }",
            "def f(float(3) A) -> (O) { O(i) = A(i - 1) + A(i + 5) }",
            "def f(float(N) A) -> (O) { O(i) = A(i - 1) where i in 0:N }",
            "def f(float(3) A) -> (O) { O = A(3) }",
            "def f(float(N) A, float n) -> (O) { O(i) = A(i) where i in 0:n }",
            "def f(float(N) A, float(M) n) -> (O) { O(i) = A(i) where i in 0:n(0) }",
            "def f(float(N, M) A) -> (O) { O(i, j) = A(i, j) where i in 0:N*M }",
            "def f(float(N) A) -> (O) { O(i) = A(i) where i in 0:sin(3) }",
            "def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:N, j in 0:j }",
            "def f(float(N) A) -> (O) { O(i) +=! A(j) * k where i in 0:N, j in 0:k+1, k in 0:j+1 }",
            "def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:N, j in i:i }",
            "def f(float(Num) A) -> (O) { O(i) = A(i) where i in 0:num }",
            "def f(float(N) A) -> (O) { O(i) = A(4611686018427387904 * i * 4) }",
        ],
        expect![[r#"
            def f(float(I_0, I_1, I_2) A) -> (O) { O(i) +=! A(i + j, i + j, i + j) }
              TC0402 at `i`: `i` and `j` bound each other, and more than one largest range is possible
                `j`: with this one
                help: choose one: `where i in 0:min(min(I_0, I_1), I_2)`, which leaves `j` in 0:min(min(I_0 - min(min(I_0, I_1), I_2), I_1 - min(min(I_0, I_1), I_2)), I_2 - min(min(I_0, I_1), I_2)) + 1; `where j in 0:min(min(I_0, I_1), I_2)`, which leaves `i` in 0:min(min(I_0 - min(min(I_0, I_1), I_2), I_1 - min(min(I_0, I_1), I_2)), I_2 - min(min(I_0, I_1), I_2)) + 1
            def f(float(N, M) I) -> (O) { O(i, j) = I(10 + i - j, i + j) }
              TC0402 at `i`: `i` and `j` bound each other, and more than one largest range is possible
                `j`: with this one
                help: choose one: `where i in 0:min(N - 10, M)`, which leaves `j` in 0:min(M - min(N - 10, M), 10) + 1; `where j in 11 - min(N, 11):min(M, 11)`, which leaves `i` in max(min(N, 11), min(M, 11)) - 11:min(N - min(N, 11), M - min(M, 11)) + 1
            def f(float(I_0, I_1, I_2, I_3, I_4) I) -> (O) { O(i, j, k, l, m) = I(j, i, k, i, l) }
              TC0404 at `m`: nothing on the right-hand side says how far `m` runs
                help: add `where m in 0:…`
            def f(float(K) S) -> (O) { O min=! S(k) == 1 ? k : n }
              TC0401 at `n`: `n` is a new reduction index, and no subscript says how far it runs
                help: add `where n in 0:…`, or correct the name if it was not meant as an index
            def f(float(N) A) -> (O) { O(i) = A(i % 3) }
              TC0404 at `i`: nothing on the right-hand side says how far `i` runs
                help: add `where i in 0:…`
            def f(int32(N) I, float(M) A) -> (O) { O(i, j) = A(I(i) + j) }
              TC0404 at `j`: nothing on the right-hand side says how far `j` runs
                help: add `where j in 0:…`
            def f(float(N) A) -> (O) { O(i) = A(i) where i in 5:5 }
              TC0403 at `i in 5:5`: the range of `i` is empty: from 5 to 4
                help: a range `a:b` runs from a to b - 1; make b larger than a
            def f(float(N) A) -> (O) { O(i) = A(i) where i in N:N-3 }
              TC0403 at `i in N:N-3`: the range of `i` is empty: from N to N - 4
                help: a range `a:b` runs from a to b - 1; make b larger than a
            def f(float(3) A) -> (O) { O(i) = A(i - 1) + A(i + 5) }
              TC0403 at `i`: the range of `i` is empty: from 1 to -3
                help: a range `a:b` runs from a to b - 1; make b larger than a
            def f(float(N) A) -> (O) { O(i) = A(i - 1) where i in 0:N }
              TC0407 at `A(i - 1)`: subscript 1 of `A` runs before the first element for all sizes
                `A`: declared here
                help: restrict the range in `where`, or change the subscript
            def f(float(3) A) -> (O) { O = A(3) }
              TC0407 at `A(3)`: subscript 1 of `A` runs past the last element for all sizes
                `A`: declared here
                help: restrict the range in `where`, or change the subscript
            def f(float(N) A, float n) -> (O) { O(i) = A(i) where i in 0:n }
              TC0405 at `n`: a bound cannot depend on `n`, whose values are known only while running
                help: use sizes and numbers, and choose the elements in the value: `i < n ? A(i) : 0`
            def f(float(N) A, float(M) n) -> (O) { O(i) = A(i) where i in 0:n(0) }
              TC0405 at `n(0)`: a bound cannot depend on `n`, whose values are known only while running
                help: use sizes and numbers, and choose the elements in the value: `i < n ? A(i) : 0`
            def f(float(N, M) A) -> (O) { O(i, j) = A(i, j) where i in 0:N*M }
              TC0406 at `N*M`: a bound must be affine in the sizes
                help: sums, products with a number, division and remainder by a number, min and max are affine
            def f(float(N) A) -> (O) { O(i) = A(i) where i in 0:sin(3) }
              TC0411 at `sin(3)`: `sin` in a bound does not give a whole number
                help: bounds are whole: sums and multiples of sizes and numbers, with `/`, `%`, `min` and `max`
            def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:N, j in 0:j }
              TC0408 at `j`: the range of `j` mentions `j` itself
                help: bound it by sizes and numbers
            def f(float(N) A) -> (O) { O(i) +=! A(j) * k where i in 0:N, j in 0:k+1, k in 0:j+1 }
              TC0408 at `j in 0:k+1`: the range of `j` depends on itself through other ranges
                help: bound one of the indices by sizes and numbers
            def f(float(N) A) -> (O) { O(i) +=! A(j) where i in 0:N, j in i:i }
              TC0403 at `j in i:i`: the range of `j` is empty: from i to i - 1
                help: a range `a:b` runs from a to b - 1; make b larger than a
            def f(float(Num) A) -> (O) { O(i) = A(i) where i in 0:num }
              TC0116 at `num`: `num` is no size
                help: did you mean `Num`?
            def f(float(N) A) -> (O) { O(i) = A(4611686018427387904 * i * 4) }
              TC0410 at `4611686018427387904 * i * 4`: the numbers or the expressions here are too large to reason about
                help: use smaller numbers, or give the ranges in `where`
        "#]],
    );
}

#[test]
fn warnings() {
    let programs = [
        "def f(float(N, M) A) -> (B) { B(i) += A(i, j) }",
        "def f(float(Rows, N) A) -> (B) { B +=! A(i, j) * rows where rows in 0:3 }",
        "def f(float(N) A) -> (B) { B(i) = A(i) where i in 0:2, i in 0:1 }",
        "def f(double(N) A) -> (B) { B = 0 B += A(i) }",
    ];
    assert!(programs.iter().all(|program| !check(program).has_errors()));
    expect![[r#"
        def f(float(N, M) A) -> (B) { B(i) += A(i, j) }
          warning TC0302 at `B`: `+=` goes on from what the caller's `B` holds
            help: write `+=!` to start from nothing
        def f(float(Rows, N) A) -> (B) { B +=! A(i, j) * rows where rows in 0:3 }
          warning TC0102 at `rows`: `rows` is not declared, so it is a new reduction index
            help: did you mean `Rows`?
        def f(float(N) A) -> (B) { B(i) = A(i) where i in 0:2, i in 0:1 }
          warning TC0409 at `i in 0:1`: `i` gets a second range, and the last one holds
            `i in 0:2`: this one has no effect
            help: remove one of the two
        def f(double(N) A) -> (B) { B = 0 B += A(i) }
          warning TC0207 at `A(i)`: a value of type `double` is narrowed to `int32`, the type that `B` got first
            help: write `int32(…)` around the value to narrow it
    "#]]
    .assert_eq(&told(&programs));
}
