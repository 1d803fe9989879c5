//! The table of scalar functions: complete, consistent, accurate.

use runtime::math;

/// The built-in functions of Tensor Comprehensions by arity, C's `fmod`, and our `round_even`.
const BUILT_INS: [(usize, &str); 4] = [
    (
        1,
        "acos acosh asin asinh atan atanh cbrt ceil cos cosh cospi cyl_bessel_i0 cyl_bessel_i1 erf erfc erfcinv \
         erfcx erfinv exp exp10 exp2 expm1 fabs floor j0 j1 lgamma log log10 log1p log2 logb normcdf normcdfinv \
         rcbrt round round_even rsqrt sin sinh sinpi sqrt tan tanh tgamma trunc y0 y1",
    ),
    (2, "atan2 copysign fdim fdivide fmax fmin fmod hypot nextafter pow remainder rhypot"),
    (3, "fma norm3d rnorm3d"),
    (4, "norm4d rnorm4d"),
];

#[test]
fn every_built_in_has_its_slots() {
    let mut count = 0;
    for (arity, names) in BUILT_INS {
        for name in names.split_whitespace() {
            assert_eq!(math::arity(name), Some(arity), "{name}");
            let single = math::slot(name, false).expect(name);
            assert_eq!(math::slot(name, true), Some(single + 1), "{name}");
            count += 1;
        }
    }
    assert_eq!(math::table().len(), 2 * count);
    assert_eq!(math::FUNCTIONS.len(), count);
    assert!(math::FUNCTIONS.is_sorted_by_key(|function| function.name));
    assert_eq!(math::slot("abs", true), None);
}

#[test]
fn each_entry_is_the_function_of_its_name() {
    for (name, x, expected) in [
        ("acos", 0.5, 0.5_f64.acos()),
        ("acosh", 1.5, 0.962_423_650_119_206_9),
        ("asin", 0.5, 0.5_f64.asin()),
        ("asinh", 0.5, 0.481_211_825_059_603_45),
        ("atan", 0.5, 0.5_f64.atan()),
        ("atanh", 0.5, 0.549_306_144_334_054_8),
        ("cbrt", 8.0, 2.0),
        ("ceil", 1.25, 2.0),
        ("cos", 0.5, 0.5_f64.cos()),
        ("cosh", 0.5, 0.5_f64.cosh()),
        ("erf", 0.5, 0.520_499_877_813_046_5),
        ("erfc", 0.5, 0.479_500_122_186_953_5),
        ("exp", 0.5, 0.5_f64.exp()),
        ("exp2", 0.5, 0.5_f64.exp2()),
        ("expm1", 0.5, 0.5_f64.exp_m1()),
        ("fabs", -0.5, 0.5),
        ("floor", -1.25, -2.0),
        ("log", 0.5, 0.5_f64.ln()),
        ("log10", 0.5, 0.5_f64.log10()),
        ("log1p", 0.5, 0.5_f64.ln_1p()),
        ("log2", 0.5, -1.0),
        ("logb", 12.0, 3.0),
        ("round", 2.5, 3.0),
        ("round_even", 2.5, 2.0),
        ("sin", 0.5, 0.5_f64.sin()),
        ("sinh", 0.5, 0.5_f64.sinh()),
        ("sqrt", 2.25, 1.5),
        ("tan", 0.5, 0.5_f64.tan()),
        ("tanh", 0.5, 0.5_f64.tanh()),
        ("tgamma", 5.0, 24.0),
        ("trunc", -1.25, -1.0),
    ] {
        assert_close(name, &[x], expected);
    }
    for (name, args, expected) in [
        ("atan2", &[1.0, -1.0][..], 1.0_f64.atan2(-1.0)),
        ("copysign", &[3.0, -0.5], -3.0),
        ("fdim", &[5.0, 3.5], 1.5),
        ("fdivide", &[5.0, 2.0], 2.5),
        ("fmax", &[5.0, 2.0], 5.0),
        ("fmin", &[5.0, 2.0], 2.0),
        ("fmod", &[-5.5, 2.0], -1.5),
        ("hypot", &[3.0, 4.0], 5.0),
        ("pow", &[2.0, 10.0], 1024.0),
        ("remainder", &[5.5, 2.0], -0.5),
        ("rhypot", &[3.0, 4.0], 0.2),
        ("fma", &[2.0, 3.0, 4.0], 10.0),
        ("norm3d", &[2.0, 3.0, 6.0], 7.0),
        ("rnorm3d", &[0.25, 0.5, 0.5], 4.0 / 3.0),
        ("norm4d", &[1.0, 1.0, 1.0, 1.0], 2.0),
        ("rnorm4d", &[1.0, -1.0, 1.0, 1.0], 0.5),
    ] {
        assert_close(name, args, expected);
    }
    assert_eq!(math::call_f64("nextafter", &[1.0, 2.0]), Some(1.0 + f64::EPSILON));
    assert_eq!(math::call_f32("nextafter", &[1.0, 2.0]), Some(1.0 + f32::EPSILON));
}

#[test]
fn functions_that_c_lacks_are_accurate() {
    for (name, rows) in REFERENCE {
        for &(x, expected) in *rows {
            let got = math::call_f64(name, &[x]).expect(name);
            let error = ulps(got, expected);
            assert!(error <= 16.0, "{name}({x:e}) = {got:e}, expected {expected:e}: {error} units in the last place");
            let single = math::call_f32(name, &[x as f32]).expect(name);
            let wide = math::call_f64(name, &[f64::from(x as f32)]).expect(name) as f32;
            assert!(single == wide || (single - wide).abs() <= 4.0 * f32::EPSILON * wide.abs(), "{name}f({x:e})");
        }
    }
}

#[test]
fn special_values() {
    let infinity = f64::INFINITY;
    for (name, x, expected) in [
        ("erfinv", 1.0, infinity),
        ("erfinv", -1.0, -infinity),
        ("erfcinv", 0.0, infinity),
        ("erfcinv", 2.0, -infinity),
        ("normcdfinv", 0.0, -infinity),
        ("normcdfinv", 1.0, infinity),
        ("normcdfinv", 0.5, 0.0),
        ("erfcx", infinity, 0.0),
        ("erfcx", -30.0, infinity),
        ("erfcx", -infinity, infinity),
        ("normcdf", infinity, 1.0),
        ("normcdf", -infinity, 0.0),
        ("cyl_bessel_i0", infinity, infinity),
        ("cyl_bessel_i1", -infinity, -infinity),
        ("cyl_bessel_i0", 800.0, infinity),
        ("sinpi", 3.0, 0.0),
        ("sinpi", 2.5, 1.0),
        ("cospi", 0.5, 0.0),
        ("cospi", 1e300, 1.0),
        ("rsqrt", 0.0, infinity),
    ] {
        assert_eq!(math::call_f64(name, &[x]), Some(expected), "{name}({x})");
    }
    for (arity, names) in BUILT_INS {
        for name in names.split_whitespace() {
            let wants_nan = !["fmax", "fmin"].contains(&name);
            let got = math::call_f64(name, &[f64::NAN; 4][..arity]).expect(name);
            assert!(got.is_nan() || !wants_nan, "{name}(NaN) = {got}");
        }
    }
    for x in [-1.5, 1.5, infinity] {
        assert!(math::call_f64("erfinv", &[x]).is_some_and(f64::is_nan), "erfinv({x})");
    }
    assert!(math::call_f64("sinpi", &[infinity]).is_some_and(f64::is_nan));
    assert_eq!(math::call_f64("sin", &[1.0, 2.0]), None);
    assert_eq!(math::call_f64("norm3d", &[1e300, 1e300, 0.0]), Some(1e300_f64.hypot(1e300)));
}

#[track_caller]
fn assert_close(name: &str, args: &[f64], expected: f64) {
    let got = math::call_f64(name, args).expect(name);
    assert!(ulps(got, expected) <= 4.0, "{name}{args:?} = {got}, expected {expected}");
    let single: Vec<f32> = args.iter().map(|&x| x as f32).collect();
    let got = math::call_f32(name, &single).expect(name);
    let tolerance = 4.0 * f32::EPSILON * (expected as f32).abs();
    assert!((got - expected as f32).abs() <= tolerance, "{name}f{args:?} = {got}, expected {expected}");
}

/// The difference in units in the last place of `expected`.
fn ulps(got: f64, expected: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    (got - expected).abs() / (f64::EPSILON * expected.abs())
}

/// Arguments and values, computed with 60 digits (mpmath 1.3) and rounded.
#[rustfmt::skip]
#[allow(clippy::approx_constant, clippy::excessive_precision, reason = "what comes out is what is compared")]
const REFERENCE: &[(&str, &[(f64, f64)])] = &[
    ("erfinv", &[
        (1e-300, 8.86226925452758e-301), (-1e-08, -8.86226925452758e-09),
        (0.1, 0.08885599049425769), (0.5, 0.4769362762044699),
        (-0.84, -0.9935356283473041), (0.86, 1.0435418436397588),
        (0.99, 1.8213863677184494), (0.9999999999, 4.572824958544925),
        (0.9999999999999999, 5.8635847487551676),
    ]),
    ("erfcinv", &[
        (1e-300, 26.209469960516124), (1e-100, 15.065574702592645),
        (1e-20, 6.601580622355143), (1e-05, 3.123413274340875),
        (0.1, 1.163087153676674), (0.5, 0.4769362762044699),
        (0.9, 0.08885599049425767), (1.0000001, -8.862269259701992e-08),
        (1.5, -0.4769362762044699), (1.9, -1.1630871536766738),
        (1.999999, -3.4589107372909473),
    ]),
    ("erfcx", &[
        (-26.0, 7.657724931490568e+293), (-5.3, 3164914574749.34),
        (-0.1, 1.1236433541992095), (1e-09, 0.9999999988716208),
        (0.5, 0.6156903441929259), (3.7, 0.1474349975371851),
        (7.999, 0.0699937837619933), (8.0, 0.06998516620088092),
        (8.1, 0.06913392017734316), (20.0, 0.02817434874105132),
        (26.5, 0.021275046685371106), (100.0, 0.005641613782989433),
        (10000000000.0, 5.641895835477563e-11), (1e+200, 5.641895835477563e-201),
    ]),
    ("normcdf", &[
        (-37.4, 1.9536815616489922e-306), (-30.1, 2.4226672179857586e-199),
        (-12.3, 4.5287069561587846e-35), (-5.0, 2.866515718791939e-07),
        (-1.1, 0.13566606094638264), (-1e-05, 0.49999601057719606),
        (0.3, 0.6179114221889527), (2.2, 0.9860965524865014),
        (7.0, 0.9999999999987201),
    ]),
    ("normcdfinv", &[
        (1e-300, -37.0470962993612), (1e-50, -14.933337534788489),
        (1e-07, -5.1993375821928165), (0.01, -2.326347874040841),
        (0.2, -0.8416212335729142), (0.4, -0.2533471031357997),
        (0.50001, 2.506628274882086e-05), (0.7, 0.5244005127080407),
        (0.99, 2.3263478740408408), (0.999999999999, 7.0344869100478356),
    ]),
    ("cyl_bessel_i0", &[
        (0.0, 1.0), (1e-05, 1.000000000025),
        (0.7, 1.1263030183068092), (5.5, 42.69464515184779),
        (14.0, 129418.56270064856), (29.9, 708478330489.0145),
        (30.1, 862432920031.7792), (55.0, 4.1487895607331774e+22),
        (300.0, 4.475847367935052e+128), (-3.3, 6.242630465183028),
        (713.0, 6.705128263670996e+307),
    ]),
    ("cyl_bessel_i1", &[
        (1e-05, 5.0000000000625004e-06), (0.7, 0.37187967777700864),
        (5.5, 38.58816461632739), (14.0, 124707.25914906985),
        (29.9, 696528308361.0927), (30.1, 847983630191.5414),
        (55.0, 4.1108986452992795e+22), (300.0, 4.468381385036955e+128),
        (-3.3, -5.180958855355928), (713.0, 6.700424559186402e+307),
    ]),
    ("sinpi", &[
        (0.1, 0.30901699437494745), (0.25, 0.7071067811865476),
        (0.75, 0.7071067811865476), (1.3, -0.8090169943749475),
        (-0.6, -0.9510565162951536), (1e-200, 3.141592653589793e-200),
        (12345.678, -0.8476779360852773), (-1.9, 0.3090169943749477),
        (4503599627.125, -0.3826834323650898),
    ]),
    ("cospi", &[
        (0.1, 0.9510565162951535), (0.25, 0.7071067811865476),
        (0.75, -0.7071067811865476), (1.3, -0.587785252292473),
        (-0.6, -0.30901699437494734), (0.5000001, -3.141592651936146e-07),
        (12345.678, 0.5305111843064241), (-1.9, 0.9510565162951535),
        (4503599627.125, -0.9238795325112867),
    ]),
    ("rsqrt", &[
        (2.0, 0.7071067811865476), (1e-300, 1e+150),
        (77000000000.0, 3.603749850782236e-06),
    ]),
    ("rcbrt", &[
        (2.0, 0.7937005259840998), (-3.0, -0.6933612743506347),
        (1e-300, 1e+100), (77000000000.0, 0.00023505514316042716),
    ]),
    ("exp10", &[
        (0.3, 1.9952623149688795), (-5.5, 3.162277660168379e-06),
        (300.1, 1.258925411794233e+300), (-300.2, 6.309573444802098e-301),
    ]),
    ("lgamma", &[
        (0.5, 0.5723649429247001), (10.1, 13.027526738633236),
        (-1.5, 0.860047015376481),
    ]),
    ("j0", &[
        (0.5, 0.9384698072408129), (10.1, -0.24902965058091),
    ]),
    ("j1", &[
        (0.5, 0.2422684576748739), (10.1, 0.01839551545757168),
    ]),
    ("y0", &[
        (0.5, -0.44451873350670656), (10.1, 0.030657380633311637),
    ]),
    ("y1", &[
        (0.5, -1.471472392670243), (10.1, 0.25084443625651326),
    ]),
];
