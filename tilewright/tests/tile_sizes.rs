//! Tiles whose sizes are known when a kernel is compiled, and not when its script is written.

use tilewright::{Compiler, Tensor};

const PRODUCT: &str = "
def mm(float(M, K) A, float(K, N) B) -> (C) {
    C(m, n) +=! A(m, k) * B(k, n)
}
";

fn compiler() -> Compiler {
    Compiler::host().script("tile C.update.m C.update.n by T U".parse().expect("a script"))
}

#[test]
fn every_size_gives_the_same_product() {
    let [mut a, mut b] = [[5, 7], [7, 6]].map(|shape| Tensor::zeros(runtime::DType::FLOAT32, &shape).expect("memory"));
    for (at, value) in a.as_mut_slice::<f32>().expect("float32").iter_mut().enumerate() {
        *value = (at % 5) as f32;
    }
    for (at, value) in b.as_mut_slice::<f32>().expect("float32").iter_mut().enumerate() {
        *value = (at % 3) as f32;
    }
    let product = |compiler: Compiler| compiler.compile(PRODUCT).and_then(|kernel| kernel.call(&[&a, &b]));
    let expected = product(Compiler::host()).expect("runs");
    for tile in [1, 2, 100] {
        let actual = product(compiler().tile_size("T", tile).tile_size("U", 3)).expect("runs");
        assert_eq!(actual.as_slice::<f32>(), expected.as_slice::<f32>());
    }
    let missing = product(compiler().tile_size("T", 4)).expect_err("no U").to_string();
    assert!(missing.contains("not known: U"), "{missing}");
    let zero = product(compiler().tile_size("T", 0).tile_size("U", 1)).expect_err("tiles of nothing").to_string();
    assert!(zero.contains("at least 1"), "{zero}");
}
