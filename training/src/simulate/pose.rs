//! How a head lies in its label map: the rotation and size that bring it to those of the MNI152 template.

use super::deform::{Matrix, product};
use super::labels::LabelMap;
use super::tissue::Tissue;

/// Angle, in degrees above the horizontal, of the line from the cerebellar cortex's centre to the caudate nuclei's in
/// MNI space: (0, -64.5, -35.5) and (0, 11, 8.5), about those of the regions of Tzourio-Mazoyer et al. 2002 (NeuroImage
/// 15:273).
const RISE: f32 = 30.2;
/// Width and length of the template's brain in millimetres, and how much of each is fluid.
const TEMPLATE: [f32; 2] = [145.0 - 4.0, 188.0 - 6.0];

/// The linear map, about the centre, that brings the head of a label map upright and to the template's size; `None` if
/// the map lacks a structure that tells how the head lies.
///
/// Scans are linearly registered to the template before they are learned from. Here a few centres do: those of the
/// right and the left putamen and hippocampus give the axis from side to side, and the line from the cerebellum to the
/// caudate nuclei gives the nod. The size is one factor for all directions.
pub fn upright(labels: &LabelMap) -> Option<Matrix> {
    let sideways = unit(sum(sides(labels, Tissue::Putamen)?, sides(labels, Tissue::Hippocampus)?))?;
    let caudate = centre(labels, Tissue::Caudate, |_| true)?;
    let rising = sum(caudate, scaled(centre(labels, Tissue::CerebellarCortex, |_| true)?, -1.0));
    let rising = unit(sum(rising, scaled(sideways, -dot(rising, sideways))))?;
    let over = cross(sideways, rising);
    let (sine, cosine) = RISE.to_radians().sin_cos();
    // Rows: where the template's axes are in the label map.
    let front = sum(scaled(rising, cosine), scaled(over, -sine));
    let top = sum(scaled(rising, sine), scaled(over, cosine));
    let rotation = [sideways, front, top];
    let length = |axis: [f32; 3]| cerebral_length(labels, axis);
    let size = ((TEMPLATE[0] * TEMPLATE[1]) / (length(sideways) * length(front)).max(1.0)).sqrt();
    Some(product(&[[size, 0.0, 0.0], [0.0, size, 0.0], [0.0, 0.0, size]], &rotation))
}

/// From the centre of a paired structure on the left to that on the right.
fn sides(labels: &LabelMap, tissue: Tissue) -> Option<[f32; 3]> {
    let middle = centre(labels, tissue, |_| true)?[0];
    let right = centre(labels, tissue, |place| place[0] > middle)?;
    let left = centre(labels, tissue, |place| place[0] <= middle)?;
    Some(sum(right, scaled(left, -1.0)))
}

/// The centre, in millimetres, of a tissue's voxels that are `chosen` by their place; `None` if there is none.
fn centre(labels: &LabelMap, tissue: Tissue, chosen: impl Fn([f32; 3]) -> bool) -> Option<[f32; 3]> {
    let mut total = [0.0_f64; 3];
    let mut count = 0;
    for (place, _) in places(labels).filter(|&(place, at)| labels.tissues[at] == tissue && chosen(place)) {
        count += 1;
        for axis in 0..3 {
            total[axis] += f64::from(place[axis]);
        }
    }
    (count > 0).then(|| total.map(|value| (value / f64::from(count)) as f32))
}

/// Length of the cerebrum along a direction, in millimetres.
fn cerebral_length(labels: &LabelMap, direction: [f32; 3]) -> f32 {
    let is_cerebrum = |at: usize| matches!(labels.tissues[at], Tissue::Cortex | Tissue::WhiteMatter);
    let along = places(labels).filter(|&(_, at)| is_cerebrum(at)).map(|(place, _)| dot(place, direction));
    let (low, high) = along.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    (high - low).max(0.0)
}

/// Millimetres of each voxel's centre, with its position in memory.
fn places(labels: &LabelMap) -> impl Iterator<Item = ([f32; 3], usize)> {
    let [width, depth, _] = labels.dims;
    (0..labels.tissues.len()).map(move |at| {
        let voxel = [at % width, at / width % depth, at / (width * depth)];
        ([0, 1, 2].map(|axis| voxel[axis] as f32 * labels.sizes[axis]), at)
    })
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|axis| a[axis] * b[axis]).sum()
}

fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn sum(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|axis| a[axis] + b[axis])
}

fn scaled(vector: [f32; 3], factor: f32) -> [f32; 3] {
    vector.map(|value| value * factor)
}

/// `None` for a vector that is too short to have a direction.
fn unit(vector: [f32; 3]) -> Option<[f32; 3]> {
    let length = dot(vector, vector).sqrt();
    (length > 1e-3).then(|| scaled(vector, 1.0 / length))
}

#[cfg(test)]
mod tests {
    use super::super::deform::rotation;
    use super::*;

    /// Structures as small cubes, placed as in the template and then turned by `matrix`.
    fn head(matrix: &Matrix) -> LabelMap {
        let dims = [200, 220, 200];
        let mut labels =
            LabelMap { dims, sizes: [1.0; 3], tissues: vec![Tissue::Background; dims.iter().product()] };
        let mut put = |tissue: Tissue, place: [f32; 3]| {
            let turned = matrix.map(|row| dot(row, place));
            let voxel = [0, 1, 2].map(|axis| (turned[axis] + 0.5 * dims[axis] as f32).round() as usize);
            labels.tissues[super::super::field::index(dims, voxel)] = tissue;
        };
        for side in [-1.0, 1.0] {
            put(Tissue::Putamen, [25.0 * side, 2.0, 0.0]);
            put(Tissue::Hippocampus, [26.0 * side, -22.0, -14.0]);
            put(Tissue::Caudate, [13.0 * side, 11.0, 8.5]);
            put(Tissue::CerebellarCortex, [24.0 * side, -64.5, -35.5]);
            put(Tissue::Cortex, [0.5 * TEMPLATE[0] * side, 0.0, 10.0]);
            put(Tissue::Cortex, [0.0, 0.5 * TEMPLATE[1] * side, 10.0]);
        }
        labels
    }

    #[test]
    fn a_turned_head_is_turned_back() {
        for (axis, angle) in [(0, 0.0), (0, 30.0), (0, -20.0), (1, 6.0), (2, -8.0)] {
            let matrix = rotation(axis, f32::to_radians(angle));
            let back = product(&upright(&head(&matrix)).unwrap(), &matrix);
            for (row, line) in back.iter().enumerate() {
                for (column, value) in line.iter().enumerate() {
                    let expected = f32::from(u8::from(row == column));
                    assert!((value - expected).abs() < 0.03, "{axis} {angle}: {back:?}");
                }
            }
        }
    }

    #[test]
    fn without_its_structures_a_head_is_left_as_it_is() {
        let mut labels = head(&rotation(0, 0.1));
        for tissue in &mut labels.tissues {
            if *tissue == Tissue::Caudate {
                *tissue = Tissue::WhiteMatter;
            }
        }
        assert_eq!(upright(&labels), None);
    }
}
