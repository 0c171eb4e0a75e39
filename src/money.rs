//! Exact money: integers of micro-units (10^-6 of the reporting currency), never a binary float.
//!
//! One event's amount is a [`Micros`] (an `i64`); a sum of events is a [`Sum`] (an `i128`). An amount is at most
//! 9 x 10^12 units = 9 x 10^18 micro-units, so a `Sum` holds 10^19 of the largest amounts: more events than there are.

use std::fmt;
use std::iter;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// Micro-units in one unit.
pub const SCALE: i64 = 1_000_000;

/// An amount of one event, in micro-units; also any other decimal number with six places (a share, a count of years).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub i64);

impl Micros {
    pub const ZERO: Micros = Micros(0);
    /// The largest amount that is accepted: 9,000,000,000,000 units.
    pub const MAX: Micros = Micros(9_000_000_000_000 * SCALE);
}

/// A sum of amounts, in micro-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sum(pub i128);

impl Sum {
    pub const ZERO: Sum = Sum(0);
}

impl From<Micros> for Sum {
    fn from(micros: Micros) -> Self {
        Sum(i128::from(micros.0))
    }
}

impl Add for Sum {
    type Output = Sum;
    fn add(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }
}

impl Sub for Sum {
    type Output = Sum;
    fn sub(self, other: Sum) -> Sum {
        Sum(self.0 - other.0)
    }
}

impl Neg for Sum {
    type Output = Sum;
    fn neg(self) -> Sum {
        Sum(-self.0)
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.0 += other.0;
    }
}

impl SubAssign for Sum {
    fn sub_assign(&mut self, other: Sum) {
        self.0 -= other.0;
    }
}

impl iter::Sum for Sum {
    fn sum<I: Iterator<Item = Sum>>(sums: I) -> Sum {
        sums.fold(Sum::ZERO, Add::add)
    }
}

/// Decimal text without trailing zeros: `1999.9`, `0`, `-3.5`.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let scale = u128::from(SCALE.unsigned_abs());
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", magnitude / scale)?;
        let fraction = magnitude % scale;
        if fraction != 0 {
            let digits = format!("{fraction:06}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sum::from(*self).fmt(f)
    }
}
