//! Texts between a NIfTI file's header and its voxels: extensions of code 6 (comment).
//!
//! Four bytes say whether there is an extension; each begins with its size and its code, and its size is a multiple of 16
//! (`nifti1.h`, "EXTENDED HEADER DATA").

use nifti::Endianness;

/// Bytes that say whether there are extensions.
pub(super) const EXTENDER_BYTES: usize = 4;
/// The extension code of a comment.
const COMMENT_CODE: u32 = 6;
/// Bytes of an extension before its text.
const HEADER_BYTES: usize = 8;
/// Extensions are padded to a multiple of this many bytes.
const UNIT: usize = 16;

/// The bytes between header and voxels: whether there is an extension, and that extension.
pub(super) fn encode(comment: Option<&str>) -> Vec<u8> {
    let mut bytes = vec![0; EXTENDER_BYTES];
    if let Some(text) = comment {
        bytes[0] = 1;
        let size = (HEADER_BYTES + text.len()).next_multiple_of(UNIT);
        bytes.extend((size as u32).to_le_bytes());
        bytes.extend(COMMENT_CODE.to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(EXTENDER_BYTES + size, 0);
    }
    bytes
}

/// The comments in the bytes between header and voxels, as far as these are sound. What is no UTF-8 is left out.
pub(super) fn comments(bytes: &[u8], order: Endianness) -> Vec<String> {
    let Some((extender, mut rest)) = bytes.split_first_chunk::<EXTENDER_BYTES>() else { return Vec::new() };
    let mut comments = Vec::new();
    while extender[0] != 0
        && let Some((size, code)) = size_and_code(rest, order)
        && let Some(text) = rest.get(HEADER_BYTES..size)
    {
        if code == COMMENT_CODE {
            let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            comments.extend(std::str::from_utf8(&text[..end]).ok().map(str::to_owned));
        }
        rest = &rest[size..];
    }
    comments
}

fn size_and_code(bytes: &[u8], order: Endianness) -> Option<(usize, u32)> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let code = rest.first_chunk::<4>()?;
    let number = |bytes: [u8; 4]| match order {
        Endianness::Little => u32::from_le_bytes(bytes),
        Endianness::Big => u32::from_be_bytes(bytes),
    };
    let size = usize::try_from(number(*size)).ok()?;
    (size >= HEADER_BYTES).then_some((size, number(*code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_padded_and_read_back() {
        assert_eq!(encode(None), [0; 4]);
        assert!(comments(&encode(None), Endianness::Little).is_empty());
        for length in [1, 8, 9, 100] {
            let text = "x".repeat(length);
            let bytes = encode(Some(&text));
            assert_eq!((bytes.len() - 4) % 16, 0);
            assert!(bytes.len() >= 4 + 8 + length && bytes.len() < 4 + 8 + length + 16);
            assert_eq!(comments(&bytes, Endianness::Little), [text]);
        }
    }

    #[test]
    fn other_extensions_are_passed_over_and_damaged_ones_end_the_list() {
        let extension =
            |size: u32, code: u32, text: &[u8]| [&size.to_be_bytes()[..], &code.to_be_bytes(), text].concat();
        let good = extension(16, 6, b"one\0\0\0\0\0");
        let other = extension(16, 4, b"dicom...");
        let not_text = extension(16, 6, &[0xff; 8]);
        let list =
            |parts: &[&[u8]]| comments(&[&[1, 0, 0, 0], &parts.concat()[..]].concat(), Endianness::Big);
        assert_eq!(list(&[&other, &good, &not_text, &good]), ["one", "one"]);
        for size in [0, 7, 17, u32::MAX] {
            assert_eq!(list(&[&good, &extension(size, 6, b"12345678")]), ["one"], "{size}");
        }
        assert_eq!(list(&[&good, &[0; 5]]), ["one"]);
        assert!(comments(&[1, 0], Endianness::Big).is_empty());
        assert!(comments(&[0, 0, 0, 0, 0, 0, 0, 16], Endianness::Big).is_empty());
    }
}
