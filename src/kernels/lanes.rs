//! Vectors of floats as the processor at hand has them, behind one trait.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Floats that the processor works on at once.
///
/// Values of an implementation exist only inside [`super::Tier::run`], which has seen that the processor has what it takes:
/// this is why the methods may use its instructions.
pub(super) trait Lanes: Copy {
    /// Floats in a vector; divides [`super::BLOCK`].
    const COUNT: usize;
    /// Vectors of output channels that one pass of the product makes at most: with six pixels to each, the registers are full.
    const COLUMNS: usize;

    fn splat(value: f32) -> Self;
    /// # Safety
    /// `COUNT` floats can be read at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `COUNT` floats can be written at `to`.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * factor + term`.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger of each pair of floats; `self` where it is no number, so that a fault is not hidden.
    fn max(self, other: Self) -> Self;
    /// The sum of all floats.
    fn sum(self) -> f32;
}

/// Plain Rust, for any processor.
#[derive(Clone, Copy)]
pub(super) struct Plain<const COUNT: usize>([f32; COUNT]);

impl<const COUNT: usize> Plain<COUNT> {
    #[inline(always)]
    fn zip(self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| of(self.0[lane], other.0[lane])))
    }
}

impl<const COUNT: usize> Lanes for Plain<COUNT> {
    const COUNT: usize = COUNT;
    const COLUMNS: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; COUNT])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of floats has a float's alignment.
        Self(unsafe { from.cast::<[f32; COUNT]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise; an array of floats has a float's alignment.
        unsafe { to.cast::<[f32; COUNT]>().write(self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul(factor).add(term)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { b } else { a })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.0.iter().sum()
    }
}

/// An implementation by a processor's intrinsics.
///
/// On x86 the instruction for a maximum returns its second operand where one is no number, on ARM it returns no number.
macro_rules! lanes {
    ($name:ident($vector:ty), $count:literal, $columns:literal, $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $mul_add:expr, $max:ident, $sum:expr) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name($vector);

        impl Lanes for $name {
            const COUNT: usize = $count;
            const COLUMNS: usize = $columns;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                // SAFETY: code with this type runs only on a processor that has the instructions.
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise, and the processor has the instructions.
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller's promise, and the processor has the instructions.
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: the processor has the instructions.
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: the processor has the instructions.
                Self(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: the processor has the instructions.
                Self(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: the processor has the instructions.
                Self(unsafe { ($mul_add)(self.0, factor.0, term.0) })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: the processor has the instructions.
                Self(unsafe { $max(other.0, self.0) })
            }

            #[inline(always)]
            fn sum(self) -> f32 {
                // SAFETY: the processor has the instructions.
                unsafe { ($sum)(self.0) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
lanes!(
    Avx2(__m256),
    8,
    2,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    sum_of_eight
);

#[cfg(target_arch = "x86_64")]
lanes!(
    Avx512(__m512),
    16,
    4,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    _mm512_reduce_add_ps
);

#[cfg(target_arch = "aarch64")]
lanes!(
    Neon(float32x4_t),
    4,
    4,
    vdupq_n_f32,
    vld1q_f32,
    vst1q_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    // The instruction takes the term first.
    |value, factor, term| vfmaq_f32(term, value, factor),
    vmaxq_f32,
    vaddvq_f32
);

/// # Safety
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sum_of_eight(values: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps::<1>(values));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}
