//! Amounts of memory as a user writes them: `500MB`, `2GiB`, or plain bytes.

/// Unit names, in lower case, and their bytes.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Bytes of an amount: a whole number, then perhaps a unit.
///
/// # Errors
/// What is wrong with the text, for the user.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
        return Err(
            "must be a whole number of bytes, or one with a unit: kB, MB, GB, TB, KiB, MiB, GiB, TiB".into(),
        );
    };
    let bytes = number.checked_mul(factor).ok_or("more bytes than can be counted")?;
    if bytes == 0 {
        return Err("must be more than 0".into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_with_and_without_units() {
        assert_eq!(parse("1048576"), Ok(1 << 20));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("2 gib"), Ok(2 << 30));
        assert_eq!(parse("500MB"), Ok(500_000_000));
        assert_eq!(parse("7b"), Ok(7));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "0",
            "0GiB",
            "GiB",
            "-1",
            "1.5GiB",
            "2 potatoes",
            "99999999999999999999",
            "99999999TiB",
            "2G iB",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
