//! NIfTI files to volumes and back: limits on the way in, whole files or none on the way out.
//!
//! What is read: NIfTI-1 and NIfTI-2, `.nii` and `.hdr`/`.img` pairs, plain or gzipped (told by content, not by name),
//! in either byte order, of every real voxel type. What is written: `.nii` and `.nii.gz`, little-endian.

mod extension;
mod gzip;
mod header;
mod read;
mod write;

pub use header::Header;
pub use read::{Image, comments, description, read};
pub use write::{VoxelType, WriteOptions, voxels_sha256, write};
