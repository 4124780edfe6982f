//! Which instructions the kernels use: the best that the processor has, or those that an environment variable names.

use std::fmt;
use std::sync::OnceLock;

use super::lanes::{Lanes, Plain};

/// The environment variable that names a tier to use instead of the best: `generic`, `avx2`, `avx512` or `neon`; or `none` to leave
/// everything to tract. What the processor does not have is not used.
pub const VARIABLE: &str = "MRISYNTH_KERNELS";

/// How [`VARIABLE`] says that tract alone is to do the work.
const NO_TIER: &str = "none";

/// What two tiers, or the kernels and tract, may make of one voxel of a synthetic image (0..1) differs by no more than this.
///
/// The same sums in another order, with and without fused multiply-add, differ by rounding: by a few millionths in what
/// `bindings/cli/tests/tiers.rs` and `scripts/test-processors.sh` run. Other models and scans add up other numbers, so some thirty
/// times that is allowed, which is still a tenth of the step of the 16-bit integers that images are stored in.
pub const TOLERANCE_BETWEEN_TIERS: f32 = 1e-4;

/// A set of instructions that the kernels were compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Plain Rust: what every processor of the architecture has.
    Generic,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 (foundation).
    Avx512,
    /// ARM's vectors of four floats.
    Neon,
    /// Vectors as wide as those of AVX-512 in plain Rust: what is the same for all processors is tested with them everywhere.
    #[cfg(test)]
    Wide,
}

/// Plain Rust with vectors that every processor of today has.
type Generic = Plain<4>;

impl Tier {
    const ALL: &[Self] = &[
        Self::Avx512,
        Self::Avx2,
        Self::Neon,
        #[cfg(test)]
        Self::Wide,
        Self::Generic,
    ];

    /// As [`VARIABLE`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
            #[cfg(test)]
            Self::Wide => "wide",
        }
    }

    /// Whether this processor has its instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Generic => true,
            #[cfg(test)]
            Self::Wide => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Those that this processor has, the best first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|tier| tier.is_available())
    }

    /// The tier in use: the one that [`VARIABLE`] names if the processor has it, otherwise the best; `None` if tract alone is
    /// wanted. It is chosen once.
    pub fn current() -> Option<Self> {
        static CURRENT: OnceLock<Option<Tier>> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::choose(std::env::var(VARIABLE).ok().as_deref()))
    }

    /// The name of the tier in use, or `none` where tract alone does the work: what a record of a result says.
    pub fn current_name() -> &'static str {
        Self::current().map_or(NO_TIER, Self::name)
    }

    fn choose(wanted: Option<&str>) -> Option<Self> {
        if wanted == Some(NO_TIER) {
            return None;
        }
        let named = Self::available().find(|tier| wanted == Some(tier.name()));
        named.or_else(|| Self::available().next())
    }

    /// The most output channels that one pass of the product makes.
    pub(super) fn columns(self) -> usize {
        self.run(Columns)
    }

    /// Runs `kernel` with this tier's vectors, or plainly where the processor does not have them.
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        if !self.is_available() {
            return kernel.run::<Generic>();
        }
        match self {
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { with_avx2(kernel) },
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { with_avx512(kernel) },
            // SAFETY: the processor has the instructions.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => unsafe { with_neon(kernel) },
            #[cfg(test)]
            Self::Wide => kernel.run::<Plain<16>>(),
            _ => kernel.run::<Generic>(),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Work that is compiled for each tier. `run` and all that it calls in its loops must be inlined (`#[inline(always)]`),
/// because only then they are compiled for the tier's instructions.
pub(super) trait Kernel {
    type Output;

    fn run<V: Lanes>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<super::lanes::Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<super::lanes::Avx512>()
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn with_neon<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<super::lanes::Neon>()
}

/// Output channels of a pass of the product.
struct Columns;

impl Kernel for Columns {
    type Output = usize;

    #[inline(always)]
    fn run<V: Lanes>(self) -> usize {
        V::COUNT * V::COLUMNS
    }
}

#[cfg(test)]
mod tests {
    use super::Tier;

    #[test]
    fn the_tier_in_use_is_one_that_the_processor_has() {
        let best = Tier::choose(None);
        assert!(best.is_some_and(Tier::is_available));
        assert_eq!(Tier::choose(Some("generic")), Some(Tier::Generic));
        assert_eq!(Tier::choose(Some("none")), None);
        for unknown in ["", "AVX2", "sse9"] {
            assert_eq!(Tier::choose(Some(unknown)), best, "{unknown:?}");
        }
        assert_eq!(Tier::available().last(), Some(Tier::Generic));
    }
}
