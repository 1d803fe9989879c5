; The functions of `runtime::math` that the C library lacks, as `runtime/src/math/special.rs` has them, from where the formulas
; and their sources are. In double precision; those of `float` round the result.

declare double @cbrt(double) nounwind
declare double @cos(double) nounwind
declare double @erfc(double) nounwind
declare double @exp(double) nounwind
declare double @fma(double, double, double) nounwind
declare double @fmod(double, double) nounwind
declare double @hypot(double, double) nounwind
declare double @lgamma_r(double, ptr) nounwind
declare double @pow(double, double) nounwind
declare double @rint(double) nounwind
declare double @round(double) nounwind
declare double @sin(double) nounwind
declare double @log(double) nounwind
declare double @llvm.copysign.f64(double, double)
declare double @llvm.fabs.f64(double)
declare double @llvm.minnum.f64(double, double)
declare double @llvm.sqrt.f64(double)

define internal double @special.exp10(double %x) nounwind {
  %value = call double @pow(double 1.0e1, double %x)
  ret double %value
}

define internal double @special.fdivide(double %x, double %y) nounwind {
  %value = fdiv double %x, %y
  ret double %value
}

define internal double @special.lgamma(double %x) nounwind {
  %sign = alloca i32
  %value = call double @lgamma_r(double %x, ptr %sign)
  ret double %value
}

define internal double @special.rsqrt(double %x) nounwind {
  %root = call double @llvm.sqrt.f64(double %x)
  %value = fdiv double 1.0, %root
  ret double %value
}

define internal double @special.rcbrt(double %x) nounwind {
  %root = call double @cbrt(double %x)
  %value = fdiv double 1.0, %root
  ret double %value
}

define internal double @special.round_even(double %x) nounwind {
  %value = call double @rint(double %x)
  ret double %value
}

define internal double @special.rhypot(double %x, double %y) nounwind {
  %length = call double @hypot(double %x, double %y)
  %value = fdiv double 1.0, %length
  ret double %value
}

define internal double @special.norm3d(double %x, double %y, double %z) nounwind {
  %two = call double @hypot(double %x, double %y)
  %value = call double @hypot(double %two, double %z)
  ret double %value
}

define internal double @special.norm4d(double %x, double %y, double %z, double %w) nounwind {
  %first = call double @hypot(double %x, double %y)
  %second = call double @hypot(double %z, double %w)
  %value = call double @hypot(double %first, double %second)
  ret double %value
}

define internal double @special.rnorm3d(double %x, double %y, double %z) nounwind {
  %length = call double @special.norm3d(double %x, double %y, double %z)
  %value = fdiv double 1.0, %length
  ret double %value
}

define internal double @special.rnorm4d(double %x, double %y, double %z, double %w) nounwind {
  %length = call double @special.norm4d(double %x, double %y, double %z, double %w)
  %value = fdiv double 1.0, %length
  ret double %value
}

; `x` as `quadrant / 2 + rest` modulo 2: the quadrant, and the sine and the cosine of `π rest`.
define internal { i64, double, double, double } @half.turns(double %x) nounwind {
  %turn = call double @fmod(double %x, double 2.0)
  %twice = fmul double %turn, 2.0
  %nearest = call double @round(double %twice)
  %half = fdiv double %nearest, 2.0
  %rest = fsub double %turn, %half
  %is.number = fcmp ord double %nearest, 0.0
  %finite = select i1 %is.number, double %nearest, double 0.0
  %whole = fptosi double %finite to i64
  %quadrant = and i64 %whole, 3
  %angle = fmul double %rest, 0x400921FB54442D18 ; π
  %sine = call double @sin(double %angle)
  %cosine = call double @cos(double %angle)
  %first = insertvalue { i64, double, double, double } poison, i64 %quadrant, 0
  %second = insertvalue { i64, double, double, double } %first, double %rest, 1
  %third = insertvalue { i64, double, double, double } %second, double %sine, 2
  %all = insertvalue { i64, double, double, double } %third, double %cosine, 3
  ret { i64, double, double, double } %all
}

define internal double @special.sinpi(double %x) nounwind {
  %turns = call { i64, double, double, double } @half.turns(double %x)
  %quadrant = extractvalue { i64, double, double, double } %turns, 0
  %rest = extractvalue { i64, double, double, double } %turns, 1
  %sine = extractvalue { i64, double, double, double } %turns, 2
  %cosine = extractvalue { i64, double, double, double } %turns, 3
  %odd = trunc i64 %quadrant to i1
  %value = select i1 %odd, double %cosine, double %sine
  %opposite = fneg double %value
  %later = icmp ugt i64 %quadrant, 1
  %signed = select i1 %later, double %opposite, double %value
  %zero = call double @llvm.copysign.f64(double 0.0, double %x)
  %is.whole = fcmp oeq double %rest, 0.0
  %even = xor i1 %odd, true
  %is.zero = and i1 %is.whole, %even
  %result = select i1 %is.zero, double %zero, double %signed
  ret double %result
}

define internal double @special.cospi(double %x) nounwind {
  %turns = call { i64, double, double, double } @half.turns(double %x)
  %quadrant = extractvalue { i64, double, double, double } %turns, 0
  %sine = extractvalue { i64, double, double, double } %turns, 2
  %cosine = extractvalue { i64, double, double, double } %turns, 3
  %minus.sine = fsub double 0.0, %sine
  %minus.cosine = fneg double %cosine
  %is.zero = icmp eq i64 %quadrant, 0
  %is.one = icmp eq i64 %quadrant, 1
  %is.two = icmp eq i64 %quadrant, 2
  %late = select i1 %is.two, double %minus.cosine, double %sine
  %middle = select i1 %is.one, double %minus.sine, double %late
  %value = select i1 %is.zero, double %cosine, double %middle
  ret double %value
}

; erfc(-x/√2) / 2, with what rounding took from x/√2 put back.
define internal double @special.normcdf(double %x) nounwind {
  %minus = fneg double %x
  %t = fmul double %minus, 0x3FE6A09E667F3BCD ; 1/√2
  %erfc = call double @erfc(double %t)
  %half = fmul double %erfc, 0.5
  %high = fcmp olt double %t, 3.0e1
  %low = fcmp ogt double %t, -3.0e1
  %near = and i1 %high, %low
  br i1 %near, label %correct, label %far
far:
  ret double %half
correct:
  %minus.t = fneg double %t
  %lost = call double @fma(double %minus, double 0x3FE6A09E667F3BCD, double %minus.t)
  %constant = fmul double %x, 0xBC8BDD3413B26456
  %rest = fsub double %lost, %constant
  %square = fmul double %minus.t, %t
  %exp = call double @exp(double %square)
  %slope = fmul double 0x3FF20DD750429B6D, %exp ; 2/√π
  %change = fmul double %slope, %rest
  %sum = fsub double %erfc, %change
  %value = fmul double 0.5, %sum
  ret double %value
}

; The polynomial with these eight coefficients, highest power first, by Horner's rule.
define internal double @polynomial(ptr %coefficients, double %x) nounwind {
entry:
  br label %next
next:
  %at = phi i64 [ 0, %entry ], [ %at.after, %next ]
  %sum = phi double [ 0.0, %entry ], [ %sum.after, %next ]
  %from = getelementptr double, ptr %coefficients, i64 %at
  %coefficient = load double, ptr %from
  %product = fmul double %sum, %x
  %sum.after = fadd double %product, %coefficient
  %at.after = add i64 %at, 1
  %more = icmp ult i64 %at.after, 8
  br i1 %more, label %next, label %out
out:
  ret double %sum.after
}

; Numerator and denominator of PPND16: in the middle, on the shoulders, in the tails.
@centre.above = internal constant [8 x double] [double 0x40A39A296F7D925E, double 0x40E052D26B2E45E4, double 0x40F06C1C55B78F20, double 0x40E66C3E869B752A, double 0x40CAD1D8CD4EE71D, double 0x409ECE5D2213C0CC, double 0x4060A4888B1A436E, double 0x400B18D91E9EEF75]
@centre.below = internal constant [8 x double] [double 0x40B46A7ECA984B69, double 0x40DC0E457CB1AE76, double 0x40E3317CAA64F4BE, double 0x40D4B772D5D65266, double 0x40B512322E75C89F, double 0x4085797EFDC8B3F7, double 0x4045281B386E1AB5, double 0x3FF0000000000000]
@shoulder.above = internal constant [8 x double] [double 0x3F49615AC0B7ACE9, double 0x3F9744EB6C45EC67, double 0x3FCEF2ABB9B85C37, double 0x3FF453CC085375B2, double 0x400D2ECB1A3D02C4, double 0x401713F71462256A, double 0x4012857748CAB19B, double 0x3FF6C665FDE9526A]
@shoulder.below = internal constant [8 x double] [double 0x3E120D3F686439E4, double 0x3F41F18CBFDF2728, double 0x3F8F207A7EAB17BF, double 0x3FC2F5123394F040, double 0x3FE61292F23385C9, double 0x3FFAD278E6526633, double 0x40006CEFBB46A449, double 0x3FF0000000000000]
@tail.above = internal constant [8 x double] [double 0x3E8AFB74D693BF93, double 0x3EFC6EC6CC59E02A, double 0x3F545C1908425345, double 0x3F9B2B41193B4EE7, double 0x3FD2FAD9315255CF, double 0x3FFC8EA6461FA445, double 0x4015DAEA6E875003, double 0x401AA1B1C13EE526]
@tail.below = internal constant [8 x double] [double 0x3CE269BFF1F8C190, double 0x3E831446F740B9E0, double 0x3EF35C2C496374BF, double 0x3F49C8BC979DC5D7, double 0x3F8E76F93215462A, double 0x3FC186EB183443FB, double 0x3FE331D34FC7D77F, double 0x3FF0000000000000]

define internal double @quotient(ptr %above, ptr %below, double %x) nounwind {
  %numerator = call double @polynomial(ptr %above, double %x)
  %denominator = call double @polynomial(ptr %below, double %x)
  %value = fdiv double %numerator, %denominator
  ret double %value
}

; The `z` with normcdf(z) = 1/2 + offset, where `tail` is the smaller of that and of its complement.
define internal double @quantile(double %offset, double %tail) nounwind {
  %size = call double @llvm.fabs.f64(double %offset)
  %is.middle = fcmp ole double %size, 4.25e-1
  br i1 %is.middle, label %middle, label %outer
middle:
  %square = fmul double %offset, %offset
  %r.middle = fsub double 0x3FC71EB851EB851F, %square
  %numerator = call double @polynomial(ptr @centre.above, double %r.middle)
  %denominator = call double @polynomial(ptr @centre.below, double %r.middle)
  %product = fmul double %offset, %numerator
  %near = fdiv double %product, %denominator
  ret double %near
outer:
  %is.end = fcmp oeq double %tail, 0.0
  br i1 %is.end, label %end, label %inside
end:
  %infinite = call double @llvm.copysign.f64(double 0x7FF0000000000000, double %offset)
  ret double %infinite
inside:
  %log = call double @log(double %tail)
  %minus.log = fneg double %log
  %r = call double @llvm.sqrt.f64(double %minus.log)
  %is.shoulder = fcmp ole double %r, 5.0
  br i1 %is.shoulder, label %shoulder, label %far
shoulder:
  %r.shoulder = fsub double %r, 0x3FF999999999999A
  %of.shoulder = call double @quotient(ptr @shoulder.above, ptr @shoulder.below, double %r.shoulder)
  br label %out
far:
  %r.far = fsub double %r, 5.0
  %of.far = call double @quotient(ptr @tail.above, ptr @tail.below, double %r.far)
  br label %out
out:
  %magnitude = phi double [ %of.shoulder, %shoulder ], [ %of.far, %far ]
  %value = call double @llvm.copysign.f64(double %magnitude, double %offset)
  ret double %value
}

define internal double @special.normcdfinv(double %p) nounwind {
  %offset = fsub double %p, 0.5
  %other = fsub double 1.0, %p
  %tail = call double @llvm.minnum.f64(double %p, double %other)
  %value = call double @quantile(double %offset, double %tail)
  ret double %value
}

define internal double @special.erfinv(double %x) nounwind {
  %offset = fmul double 0.5, %x
  %size = call double @llvm.fabs.f64(double %x)
  %other = fsub double 1.0, %size
  %tail = fmul double 0.5, %other
  %quantile = call double @quantile(double %offset, double %tail)
  %value = fmul double %quantile, 0x3FE6A09E667F3BCD ; 1/√2
  ret double %value
}

define internal double @special.erfcinv(double %x) nounwind {
  %middle = fsub double 1.0, %x
  %offset = fmul double 0.5, %middle
  %other = fsub double 2.0, %x
  %least = call double @llvm.minnum.f64(double %x, double %other)
  %tail = fmul double 0.5, %least
  %quantile = call double @quantile(double %offset, double %tail)
  %value = fmul double %quantile, 0x3FE6A09E667F3BCD ; 1/√2
  ret double %value
}

; exp(x²) erfc(x): by the definition up to 8, with x² in two pieces; beyond, by 24 steps of Laplace's continued fraction.
define internal double @special.erfcx(double %x) nounwind {
  %is.far = fcmp ogt double %x, 8.0
  br i1 %is.far, label %fraction, label %definition
definition:
  %square = fmul double %x, %x
  %scale = call double @exp(double %square)
  %is.infinite = fcmp oeq double %scale, 0x7FF0000000000000
  br i1 %is.infinite, label %infinite, label %finite
infinite:
  ret double 0x7FF0000000000000
finite:
  %minus.square = fneg double %square
  %rounding = call double @fma(double %x, double %x, double %minus.square)
  %corrected = call double @fma(double %scale, double %rounding, double %scale)
  %erfc = call double @erfc(double %x)
  %near = fmul double %corrected, %erfc
  ret double %near
fraction:
  br label %next
next:
  %k = phi double [ 2.4e1, %fraction ], [ %k.after, %next ]
  %inner = phi double [ %x, %fraction ], [ %inner.after, %next ]
  %half = fmul double 0.5, %k
  %term = fdiv double %half, %inner
  %inner.after = fadd double %x, %term
  %k.after = fsub double %k, 1.0
  %more = fcmp oge double %k.after, 1.0
  br i1 %more, label %next, label %out
out:
  %far = fdiv double 0x3FE20DD750429B6D, %inner.after
  ret double %far
}

define internal double @special.cyl_bessel_i0(double %x) nounwind {
  %size = call double @llvm.fabs.f64(double %x)
  %value = call double @bessel(double 0.0, double %size)
  ret double %value
}

define internal double @special.cyl_bessel_i1(double %x) nounwind {
  %size = call double @llvm.fabs.f64(double %x)
  %magnitude = call double @bessel(double 1.0, double %size)
  %value = call double @llvm.copysign.f64(double %magnitude, double %x)
  ret double %value
}

; I_n(x) for x >= 0 and n 0 or 1: by its power series up to 30; beyond, by Hankel's expansion.
define internal double @bessel(double %n, double %x) nounwind {
  %is.number = fcmp one double %x, 0x7FF0000000000000
  br i1 %is.number, label %finite, label %other
other:
  ret double %x
finite:
  %is.near = fcmp ole double %x, 3.0e1
  br i1 %is.near, label %series, label %expansion

series:
  %quarter = fmul double 0.25, %x
  %quarter.square = fmul double %quarter, %x
  br label %series.next
series.next:
  %term = phi double [ 1.0, %series ], [ %term.after, %series.step ]
  %sum = phi double [ 1.0, %series ], [ %sum.after, %series.step ]
  %k = phi double [ 1.0, %series ], [ %k.after, %series.step ]
  %scaled = fmul double %sum, 0x3CB0000000000000 ; 2^-52
  %least = fmul double %scaled, 0.125
  %counts = fcmp ogt double %term, %least
  br i1 %counts, label %series.step, label %series.out
series.step:
  %k.n = fadd double %k, %n
  %divisor = fmul double %k, %k.n
  %ratio = fdiv double %quarter.square, %divisor
  %term.after = fmul double %term, %ratio
  %sum.after = fadd double %sum, %term.after
  %k.after = fadd double %k, 1.0
  br label %series.next
series.out:
  %is.zero = fcmp oeq double %n, 0.0
  %half.x = fmul double 0.5, %x
  %first = fmul double %half.x, %sum
  %near = select i1 %is.zero, double %sum, double %first
  ret double %near

expansion:
  %square.n = fmul double %n, %n
  %order = fmul double 4.0, %square.n
  br label %far.next
far.next:
  %a = phi double [ 1.0, %expansion ], [ %a.after, %far.step ]
  %total = phi double [ 1.0, %expansion ], [ %total.after, %far.step ]
  %m = phi double [ 1.0, %expansion ], [ %m.after, %far.step ]
  %size = call double @llvm.fabs.f64(double %a)
  %still = fcmp ogt double %size, 0x3C80000000000000 ; 2^-55
  br i1 %still, label %far.step, label %far.out
far.step:
  %twice = fmul double 2.0, %m
  %odd = fsub double %twice, 1.0
  %odd.square = fmul double %odd, %odd
  %above = fsub double %order, %odd.square
  %minus = fneg double %above
  %eight = fmul double 8.0, %m
  %below = fmul double %eight, %x
  %step = fdiv double %minus, %below
  %a.after = fmul double %a, %step
  %total.after = fadd double %total, %a.after
  %m.after = fadd double %m, 1.0
  br label %far.next
far.out:
  ; exp(x) overflows a little before the result does.
  %half = fmul double 0.5, %x
  %root = call double @exp(double %half)
  %circle = fmul double 0x401921FB54442D18, %x ; 2πx
  %length = call double @llvm.sqrt.f64(double %circle)
  %part = fdiv double %root, %length
  %product = fmul double %part, %total
  %far = fmul double %product, %root
  ret double %far
}
