//! Functions of numbers.

/// `float64 → float64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FloatFn {
    /// NaN becomes NULL, −0 becomes +0: what any consumer but + − * and a numerator sees.
    Canon,
    /// NULL for zero: what a denominator is.
    NonZero,
    Abs,
    Ceil,
    Exp,
    Floor,
    Ln,
    Log10,
    /// Half away from zero.
    Round,
    Sqrt,
}

impl FloatFn {
    #[inline]
    pub fn apply(self, x: f64) -> f64 {
        match self {
            FloatFn::Canon => x + 0.0,
            FloatFn::NonZero => {
                if x == 0.0 {
                    f64::NAN
                } else {
                    x
                }
            }
            FloatFn::Abs => x.abs(),
            FloatFn::Ceil => x.ceil(),
            FloatFn::Exp => x.exp(),
            FloatFn::Floor => x.floor(),
            FloatFn::Ln => x.ln(),
            FloatFn::Log10 => x.log10(),
            FloatFn::Round => x.round(),
            FloatFn::Sqrt => x.sqrt(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            FloatFn::Canon => "canon",
            FloatFn::NonZero => "nonzero",
            FloatFn::Abs => "abs",
            FloatFn::Ceil => "ceil",
            FloatFn::Exp => "exp",
            FloatFn::Floor => "floor",
            FloatFn::Ln => "ln",
            FloatFn::Log10 => "log10",
            FloatFn::Round => "round",
            FloatFn::Sqrt => "sqrt",
        }
    }
}

/// `(float64, float64) → float64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float2Fn {
    Power,
    /// To a number of decimals, half away from zero; negative: to tens, hundreds, …
    RoundTo,
}

impl Float2Fn {
    pub fn apply(self, x: f64, y: f64) -> f64 {
        // powf(1, NaN) and powf(NaN, 0) are 1, but NULL in is NULL out.
        if x.is_nan() || y.is_nan() {
            return f64::NAN;
        }
        match self {
            Float2Fn::Power => x.powf(y),
            Float2Fn::RoundTo => round_to(x, y),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Float2Fn::Power => "power",
            Float2Fn::RoundTo => "round_to",
        }
    }
}

/// Rounds to `decimals` (truncated to a whole number). Beyond the precision of a float64 there is nothing
/// to round; above its range everything is zero.
fn round_to(x: f64, decimals: f64) -> f64 {
    if decimals >= 309.0 || !x.is_finite() {
        return x;
    }
    if decimals <= -310.0 {
        return 0.0;
    }
    let decimals = decimals as i32;
    // Powers of ten are exact up to 10^22, so scale by a positive power both ways.
    let factor = 10f64.powi(decimals.abs());
    let rounded = if decimals >= 0 { (x * factor).round() / factor } else { (x / factor).round() * factor };
    if rounded.is_finite() { rounded } else { x }
}

/// Towards zero; None for NaN and for what does not fit in 64 bits.
pub fn float_to_int(x: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&x).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding() {
        for (x, decimals, expected) in [
            (2.5, 0.0, 3.0),
            (-2.5, 0.0, -3.0),
            (1.005, 2.0, 1.0), // 1.005 is a little less than it looks
            (1234.5678, 2.0, 1234.57),
            (1250.0, -2.0, 1300.0),
            (-1250.0, -2.0, -1300.0),
            (1e300, 300.0, 1e300),
            (5e-324, -400.0, 0.0),
            (f64::INFINITY, 2.0, f64::INFINITY),
            (7.0, f64::INFINITY, 7.0),
            (7.0, f64::NEG_INFINITY, 0.0),
        ] {
            assert_eq!(Float2Fn::RoundTo.apply(x, decimals), expected, "round({x}, {decimals})");
        }
    }

    #[test]
    fn to_integers() {
        assert_eq!(float_to_int(-2.9), Some(-2));
        assert_eq!(float_to_int(-9.3e18), None);
        assert_eq!(float_to_int(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        assert_eq!(float_to_int(9_223_372_036_854_775_808.0), None);
        assert_eq!(float_to_int(f64::NAN), None);
    }
}
