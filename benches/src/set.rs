//! The kernels that Tensor Comprehensions was measured with (Vasilache and others, arXiv 1802.04730), written anew from
//! their formulas, with their sizes, and for each a script of two levels of tiles.

/// A program, its sizes, and a typical script.
pub struct Scheduled {
    /// How it prints.
    pub name: &'static str,
    /// The TC text.
    pub text: &'static str,
    /// The values of the sizes, by name.
    pub sizes: &'static [(&'static str, i64)],
    /// Uses of [`LIBRARY`].
    pub script: &'static str,
}

/// What the scripts use. `two_levels` is a matrix product in any disguise: tiles for the second cache, tiles in these for
/// the first, the reduction over its strips, a block of registers, threads.
pub const LIBRARY: &str = "
define two_levels(m, n, k, m2, n2, k2, m1, n1) {
    tile m n k by m2 n2 k2 as mo no ko / mi ni ki
    tile mi ni by m1 n1 as mm nm / mr nr
    reorder ko mm nm ki mr nr
    vectorise nr by 16 as nv_o nv
    unroll mr by 4 as mu_o mu
    parallel mo
}
define two_loops(m, n, m2, n2, m1, n1) {
    tile m n by m2 n2 as mo no / mi ni
    tile mi ni by m1 n1 as mm nm / mr nr
    vectorise nr by 16 as nv_o nv
    parallel mo
}
define rows(n, k, n2, k2) {
    tile n k by n2 k2 as no ko / ni ki
    split ki by 64 as kio kii
    unroll ni by 4 as nu_o nu
    parallel no
}
";

/// The set.
pub const SET: &[Scheduled] = &[
    Scheduled {
        name: "tmm 128x1024x1024",
        text: "def tmm(float(M,K) A, float(N,K) B) -> (C) { C(m,n) +=! A(m,k) * B(n,k) }",
        sizes: &[("M", 128), ("N", 1024), ("K", 1024)],
        script: "two_levels(C.update.m, C.update.n, C.update.k, 64, 256, 256, 8, 32)",
    },
    Scheduled {
        name: "tbmm 500x26x72x26",
        text: "def tbmm(float(B,N,M) X, float(B,M,K) Y) -> (Z) { Z(b,n,k) +=! X(b,n,m) * Y(b,m,k) }",
        sizes: &[("B", 500), ("N", 26), ("M", 72), ("K", 26)],
        script: "two_levels(Z.update.n, Z.update.k, Z.update.m, 16, 16, 32, 4, 16)\nparallel Z.init.b",
    },
    Scheduled {
        name: "group convolution",
        text: "def group(float(N,G,C,H,W) I, float(G,F,C,KH,KW) V, float(G,F) bias) -> (O) {
                 O(n,g,f,h,w) +=! I(n,g,c,h+kh,w+kw) * V(g,f,c,kh,kw)
                 O(n,g,f,h,w) = O(n,g,f,h,w) + bias(g,f)
               }",
        sizes: &[("N", 32), ("G", 32), ("C", 4), ("F", 4), ("H", 58), ("W", 58), ("KH", 3), ("KW", 3)],
        script: "two_levels(O.update.h, O.update.w, O.update.c, 28, 32, 4, 4, 16)",
    },
    Scheduled {
        name: "convolution",
        text: "def conv(float(N,C,H,W) I, float(F,C,KH,KW) V, float(F) bias) -> (O) {
                 O(n,f,h,w) +=! I(n,c,h+kh,w+kw) * V(f,c,kh,kw)
                 O(n,f,h,w) = O(n,f,h,w) + bias(f)
               }",
        sizes: &[("N", 32), ("C", 4), ("F", 4), ("H", 58), ("W", 58), ("KH", 3), ("KW", 3)],
        script: "two_levels(O.update.h, O.update.w, O.update.c, 28, 32, 4, 4, 16)",
    },
    Scheduled {
        name: "1LUT",
        text: "def lut(float(E,D) T, int32(B,L) I) -> (O) { O(b,d) +=! T(I(b,l),d) }",
        sizes: &[("E", 10_000_000), ("D", 64), ("B", 128), ("L", 50)],
        script: "two_levels(O.update.b, O.update.d, O.update.l, 32, 64, 32, 4, 32)",
    },
    Scheduled {
        name: "2LUT",
        text: "def luts(float(E,D) T, int32(B,L) I, float(F,D) U, int32(B,K) J) -> (O, P) {
                 O(b,d) +=! T(I(b,l),d)
                 P(b,d) +=! U(J(b,k),d)
               }",
        sizes: &[("E", 10_000_000), ("D", 64), ("B", 128), ("L", 50), ("F", 10_000_000), ("K", 50)],
        script: "two_levels(O.update.b, O.update.d, O.update.l, 32, 64, 32, 4, 32)
                 two_levels(P.update.b, P.update.d, P.update.k, 32, 64, 32, 4, 32)",
    },
    Scheduled {
        name: "C3 128x1000x1024",
        text: "def c3(float(B,X) I, float(Y,X) W) -> (O) { O(b,y) +=! I(b,x) * W(y,x) }",
        sizes: &[("B", 128), ("X", 1000), ("Y", 1024)],
        script: "two_levels(O.update.b, O.update.y, O.update.x, 64, 256, 256, 8, 32)",
    },
    Scheduled {
        name: "MLP1 128x2000x128",
        text: "def mlp1(float(B,M) I, float(M,N) W, float(N) bias) -> (O) {
                 O(b,n) +=! I(b,m) * W(m,n)
                 O(b,n) = fmax(O(b,n) + bias(n), 0)
               }",
        sizes: &[("B", 128), ("M", 2000), ("N", 128)],
        script: "two_levels(O.update.b, O.update.n, O.update.m, 32, 64, 256, 8, 32)",
    },
    Scheduled {
        name: "MLP3",
        text: "def mlp3(float(B,N) I, float(O,N) U, float(O) u, float(P,O) V, float(P) v, float(Q,P) W, float(Q) w)
                 -> (X, Y, Z) {
                 X(b,o) +=! I(b,n) * U(o,n)
                 X(b,o) = fmax(X(b,o) + u(o), 0)
                 Y(b,p) +=! X(b,o) * V(p,o)
                 Y(b,p) = fmax(Y(b,p) + v(p), 0)
                 Z(b,q) +=! Y(b,p) * W(q,p)
                 Z(b,q) = fmax(Z(b,q) + w(q), 0)
               }",
        sizes: &[("B", 128), ("N", 128), ("O", 64), ("P", 32), ("Q", 2)],
        script: "two_levels(X.update.b, X.update.o, X.update.n, 32, 32, 64, 8, 32)
                 two_levels(Y.update.b, Y.update.p, Y.update.o, 32, 32, 64, 8, 32)
                 parallel Z.update.b",
    },
    Scheduled {
        name: "Kronecker 32^3",
        text: "def kronecker(float(D,K) U, float(E,L) V, float(F,N) W, float(M,K,L,N) X) -> (Y, P, Q) {
                 P(m,k,l,f) +=! X(m,k,l,n) * W(f,n)
                 Q(m,k,e,f) +=! P(m,k,l,f) * V(e,l)
                 Y(m,d,e,f) +=! Q(m,k,e,f) * U(d,k)
               }",
        sizes: &[("M", 256), ("D", 16), ("E", 16), ("F", 16), ("K", 32), ("L", 32), ("N", 32)],
        script: "two_levels(P.update.l, P.update.f, P.update.n, 16, 16, 32, 4, 16)
                 two_levels(Q.update.e, Q.update.f, Q.update.l, 16, 16, 32, 4, 16)
                 two_levels(Y.update.e, Y.update.f, Y.update.k, 16, 16, 32, 4, 16)",
    },
    Scheduled {
        name: "moments 1024x36864",
        text: "def moments(float(N,K) I) -> (mean, var) {
                 mean(n) +=! I(n,k)
                 mean(n) = mean(n) / K
                 var(n) +=! I(n,k) * I(n,k)
                 var(n) = var(n) / K - mean(n) * mean(n)
               }",
        sizes: &[("N", 1024), ("K", 36864)],
        script: "rows(mean.update.n, mean.update.k, 64, 4096)\nrows(var.update.n, var.update.k, 64, 4096)",
    },
    Scheduled {
        name: "group norm 32x512x48x48",
        text: "def norm(float(N,G,D,H,W) I, float(G,D) gamma, float(G,D) beta) -> (O, S, Q) {
                 S(n,g) +=! I(n,g,d,h,w)
                 Q(n,g) +=! I(n,g,d,h,w) * I(n,g,d,h,w)
                 O(n,g,d,h,w) = gamma(g,d) * (I(n,g,d,h,w) - S(n,g) / (D * H * W))
                   * rsqrt(Q(n,g) / (D * H * W) - S(n,g) * S(n,g) / (D * H * W) / (D * H * W) + 1e-5) + beta(g,d)
               }",
        sizes: &[("N", 32), ("G", 32), ("D", 16), ("H", 48), ("W", 48)],
        script: "rows(S.update.n, S.update.g, 8, 8)\nrows(Q.update.n, Q.update.g, 8, 8)
                 two_loops(O.h, O.w, 16, 48, 4, 16)",
    },
    Scheduled {
        name: "WaveNet block",
        text: "def wavenet(float(B,R,T) X, float(D,R,2) F, float(D) f, float(D,R,2) G, float(D) g, float(R,D) V, float(R) v,
                           float(S,D) W, float(S) w, float(L) L0) -> (A, C, N, Y, Z) {
                 A(b,d,t) = f(d) where b in 0:B, d in 0:D, t in 0:T
                 A(b,d,t) += X(b,r,t) * F(d,r,1) + (t - L >= 0 ? X(b,r,t - L) * F(d,r,0) : float(0)) where t in 0:T
                 C(b,d,t) = g(d) where b in 0:B, d in 0:D, t in 0:T
                 C(b,d,t) += X(b,r,t) * G(d,r,1) + (t - L >= 0 ? X(b,r,t - L) * G(d,r,0) : float(0)) where t in 0:T
                 N(b,d,t) = tanh(A(b,d,t)) * (1 / (1 + exp(-C(b,d,t)))) where t in 0:T
                 Y(b,r,t) = X(b,r,t) + v(r)
                 Y(b,r,t) += N(b,d,t) * V(r,d)
                 Z(b,s,t) +=! N(b,d,t) * W(s,d) where t in 0:T
                 Z(b,s,t) = Z(b,s,t) + w(s) where t in 0:T
               }",
        sizes: &[("B", 1), ("R", 32), ("T", 4000), ("D", 32), ("S", 256), ("L", 32)],
        script: "two_levels(A.update.2.d, A.update.2.t, A.update.2.r, 16, 512, 32, 4, 64)
                 two_levels(C.update.2.d, C.update.2.t, C.update.2.r, 16, 512, 32, 4, 64)
                 two_levels(Z.update.s, Z.update.t, Z.update.d, 32, 512, 32, 4, 64)",
    },
];
