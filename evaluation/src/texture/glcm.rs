//! Grey-level co-occurrence matrices (Haralick et al. 1973, "Textural features for image classification", IEEE
//! Transactions on Systems, Man, and Cybernetics 3) and their properties, as scikit-image's `graycomatrix` and
//! `graycoprops` have them.

use ndarray::ArrayView2;
use serde::Serialize;

use crate::measured::Measured;
use crate::{Error, Result};

/// Standard deviations below this are none: the correlation is then 1, as in scikit-image.
const LEAST_DEVIATION: f64 = 1e-15;

/// How intensities become grey levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Levels {
    count: usize,
    low: f32,
    high: f32,
}

impl Levels {
    /// As many levels, 2 to 256: `low` becomes level 0, `high` the last one, what lies between them the nearest one, and what
    /// lies beyond them the same as they.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the count is out of range, or `low` is not below `high`.
    pub fn new(count: usize, low: f32, high: f32) -> Result<Self> {
        if !(2..=256).contains(&count) {
            return Err(Error::Invalid(format!("{count} grey levels: there may be 2 to 256")));
        }
        if !(low.is_finite() && high.is_finite() && low < high && (high - low).is_finite()) {
            return Err(Error::Invalid(format!(
                "grey levels from {low} to {high}: these must be numbers that rise"
            )));
        }
        Ok(Self { count, low, high })
    }

    /// How many levels there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The level of an intensity; 0 for one that is not a number.
    pub fn of(&self, intensity: f32) -> u8 {
        let last = (self.count - 1) as f64;
        let share =
            (f64::from(intensity) - f64::from(self.low)) / (f64::from(self.high) - f64::from(self.low));
        // A cast takes NaN to 0; halves go up.
        (share * last + 0.5).floor().clamp(0.0, last) as u8
    }
}

impl Default for Levels {
    /// 32 levels from 0 to 1.
    fn default() -> Self {
        Self { count: 32, low: 0.0, high: 1.0 }
    }
}

/// What leads from a voxel to the one that it is paired with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Offset {
    /// Rows down.
    pub rows: isize,
    /// Columns to the right.
    pub columns: isize,
}

impl Offset {
    /// At a distance in voxels in the direction of an angle in radians: sine and cosine of the angle, times the distance,
    /// rounded.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the distance is not within 1..=1000 or the angle is not finite.
    pub fn new(distance: f64, angle: f64) -> Result<Self> {
        if !(1.0..=1000.0).contains(&distance) || !angle.is_finite() {
            return Err(Error::Invalid(format!(
                "pairs {distance} voxels apart at an angle of {angle}: the distance must be 1 to 1000, the angle a number"
            )));
        }
        let along = |part: f64| (part * distance).round() as isize;
        Ok(Self { rows: along(angle.sin()), columns: along(angle.cos()) })
    }
}

/// How often pairs of grey levels occur at one offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glcm {
    offset: Offset,
    levels: usize,
    /// Row by row, the first level being the row.
    counts: Vec<u64>,
}

impl Glcm {
    /// Without a pair yet, for images of as many levels.
    pub fn new(offset: Offset, levels: &Levels) -> Self {
        let levels = levels.count();
        Self { offset, levels, counts: vec![0; levels * levels] }
    }

    /// Counts the pairs of a slice of levels that have both ends where `inside` holds. On a mask of a lesion, this is what
    /// remains when everything else is level 0, level 0 is dropped and the matrix normalized again.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the slice and the mask differ in size, or a level inside is none of the matrix'.
    pub fn add(&mut self, slice: ArrayView2<'_, u8>, inside: ArrayView2<'_, bool>) -> Result<()> {
        let (rows, columns) = slice.dim();
        if slice.dim() != inside.dim() {
            return Err(Error::Invalid(format!(
                "levels of {:?} voxels and a mask of {:?}",
                slice.dim(),
                inside.dim()
            )));
        }
        for ((row, column), _) in inside.indexed_iter().filter(|(_, inside)| **inside) {
            let partner =
                row.checked_add_signed(self.offset.rows).zip(column.checked_add_signed(self.offset.columns));
            let Some((to_row, to_column)) = partner.filter(|(row, column)| *row < rows && *column < columns)
            else {
                continue;
            };
            if inside[[to_row, to_column]] {
                let pair = [slice[[row, column]], slice[[to_row, to_column]]].map(usize::from);
                if let Some(level) = pair.into_iter().find(|level| *level >= self.levels) {
                    return Err(Error::Invalid(format!("level {level} of {} levels", self.levels)));
                }
                self.counts[pair[0] * self.levels + pair[1]] += 1;
            }
        }
        Ok(())
    }

    /// Pairs that were counted.
    pub fn pairs(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How often the second level was found at the offset from the first one.
    pub fn count(&self, first: usize, second: usize) -> u64 {
        if first < self.levels && second < self.levels {
            self.counts[first * self.levels + second]
        } else {
            0
        }
    }

    /// The matrix that counts each pair in both directions.
    #[must_use]
    pub fn symmetric(&self) -> Self {
        let both = |at: usize| {
            let (first, second) = (at / self.levels, at % self.levels);
            self.counts[at] + self.counts[second * self.levels + first]
        };
        Self { offset: self.offset, levels: self.levels, counts: (0..self.counts.len()).map(both).collect() }
    }

    /// The properties of the normalized matrix; undefined if there is no pair.
    pub fn texture(&self) -> Measured<Texture> {
        let pairs = self.pairs() as f64;
        if pairs == 0.0 {
            return Measured::undefined("no two voxels of the region are this far apart");
        }
        // The mean over pairs of a function of their levels.
        let mean = |value: &dyn Fn(f64, f64) -> f64| {
            let of_pair = |(at, count): (usize, &u64)| {
                *count as f64 * value((at / self.levels) as f64, (at % self.levels) as f64)
            };
            self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(of_pair).sum::<f64>() / pairs
        };
        let asm = self.counts.iter().map(|count| (*count as f64 / pairs).powi(2)).sum::<f64>();
        let (first, second) = (mean(&|i, _| i), mean(&|_, j| j));
        let deviation = mean(&|i, _| (i - first).powi(2)).sqrt() * mean(&|_, j| (j - second).powi(2)).sqrt();
        let covariance = mean(&|i, j| (i - first) * (j - second));
        Measured::Value(Texture {
            contrast: mean(&|i, j| (i - j).powi(2)),
            dissimilarity: mean(&|i, j| (i - j).abs()),
            homogeneity: mean(&|i, j| 1.0 / (1.0 + (i - j).powi(2))),
            energy: asm.sqrt(),
            correlation: if deviation < LEAST_DEVIATION { 1.0 } else { covariance / deviation },
            angular_second_moment: asm,
        })
    }
}

/// Properties of a co-occurrence matrix, or their averages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Texture {
    /// Mean squared difference of levels.
    pub contrast: f64,
    /// Mean absolute difference of levels.
    pub dissimilarity: f64,
    /// Mean of 1 / (1 + squared difference), 0..1.
    pub homogeneity: f64,
    /// Root of the angular second moment, 0..1.
    pub energy: f64,
    /// Correlation of both levels, -1..1; 1 where one level is the same in all pairs.
    pub correlation: f64,
    /// Sum of the matrix' squares, 0..1.
    pub angular_second_moment: f64,
}

impl Texture {
    /// The average of each property; none of none.
    pub fn average(textures: &[Self]) -> Option<Self> {
        let mean = |value: fn(&Self) -> f64| textures.iter().map(value).sum::<f64>() / textures.len() as f64;
        (!textures.is_empty()).then(|| Self {
            contrast: mean(|texture| texture.contrast),
            dissimilarity: mean(|texture| texture.dissimilarity),
            homogeneity: mean(|texture| texture.homogeneity),
            energy: mean(|texture| texture.energy),
            correlation: mean(|texture| texture.correlation),
            angular_second_moment: mean(|texture| texture.angular_second_moment),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_near, images, number, read};
    use ndarray::{Array2, s};
    use proptest::prelude::*;
    use std::f64::consts::PI;

    const ANGLES: [f64; 4] = [0.0, PI / 4.0, PI / 2.0, 3.0 * PI / 4.0];

    fn quantized() -> Array2<u8> {
        let levels = Levels::default();
        images().0.mapv(|value| levels.of(value))
    }

    fn matrix(slice: &Array2<u8>, inside: &Array2<bool>, distance: f64, angle: f64) -> Glcm {
        let mut matrix = Glcm::new(Offset::new(distance, angle).unwrap(), &Levels::default());
        matrix.add(slice.view(), inside.view()).unwrap();
        matrix
    }

    fn everywhere() -> Array2<bool> {
        Array2::from_elem((48, 40), true)
    }

    /// The disc of radius 8 that `glcm.json` of the shared files describes.
    fn disc() -> Array2<bool> {
        Array2::from_shape_fn((48, 40), |(y, x)| (x as i32 - 15).pow(2) + (y as i32 - 20).pow(2) <= 64)
    }

    fn value(texture: &Texture, property: &str) -> f64 {
        match property {
            "contrast" => texture.contrast,
            "dissimilarity" => texture.dissimilarity,
            "homogeneity" => texture.homogeneity,
            "energy" => texture.energy,
            "correlation" => texture.correlation,
            "ASM" => texture.angular_second_moment,
            other => panic!("{other}"),
        }
    }

    /// scikit-image 0.26, as `glcm.json` of the shared files has it.
    #[test]
    fn agrees_with_scikit_image() {
        let slice = quantized();
        assert_eq!(slice.iter().map(|&level| u64::from(level)).sum::<u64>(), 30_060);
        assert_eq!(slice[[10, 7]], 22);
        let raw = matrix(&slice, &everywhere(), 1.0, ANGLES[1]);
        assert_eq!((raw.pairs(), raw.count(0, 0)), (1833, 0));
        let near = raw.symmetric();
        assert_eq!(near.pairs(), 2 * 1833);
        for (texture, expected) in [
            (
                near,
                [
                    44.557_555_919_257_96,
                    4.101_472_995_090_01,
                    0.425_745_364_780_975,
                    0.082_157_023_772_275_85,
                    0.633_143_023_142_316_5,
                    0.006_749_776_555_118_298,
                ],
            ),
            (
                matrix(&slice, &everywhere(), 2.0, ANGLES[3]),
                [
                    35.470_267_321_331_164,
                    3.146_208_401_527_548,
                    0.632_509_756_995_991_8,
                    0.114_286_672_008_918_75,
                    0.707_659_600_630_611_8,
                    0.013_061_443_398_874_17,
                ],
            ),
            (
                matrix(&slice, &everywhere(), 2.0, ANGLES[2]),
                [
                    48.161_413_043_478_284,
                    4.466_847_826_086_957_5,
                    0.335_677_051_991_188_5,
                    0.135_678_126_001_342_96,
                    0.607_128_850_243_570_4,
                    0.018_408_553_875_236_3,
                ],
            ),
        ] {
            let texture = *texture.texture().value().unwrap();
            let found = ["contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM"]
                .map(|p| value(&texture, p));
            found.into_iter().zip(expected).for_each(|(found, expected)| assert_near(found, expected));
        }
        let lesion = matrix(&slice, &disc(), 1.0, ANGLES[3]).symmetric();
        assert_near(lesion.texture().value().unwrap().contrast, 44.068_965_517_241_34);
        assert_near(lesion.texture().value().unwrap().dissimilarity, 3.712_643_678_160_916_2);
    }

    #[test]
    fn agrees_with_the_shared_values() {
        let Some(file) = read("glcm.json") else { return };
        let slice = quantized();
        for (key, is_symmetric) in [("symmetric_True", true), ("symmetric_False", false)] {
            for (d, distance) in [1.0, 2.0].into_iter().enumerate() {
                for (a, angle) in ANGLES.into_iter().enumerate() {
                    let raw = matrix(&slice, &everywhere(), distance, angle);
                    let texture =
                        *(if is_symmetric { raw.symmetric() } else { raw }).texture().value().unwrap();
                    for property in
                        ["contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM"]
                    {
                        assert_near(
                            value(&texture, property),
                            number(&file, &format!("/{key}/{property}/{d}/{a}")),
                        );
                    }
                }
            }
        }
        // The rows and columns of the box include both ends.
        let in_box =
            Array2::from_shape_fn((48, 40), |(y, x)| (12..=28).contains(&y) && (7..=23).contains(&x));
        for (key, region) in [("lesion_masked", disc()), ("lesion_bbox", in_box)] {
            for (a, angle) in ANGLES.into_iter().enumerate() {
                let texture = *matrix(&slice, &region, 1.0, angle).symmetric().texture().value().unwrap();
                assert_near(texture.contrast, number(&file, &format!("/{key}/contrast/0/{a}")));
                assert_near(texture.dissimilarity, number(&file, &format!("/{key}/dissimilarity/0/{a}")));
            }
        }
        assert_eq!(
            disc().iter().filter(|inside| **inside).count() as f64,
            number(&file, "/lesion_masked/count")
        );
    }

    #[test]
    fn levels_are_the_nearest() {
        let levels = Levels::new(4, -1.0, 2.0).unwrap();
        let found = [-5.0, -1.0, -0.51, -0.5, 0.4, 1.6, 2.0, 9.0, f32::NAN].map(|value| levels.of(value));
        assert_eq!(found, [0, 0, 0, 1, 1, 3, 3, 3, 0]);
        for (count, low, high) in
            [(1, 0.0, 1.0), (257, 0.0, 1.0), (8, 1.0, 1.0), (8, f32::NAN, 1.0), (8, f32::MIN, f32::MAX)]
        {
            assert!(Levels::new(count, low, high).is_err(), "{count} {low} {high}");
        }
        assert_eq!(Levels::new(256, 0.0, 255.0).unwrap().of(255.0), 255);
    }

    #[test]
    fn offsets_are_rounded() {
        let offsets =
            ANGLES.map(|angle| Offset::new(2.0, angle).unwrap()).map(|offset| (offset.rows, offset.columns));
        assert_eq!(offsets, [(0, 2), (1, 1), (2, 0), (1, -1)]);
        assert!(Offset::new(0.0, 0.0).is_err() && Offset::new(1.0, f64::NAN).is_err());
    }

    #[test]
    fn regions_without_pairs_say_so() {
        let mut lone = Array2::from_elem((48, 40), false);
        assert!(matrix(&quantized(), &lone, 1.0, 0.0).texture().reason().is_some());
        lone[[3, 3]] = true;
        assert!(matrix(&quantized(), &lone, 1.0, 0.0).symmetric().texture().reason().is_some());
        lone[[3, 4]] = true;
        assert!(matrix(&quantized(), &lone, 1.0, 0.0).texture().value().is_some());
    }

    #[test]
    fn faults_are_named() {
        let mut small = Glcm::new(Offset::new(1.0, 0.0).unwrap(), &Levels::new(8, 0.0, 1.0).unwrap());
        let fault = small.add(quantized().view(), everywhere().view()).unwrap_err();
        assert!(fault.to_string().contains("of 8 levels"), "{fault}");
        assert!(small.add(quantized().view(), everywhere().slice(s![1.., ..])).is_err());
        assert_eq!((small.count(8, 0), Texture::average(&[])), (0, None));
    }

    fn random_slice() -> impl Strategy<Value = Array2<u8>> {
        prop::collection::vec(0_u8..32, 9 * 7)
            .prop_map(|levels| Array2::from_shape_vec((9, 7), levels).unwrap())
    }

    proptest! {
        #[test]
        fn opposite_offsets_make_one_symmetric_matrix(slice in random_slice(), distance in 1.0_f64..4.0, angle in 0.0_f64..3.0) {
            let inside = Array2::from_elem(slice.dim(), true);
            let there = matrix(&slice, &inside, distance, angle).symmetric();
            let back = matrix(&slice, &inside, distance, angle + PI).symmetric();
            prop_assert_eq!(&there.counts, &back.counts);
            if let Some(texture) = there.texture().value() {
                prop_assert!(texture.correlation.abs() <= 1.0 + 1e-9);
                prop_assert!(texture.dissimilarity.powi(2) <= texture.contrast + 1e-9);
                prop_assert!((0.0..=1.0).contains(&texture.homogeneity) && (0.0..=1.0).contains(&texture.energy));
            }
        }

        #[test]
        fn brighter_by_some_levels_is_the_same_texture(slice in random_slice(), angle in prop::sample::select(ANGLES.to_vec())) {
            let inside = Array2::from_elem(slice.dim(), true);
            let [low, high] = [0, 16].map(|more| slice.mapv(|level| level / 2 + more));
            let [low, high] = [low, high].map(|slice| *matrix(&slice, &inside, 1.0, angle).texture().value().unwrap());
            prop_assert!((low.contrast - high.contrast).abs() < 1e-9);
            prop_assert!((low.correlation - high.correlation).abs() < 1e-9);
            prop_assert!((low.energy - high.energy).abs() < 1e-9);
        }
    }
}
