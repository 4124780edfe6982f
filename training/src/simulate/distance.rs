//! Distances to a part of a label map, as a field.

use mrisynth::prepare::distance;

use super::field::Field;

/// For each voxel, the distance in millimetres to the nearest voxel centre that `is_inside`; at most 1000.
pub fn distance_to(dims: [usize; 3], sizes: [f32; 3], is_inside: impl Fn(usize) -> bool + Sync) -> Field {
    Field { dims, values: distance::distance_to(dims, sizes, is_inside) }
}
