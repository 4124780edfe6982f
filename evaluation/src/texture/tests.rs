//! Tests of a subject's texture.

use ndarray::{Array2, Array3, ShapeBuilder};
use proptest::prelude::*;

use super::*;
use crate::golden::{assert_near, images};

/// The shared image as a slice of a volume, columns along i and rows along j, between two slices of zeros.
fn image() -> Array3<f32> {
    let (slice, ..) = images();
    Array3::from_shape_fn((40, 48, 3).f(), |(i, j, k)| if k == 1 { slice[[j, i]] } else { 0.0 })
}

fn mask(inside: impl Fn(i32, i32, i32) -> bool) -> Array3<bool> {
    Array3::from_shape_fn((40, 48, 3).f(), |(i, j, k)| inside(i as i32, j as i32, k as i32))
}

fn disc(i: i32, j: i32, radius: i32) -> impl Fn(i32, i32, i32) -> bool {
    move |x, y, z| z == 1 && (x - i).pow(2) + (y - j).pow(2) <= radius * radius
}

fn of(lesions: &Array3<bool>, settings: &Settings) -> LesionTexture {
    let brain = mask(|_, _, _| true);
    of_lesions(image().view(), lesions.view(), brain.view(), [1.0; 3], settings).unwrap()
}

/// scikit-image 0.26 on a disc of radius 8, as `glcm.json` of the shared files has it, averaged over its four angles.
#[test]
fn one_lesion_agrees_with_scikit_image() {
    let found = of(&mask(disc(15, 20, 8)), &Settings::default());
    let inside = found.inside.value().unwrap();
    let contrasts =
        [32.077_777_777_777_8, 55.591_954_022_988_5, 31.255_555_555_555_596, 44.068_965_517_241_34];
    let dissimilarities =
        [2.844_444_444_444_445_4, 4.936_781_609_195_401, 2.788_888_888_888_889, 3.712_643_678_160_916_2];
    assert_near(inside.texture.contrast, contrasts.iter().sum::<f64>() / 4.0);
    assert_near(inside.texture.dissimilarity, dissimilarities.iter().sum::<f64>() / 4.0);
    assert_eq!((inside.lesions, inside.of), (1, 1));
}

#[test]
fn lesions_are_averaged_and_small_ones_counted() {
    let (first, second) = (disc(15, 20, 8), disc(30, 35, 3));
    let alone = [of(&mask(&first), &Settings::default()), of(&mask(&second), &Settings::default())]
        .map(|found| found.inside.value().unwrap().texture);
    // A third lesion of two voxels has pairs in one direction only.
    let both = mask(|x, y, z| first(x, y, z) || second(x, y, z) || (z == 1 && y == 3 && (x == 3 || x == 4)));
    let found = *of(&both, &Settings::default()).inside.value().unwrap();
    assert_eq!((found.lesions, found.of), (2, 3));
    assert_near(found.texture.contrast, 0.5 * (alone[0].contrast + alone[1].contrast));
    assert_near(found.texture.energy, 0.5 * (alone[0].energy + alone[1].energy));
}

#[test]
fn margins_are_rings_in_the_brain_without_other_lesions() {
    let lesion = disc(15, 20, 4);
    let other = disc(22, 20, 1);
    let settings = Settings { margin_mm: 4.0, ..Settings::default() };
    let lesions = mask(|x, y, z| lesion(x, y, z) || other(x, y, z));
    let brain = mask(|x, y, z| z == 1 && x + y < 43);
    let found = of_lesions(image().view(), lesions.view(), brain.view(), [1.0; 3], &settings).unwrap();
    // The same rings, voxel by voxel.
    let ring = |x: i32, y: i32, lesion: &dyn Fn(i32, i32, i32) -> bool| {
        let near = |dx: i32, dy: i32| dx * dx + dy * dy <= 16 && lesion(x + dx, y + dy, 1);
        let is_near = (-4..=4).any(|dx| (-4..=4).any(|dy| near(dx, dy)));
        is_near && !lesions[[x as usize, y as usize, 1]] && x + y < 43
    };
    let (slice, ..) = images();
    let levels = slice.mapv(|value| Levels::default().of(value));
    let expected: Vec<Texture> = [&lesion as &dyn Fn(i32, i32, i32) -> bool, &other]
        .into_iter()
        .map(|lesion| {
            let inside = Array2::from_shape_fn((48, 40), |(y, x)| ring(x as i32, y as i32, lesion));
            let textures = settings.offsets().unwrap().into_iter().map(|offset| {
                let mut matrix = Glcm::new(offset, &settings.levels);
                matrix.add(levels.view(), inside.view()).unwrap();
                *matrix.symmetric().texture().value().unwrap()
            });
            Texture::average(&textures.collect::<Vec<_>>()).unwrap()
        })
        .collect();
    let around = found.around.value().unwrap();
    assert_eq!((around.lesions, around.of), (2, 2));
    assert_near(around.texture.contrast, Texture::average(&expected).unwrap().contrast);
    assert_near(around.texture.correlation, Texture::average(&expected).unwrap().correlation);
}

#[test]
fn margins_are_in_millimetres() {
    // With slices of 3 mm a margin of 2 mm stays in the lesion's slice, with slices of 1 mm it does not.
    let lesions = mask(disc(15, 20, 4));
    let brain = mask(|_, _, z| z != 1);
    let settings = Settings { margin_mm: 2.0, ..Settings::default() };
    let around = |thickness| {
        of_lesions(image().view(), lesions.view(), brain.view(), [1.0, 1.0, thickness], &settings)
            .unwrap()
            .around
    };
    assert!(around(1.0).value().is_some());
    assert!(around(3.0).reason().is_some());
    let none = Settings { margin_mm: 0.0, ..Settings::default() };
    assert!(of(&lesions, &none).around.reason().is_some());
}

#[test]
fn subjects_without_texture_say_so() {
    let none = of(&mask(|_, _, _| false), &Settings::default());
    assert_eq!(none.inside.reason(), Some(&"there is no lesion"));
    assert_eq!(none.around.reason(), Some(&"there is no lesion"));
    let lone = of(&mask(|x, y, z| (x, y, z) == (9, 9, 1)), &Settings::default());
    assert!(lone.inside.reason().unwrap().contains("large enough"));
    let far = of(&mask(disc(15, 20, 4)), &Settings { distances: vec![1.0, 30.0], ..Settings::default() });
    assert!(far.inside.reason().unwrap().contains("large enough"));
    assert!(!serde_json::to_string(&far).unwrap().contains("null"));
}

#[test]
fn bad_input_is_refused() {
    let (lesions, brain) = (mask(disc(15, 20, 4)), mask(|_, _, _| true));
    let fault = |settings: Settings| {
        of_lesions(image().view(), lesions.view(), brain.view(), [1.0; 3], &settings).unwrap_err().to_string()
    };
    assert!(fault(Settings { distances: vec![], ..Settings::default() }).contains("a distance and an angle"));
    assert!(fault(Settings { distances: vec![0.2], ..Settings::default() }).contains("1 to 1000"));
    assert!(fault(Settings { margin_mm: f64::NAN, ..Settings::default() }).contains("margin"));
    let small = lesions.slice(s![.., .., ..2]);
    assert!(of_lesions(image().view(), small, brain.view(), [1.0; 3], &Settings::default()).is_err());
    let mut broken = image();
    broken[[0, 0, 0]] = f32::NAN;
    assert!(of_lesions(broken.view(), lesions.view(), brain.view(), [1.0; 3], &Settings::default()).is_err());
    assert!(
        of_lesions(image().view(), lesions.view(), brain.view(), [0.0; 3], &Settings::default()).is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn texture_does_not_depend_on_where_a_lesion_lies(i in 10_i32..18, j in 10_i32..18, k in 0_i32..3) {
        // A pattern that moves with its lesion.
        let image = Array3::from_shape_fn((40, 48, 3), |(x, y, _)| {
            (((x as i32 - i) * 7 + (y as i32 - j) * 11).rem_euclid(13)) as f32 / 13.0
        });
        let lesions = mask(|x, y, z| z == k && (x - i).pow(2) + (y - j).pow(2) <= 9);
        let brain = mask(|_, _, z| z == k);
        let found = of_lesions(image.view(), lesions.view(), brain.view(), [1.0; 3], &Settings::default()).unwrap();
        let texture = found.inside.value().unwrap().texture;
        let home = Array3::from_shape_fn((40, 48, 3), |(x, y, _)| {
            (((x as i32 - 12) * 7 + (y as i32 - 12) * 11).rem_euclid(13)) as f32 / 13.0
        });
        let lesions = mask(disc(12, 12, 3));
        let brain = mask(|_, _, z| z == 1);
        let at_home = of_lesions(home.view(), lesions.view(), brain.view(), [1.0; 3], &Settings::default()).unwrap();
        prop_assert_eq!(texture, at_home.inside.value().unwrap().texture);
        prop_assert_eq!(found.around.value(), at_home.around.value());
    }
}
