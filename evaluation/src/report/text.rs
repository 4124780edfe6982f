//! Text from users, made safe to stand in HTML, SVG, Markdown and on axes; numbers as readers write them.

use crate::{Error, Result};

/// The text without control characters, which XML cannot hold; each becomes U+FFFD, tabs and line ends a space.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\t' | '\n' | '\r' => ' ',
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            control if control.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}

/// The text for HTML and XML, in elements and in quoted attributes.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The text for Markdown, a cell of a table included.
pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in clean(text).chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The number with so many decimals and a true minus sign; nothing is written as minus zero.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(size) if size.chars().all(|letter| matches!(letter, '0' | '.')) => size.to_owned(),
        Some(size) => format!("\u{2212}{size}"),
        None => text,
    }
}

/// The number with about so many significant digits, without idle zeros, as at an axis.
pub(super) fn short(value: f64, digits: i32) -> String {
    let size = value.abs();
    if size < 1e-12 {
        return "0".into();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.1e}").replace('-', "\u{2212}");
    }
    let decimals = (digits - 1 - size.log10().floor() as i32).clamp(0, 8) as usize;
    let text = number(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The text in at most so many lines of so many letters, broken between words where that can be, an ellipsis for what is
/// too long.
pub(super) fn lines(text: &str, width: usize, most: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for (part, piece) in letters.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if part == 0 && line.chars().count() + 1 + piece.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width - 1).chain(['\u{2026}']).collect();
        }
    }
    lines
}

/// Records as CSV. Texts that a spreadsheet would take for a formula begin with an apostrophe; numbers stay as they are.
///
/// # Errors
/// None that text gives.
pub(crate) fn csv<'a, R>(records: &'a [R]) -> Result<String>
where
    &'a R: IntoIterator<Item = &'a String>,
{
    let fault = |fault: &dyn std::fmt::Display| {
        Error::from(mrisynth::Error::Internal(format!("a table could not be written: {fault}")))
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        let fields = record.into_iter().map(|field| harmless(field));
        writer.write_record(fields).map_err(|e| fault(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| fault(&e))?;
    String::from_utf8(bytes).map_err(|e| fault(&e))
}

/// The text as no spreadsheet takes it for a formula.
fn harmless(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_users_text_is_markup() {
        assert_eq!(
            html("<script a='b' c=\"d\">&\u{1}\n"),
            "&lt;script a=&#39;b&#39; c=&quot;d&quot;&gt;&amp;\u{fffd} "
        );
        assert_eq!(markdown("a|b*<i>\n#"), "a\\|b\\*&lt;i&gt; \\#");
    }

    #[test]
    fn numbers_are_short_and_never_minus_zero() {
        assert_eq!(number(-0.0001, 2), "0.00");
        assert_eq!(number(-1.255, 1), "\u{2212}1.3");
        for (value, text) in [
            (0.0, "0"),
            (0.85, "0.85"),
            (-26.5, "\u{2212}26.5"),
            (1500.0, "1500"),
            (12_345_678.0, "1.2e7"),
            (0.002, "0.002"),
            (1e-6, "1.0e\u{2212}6"),
        ] {
            assert_eq!(short(value, 4), text);
        }
    }

    #[test]
    fn long_names_take_lines_and_then_an_ellipsis() {
        assert_eq!(lines("CycleGAN + SN", 8, 3), ["CycleGAN", "+ SN"]);
        assert_eq!(lines("abcdefgh ij", 4, 2), ["abcd", "efg\u{2026}"]);
        assert!(lines("", 8, 3).is_empty());
    }
}
