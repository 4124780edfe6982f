//! What a model says of itself: contrasts, slices, normalization, training data, licence.
//!
//! A card is the ONNX file's `metadata_props`, each key prefixed `mrisynth.`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The card format that this library reads (`mrisynth.format`).
pub const CARD_FORMAT: &str = "1";
/// The prefix of every card entry in `metadata_props`.
pub const CARD_PREFIX: &str = "mrisynth.";
/// Bytes that one card entry may have.
const MAX_ENTRY_BYTES: usize = 1 << 16;
/// In-plane sizes must be a multiple of the network's stride; larger strides than this are not believed.
const MAX_SIZE_MULTIPLE: usize = 256;
/// No window around a brain has a longer edge.
const MAX_WINDOW: usize = 1024;

/// An MRI contrast that can be a model's source or target; `t1w` or `t2w` in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contrast {
    /// T1-weighted.
    T1w,
    /// T2-weighted.
    T2w,
}

impl Contrast {
    /// The one that is synthesized from this one, or this from it.
    pub fn other(self) -> Self {
        match self {
            Self::T1w => Self::T2w,
            Self::T2w => Self::T1w,
        }
    }
}

impl fmt::Display for Contrast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::T1w => "T1w",
            Self::T2w => "T2w",
        })
    }
}

impl FromStr for Contrast {
    type Err = Error;

    /// `t1w` or `t2w`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "t1w" => Ok(Self::T1w),
            "t2w" => Ok(Self::T2w),
            _ => Err(Error::InvalidArgument(format!("contrast {text:?}: must be t1w or t2w"))),
        }
    }
}

/// A model's card.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The model's name, such as `t1w-from-t2w`.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// The contrast that goes in.
    pub source: Contrast,
    /// The contrast that comes out.
    pub target: Contrast,
    /// Neighbouring axial slices that go in as channels: 1, 3 or 5; the middle one is synthesized.
    pub slices_in: usize,
    /// In-plane sizes must be a multiple of this.
    pub size_multiple: usize,
    /// Edge in voxels of the square window that every slice must fill, the brain's box in its middle, because the result
    /// depends on it; nothing for networks that run on windows of any size.
    pub window: Option<usize>,
    entries: BTreeMap<String, String>,
}

impl Card {
    /// From a model file's `metadata_props`; entries without the prefix are left out.
    ///
    /// # Errors
    /// [`Error::BadModel`] if an entry is missing, repeated, too long or out of range, or the format is not ours.
    pub fn from_properties<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let entries = collect_entries(properties)?;
        let get = |key: &str| {
            entries
                .get(key)
                .map(String::as_str)
                .ok_or_else(|| Error::BadModel(format!("its card has no entry {CARD_PREFIX}{key}")))
        };
        expect_value("format", get("format")?, CARD_FORMAT)?;
        // What the walk through a volume does is fixed; a model made for another walk must not run on this one.
        expect_value("orientation", get("orientation")?, "axial-ras")?;
        expect_value("spacing_mm", get("spacing_mm")?, "1")?;
        expect_value("normalization", get("normalization")?, "p99.5")?;
        let size_multiple = parse_number(
            "size_multiple",
            get("size_multiple")?,
            &(1..=MAX_SIZE_MULTIPLE).collect::<Vec<_>>(),
        )?;
        let windows: Vec<_> = (size_multiple..=MAX_WINDOW).step_by(size_multiple).collect();
        let window =
            entries.get("window").map(|value| parse_number("window", value, &windows)).transpose()?;
        let card = Self {
            name: get("name")?.to_owned(),
            version: get("version")?.to_owned(),
            source: parse_contrast("source", get("source")?)?,
            target: parse_contrast("target", get("target")?)?,
            slices_in: parse_number("slices_in", get("slices_in")?, &[1, 3, 5])?,
            size_multiple,
            window,
            entries,
        };
        if card.source == card.target {
            return Err(Error::BadModel(format!("its source and target are both {}", card.source)));
        }
        Ok(card)
    }

    /// The value of an entry, by its key without prefix (`license`, `training_data`, `psnr_brain`, ...).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// All entries, by key without prefix.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn collect_entries<'a>(
    properties: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeMap<String, String>> {
    let mut entries = BTreeMap::new();
    for (key, value) in properties {
        let Some(key) = key.strip_prefix(CARD_PREFIX) else { continue };
        if key.len().max(value.len()) > MAX_ENTRY_BYTES {
            return Err(Error::BadModel(format!("a card entry has over {MAX_ENTRY_BYTES} bytes")));
        }
        if key.contains('\0') || value.contains('\0') {
            return Err(Error::BadModel("a card entry holds a NUL byte".into()));
        }
        if entries.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Error::BadModel(format!("its card has {CARD_PREFIX}{key} twice")));
        }
    }
    Ok(entries)
}

fn expect_value(key: &str, value: &str, expected: &str) -> Result<()> {
    if value == expected {
        return Ok(());
    }
    Err(Error::BadModel(format!(
        "{CARD_PREFIX}{key} is {value:?}; this version of the library runs {expected:?}"
    )))
}

fn parse_contrast(key: &str, value: &str) -> Result<Contrast> {
    value.parse().map_err(|_| Error::BadModel(format!("{CARD_PREFIX}{key} is {value:?}, not t1w or t2w")))
}

fn parse_number(key: &str, value: &str, allowed: &[usize]) -> Result<usize> {
    value
        .parse()
        .ok()
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| Error::BadModel(format!("{CARD_PREFIX}{key} is {value:?}, out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 11] = [
        ("mrisynth.format", "1"),
        ("mrisynth.orientation", "axial-ras"),
        ("mrisynth.spacing_mm", "1"),
        ("mrisynth.normalization", "p99.5"),
        ("mrisynth.name", "t1w-from-t2w"),
        ("mrisynth.version", "1"),
        ("mrisynth.source", "t2w"),
        ("mrisynth.target", "t1w"),
        ("mrisynth.slices_in", "3"),
        ("mrisynth.size_multiple", "16"),
        ("someone.else", "ignored"),
    ];

    #[test]
    fn a_full_card_is_read() {
        let card = Card::from_properties(GOOD).unwrap();
        assert_eq!((card.source, card.target, card.slices_in), (Contrast::T2w, Contrast::T1w, 3));
        assert_eq!(card.get("name"), Some("t1w-from-t2w"));
        assert_eq!(card.get("else"), None);
        assert_eq!(card.window, None);
    }

    #[test]
    fn a_window_is_a_multiple_within_bounds() {
        let window = |value| {
            Card::from_properties(GOOD.into_iter().chain([("mrisynth.window", value)]))
                .map(|card| card.window)
        };
        assert_eq!(window("16").unwrap(), Some(16));
        assert_eq!(window("256").unwrap(), Some(256));
        assert_eq!(window("1024").unwrap(), Some(1024));
        for value in ["0", "8", "100", "1040", "-256", "", "256 x 256"] {
            assert!(matches!(window(value), Err(Error::BadModel(_))), "{value}");
        }
    }

    #[test]
    fn each_missing_repeated_or_senseless_entry_is_an_error() {
        for (left_out, _) in &GOOD[..10] {
            let properties = GOOD.into_iter().filter(|(key, _)| key != left_out);
            let fault = Card::from_properties(properties).unwrap_err().to_string();
            assert!(fault.contains(left_out), "{fault}");
        }
        for (key, value) in [
            ("mrisynth.format", "2"),
            ("mrisynth.slices_in", "4"),
            ("mrisynth.slices_in", "-1"),
            ("mrisynth.size_multiple", "0"),
            ("mrisynth.target", "t2w"),
            ("mrisynth.target", "flair"),
            ("mrisynth.spacing_mm", "0.7"),
            ("mrisynth.name", "a\0b"),
        ] {
            let properties = GOOD.iter().map(|entry| if entry.0 == key { (key, value) } else { *entry });
            assert!(matches!(Card::from_properties(properties), Err(Error::BadModel(_))), "{key} {value}");
        }
        let twice = GOOD.into_iter().chain([("mrisynth.name", "again")]);
        assert!(Card::from_properties(twice).is_err());
    }
}
