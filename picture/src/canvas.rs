//! A picture to draw on: pixels, text, and the PNG file that it becomes.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_9X15, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle, MonoTextStyleBuilder};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{DrawTarget, Drawable};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use mrisynth::{Error, Result};

/// Red, green, blue.
pub type Colour = [u8; 3];

/// The brightest colour.
pub const WHITE: Colour = [255, 255, 255];

/// How large letters are.
#[derive(Clone, Copy, Debug)]
pub enum Letters {
    /// 7 x 13 pixels.
    Small,
    /// 9 x 15 pixels.
    Medium,
    /// 10 x 20 pixels.
    Large,
}

impl Letters {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Small => &FONT_7X13,
            Self::Medium => &FONT_9X15,
            Self::Large => &FONT_10X20,
        }
    }

    /// Pixels from one letter to the next, and from one line to the next.
    pub fn size(self) -> [u32; 2] {
        let Size { width, height } = self.font().character_size;
        [width + self.font().character_spacing, height]
    }
}

/// Where a text lies about its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// The point is the text's top left corner.
    TopLeft,
    /// The middle of its top.
    TopCentre,
    /// The middle of its bottom.
    BottomCentre,
    /// The middle of its left edge.
    MiddleLeft,
    /// The middle of its right edge.
    MiddleRight,
}

impl Anchor {
    fn parts(self) -> (Alignment, Baseline) {
        match self {
            Self::TopLeft => (Alignment::Left, Baseline::Top),
            Self::TopCentre => (Alignment::Center, Baseline::Top),
            Self::BottomCentre => (Alignment::Center, Baseline::Bottom),
            Self::MiddleLeft => (Alignment::Left, Baseline::Middle),
            Self::MiddleRight => (Alignment::Right, Baseline::Middle),
        }
    }
}

/// A picture, black at first.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: u32,
    height: u32,
    /// Red, green and blue of each pixel, row by row from the top.
    bytes: Vec<u8>,
}

impl Canvas {
    /// A black picture of so many pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, bytes: vec![0; 3 * width as usize * height as usize] }
    }

    /// The canvases, all of one width, below each other.
    pub fn stacked(width: u32, canvases: &[Self]) -> Self {
        let height = canvases.iter().map(|canvas| canvas.height).sum();
        let bytes = canvases.iter().flat_map(|canvas| &canvas.bytes).copied().collect();
        Self { width, height, bytes }
    }

    /// Colours a pixel; beyond the edges there is nothing to colour.
    pub fn set(&mut self, x: i32, y: i32, colour: Colour) {
        let inside = (0..self.width as i32).contains(&x) && (0..self.height as i32).contains(&y);
        if inside {
            let at = 3 * (y as usize * self.width as usize + x as usize);
            self.bytes[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Writes a line of text; letters that the font lacks become question marks. `behind` blackens what is behind it.
    pub fn text(
        &mut self,
        (x, y): (i32, i32),
        anchor: Anchor,
        letters: Letters,
        colour: Colour,
        behind: bool,
        text: &str,
    ) {
        let [red, green, blue] = colour;
        let mut style =
            MonoTextStyleBuilder::new().font(letters.font()).text_color(Rgb888::new(red, green, blue));
        if behind {
            style = style.background_color(Rgb888::BLACK);
        }
        let style: MonoTextStyle<'_, Rgb888> = style.build();
        let (alignment, baseline) = anchor.parts();
        let place = TextStyleBuilder::new().alignment(alignment).baseline(baseline).build();
        let Ok(_) = Text::with_text_style(text, Point::new(x, y), style, place).draw(self);
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(&self.bytes)?;
                writer.finish()
            })
            .map_err(|fault| Error::Internal(format!("a picture could not be encoded: {fault}")))?;
        Ok(file)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            self.set(x, y, [colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_in_the_file() {
        let mut canvas = Canvas::new(40, 30);
        canvas.set(3, 2, [9, 8, 7]);
        canvas.set(-1, 2, WHITE);
        canvas.set(3, 30, WHITE);
        canvas.text((39, 29), Anchor::TopLeft, Letters::Large, WHITE, true, "beyond the edge");
        let file = canvas.to_png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((frame.width, frame.height, frame.color_type), (40, 30, png::ColorType::Rgb));
        assert_eq!(bytes[3 * 83..3 * 84], [9, 8, 7]);
        assert_eq!(bytes.iter().filter(|byte| **byte > 0).count(), 3);
    }

    #[test]
    fn text_is_drawn_about_its_point() {
        let mut canvas = Canvas::new(40, 30);
        canvas.text((20, 15), Anchor::MiddleRight, Letters::Small, WHITE, false, "RR");
        let drawn: Vec<_> = (0..1200).filter(|pixel| canvas.bytes[3 * pixel] > 0).collect();
        assert!(drawn.iter().all(|pixel| (6..20).contains(&(pixel % 40)) && (8..23).contains(&(pixel / 40))));
        assert!(drawn.len() > 20);
    }
}
