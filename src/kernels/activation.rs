//! What follows a convolution or a norm value by value, and the sum of two images.

use super::lanes::Lanes;
use super::tier::Kernel;
use super::{BLOCK, Tier};

/// A function of each value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The value itself.
    None,
    /// The value, or 0 if it is negative.
    Relu,
    /// The value, or this part (0..1) of it if it is negative.
    LeakyRelu(f32),
}

impl Activation {
    /// Of one value.
    pub(super) fn of(self, value: f32) -> f32 {
        match self {
            Self::Relu if value < 0.0 => 0.0,
            Self::LeakyRelu(slope) if value < 0.0 => slope * value,
            _ => value,
        }
    }

    /// Of each value of a vector.
    #[inline(always)]
    pub(super) fn apply<V: Lanes>(self, values: V) -> V {
        match self {
            Self::None => values,
            Self::Relu => values.max(V::splat(0.0)),
            Self::LeakyRelu(slope) => values.max(values.mul(V::splat(slope))),
        }
    }
}

/// `activation(first + second)` into `sum`, value by value.
///
/// # Panics
/// If the lengths are not the same multiple of [`BLOCK`].
pub fn add(tier: Tier, first: &[f32], second: Option<&[f32]>, activation: Activation, sum: &mut [f32]) {
    let lengths = [first.len(), second.map_or(sum.len(), <[f32]>::len)];
    assert!(lengths == [sum.len(); 2] && sum.len().is_multiple_of(BLOCK), "sizes of images");
    tier.run(Add { first, second, activation, sum });
}

struct Add<'a> {
    first: &'a [f32],
    second: Option<&'a [f32]>,
    activation: Activation,
    sum: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        for at in (0..self.sum.len()).step_by(V::COUNT) {
            // SAFETY: all lengths are the same multiple of the block, and so of the vector.
            unsafe {
                let mut value = V::load(self.first.as_ptr().add(at));
                if let Some(second) = self.second {
                    value = value.add(V::load(second.as_ptr().add(at)));
                }
                self.activation.apply(value).store(self.sum.as_mut_ptr().add(at));
            }
        }
    }
}
