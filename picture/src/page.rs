//! A page: lines of text and strips of pictures below each other.

use crate::canvas::{Anchor, Canvas, Colour, Letters};

/// Pixels between pictures, and around them.
pub const GAP: u32 = 8;

/// What is drawn so far, from the top.
#[derive(Clone, Debug)]
pub struct Page {
    width: u32,
    strips: Vec<Canvas>,
}

impl Page {
    /// An empty page, so many pixels wide.
    pub fn new(width: u32) -> Self {
        Self { width, strips: Vec::new() }
    }

    /// Adds text, on more than one line if it is long.
    pub fn text(&mut self, letters: Letters, colour: Colour, text: &str) {
        let [width, height] = letters.size();
        for line in wrapped(text, (self.width.saturating_sub(2 * GAP) / width) as usize) {
            let mut strip = Canvas::new(self.width, height + GAP / 2);
            strip.text((GAP as i32, (GAP / 4) as i32), Anchor::TopLeft, letters, colour, false, &line);
            self.strips.push(strip);
        }
    }

    /// Adds a strip of pictures, which must be as wide as the page.
    pub fn strip(&mut self, strip: Canvas) {
        self.strips.push(strip);
    }

    /// All of it, as one picture.
    pub fn finish(self) -> Canvas {
        Canvas::stacked(self.width, &self.strips)
    }
}

/// The text in lines of at most `width` letters, broken between words where that can be.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (part, piece) in letters.chunks(width.max(1)).enumerate() {
            let piece: String = piece.iter().collect();
            let line = lines.last_mut().map(|line| (line.chars().count(), line));
            match line {
                Some((used, line)) if part == 0 && used + 1 + piece.chars().count() <= width => {
                    if used > 0 {
                        line.push(' ');
                    }
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert!(wrapped("", 4).is_empty());
    }
}
