//! NRRD files as Slicer hands volumes over: one file, header and voxels, one volume of real numbers placed in space.
//!
//! What is read: the encodings `raw` and `gzip`, either byte order, every voxel type of real numbers, the spaces LPS, RAS and
//! LAS. All that would change what the voxels mean and is not understood is refused. The geometry is kept in double precision,
//! which NIfTI has no room for.

mod header;
mod read;
mod write;

pub use read::{Image, read};
pub use write::write;
