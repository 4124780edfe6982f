//! The one place for limits on what an untrusted file or caller may claim.

/// Bounds that are checked before anything is allocated.
///
/// Every limit is inclusive: a value equal to it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Voxels along one axis.
    pub max_axis: u64,
    /// Voxels of one volume; with four bytes each in memory.
    pub max_voxels: u64,
    /// Bytes of a model file.
    pub max_model_bytes: u64,
    /// Elements of one tensor of a model file.
    pub max_tensor_elements: u64,
    /// Bytes of a NIfTI file's extensions.
    pub max_extension_bytes: u64,
}

impl Default for Limits {
    /// Generous for brain scans: 1024 voxels along an axis, 128 Mi voxels (512 MiB as floats), models of 512 MiB, tensors of 64 Mi elements.
    fn default() -> Self {
        Self {
            max_axis: 1024,
            max_voxels: 128 << 20,
            max_model_bytes: 512 << 20,
            max_tensor_elements: 64 << 20,
            max_extension_bytes: 16 << 20,
        }
    }
}
