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

/// Makes `activation(values + others)` of `values`, one by one; without others, `activation(values)`.
///
/// # Panics
/// If the lengths are not the same multiple of [`BLOCK`].
pub fn add(tier: Tier, values: &mut [f32], others: Option<&[f32]>, activation: Activation) {
    let length = others.map_or(values.len(), <[f32]>::len);
    assert!(length == values.len() && length.is_multiple_of(BLOCK), "sizes of images");
    tier.run(Add { values, others, activation });
}

struct Add<'a> {
    values: &'a mut [f32],
    others: Option<&'a [f32]>,
    activation: Activation,
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        for at in (0..self.values.len()).step_by(V::COUNT) {
            // SAFETY: both lengths are the same multiple of the block, and so of the vector.
            unsafe {
                let to = self.values.as_mut_ptr().add(at);
                let mut value = V::load(to);
                if let Some(others) = self.others {
                    value = value.add(V::load(others.as_ptr().add(at)));
                }
                self.activation.apply(value).store(to);
            }
        }
    }
}
