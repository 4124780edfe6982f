//! The default models, inside the binary (feature `embedded-models`).

use super::card::Contrast;

/// A default model: its contrasts and its file.
pub(crate) struct Embedded {
    pub(crate) source: Contrast,
    pub(crate) target: Contrast,
    pub(crate) sha256: &'static str,
    pub(crate) bytes: &'static [u8],
}

#[cfg(feature = "embedded-models")]
macro_rules! embedded {
    ($source:ident, $target:ident, $file:literal) => {
        Embedded {
            source: Contrast::$source,
            target: Contrast::$target,
            sha256: include_str!(concat!("../../models/", $file, ".sha256")),
            bytes: include_bytes!(concat!("../../models/", $file)),
        }
    };
}

/// All default models of this build.
#[cfg(feature = "embedded-models")]
pub(crate) static EMBEDDED: &[Embedded] =
    &[embedded!(T2w, T1w, "t1w-from-t2w.onnx"), embedded!(T1w, T2w, "t2w-from-t1w.onnx")];

/// All default models of this build: none.
#[cfg(not(feature = "embedded-models"))]
pub(crate) static EMBEDDED: &[Embedded] = &[];
