//! What colours mean: grey and heat for values of 0..1, and colours that the colour-blind can tell apart.

use crate::Colour;

/// The colour of a value that is no finite number.
pub const NOT_FINITE: Colour = [255, 0, 255];
/// The colour of notes beside pictures.
pub const NOTE_COLOUR: Colour = [190, 190, 190];
/// Okabe and Ito's colours, which the colour-blind can tell apart, without yellow and black.
pub const DISTINCT_COLOURS: [Colour; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233]];

/// 0..1 from black to white, what lies beyond clipped; magenta for what is no number.
pub fn grey(value: f32) -> Colour {
    if value.is_finite() { [byte(value); 3] } else { NOT_FINITE }
}

/// 0..1 from black by red and yellow to white, what lies beyond clipped; magenta for what is no number.
pub fn heat(value: f32) -> Colour {
    if value.is_finite() { [0.0, 1.0, 2.0].map(|start| byte(3.0 * value - start)) } else { NOT_FINITE }
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WHITE;

    #[test]
    fn shades_go_from_black_to_white() {
        assert_eq!([-1.0, 0.0, 0.2, 1.0, 2.0].map(|value| grey(value)[0]), [0, 0, 51, 255, 255]);
        let heats = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 5.0].map(heat);
        assert_eq!(heats, [[0; 3], [255, 0, 0], [255, 255, 0], WHITE, WHITE]);
        for value in [f32::NAN, f32::INFINITY] {
            assert_eq!([grey(value), heat(value)], [NOT_FINITE; 2]);
        }
    }
}
