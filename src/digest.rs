//! SHA-256 in hexadecimal, of bytes and of streams.

use std::fmt::Write as _;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are hashed at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// The SHA-256 of `bytes`, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of `parts` one after the other, in lower-case hexadecimal.
pub fn sha256_of_parts(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    hexadecimal(&hasher.finalize())
}

/// The SHA-256 of all that `reader` gives, in lower-case hexadecimal.
///
/// # Errors
/// Those of the reader.
pub fn sha256_of(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(hexadecimal(&hasher.finalize())),
            Ok(bytes) => hasher.update(&chunk[..bytes]),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::Faulty;

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-4, example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        assert_eq!(sha256_of(&b"abc"[..]).unwrap(), expected);
        assert_eq!(sha256_of_parts(["a", "", "bc"]), expected);
        // Also where it comes a byte at a time, and each read is interrupted first.
        assert_eq!(sha256_of(Faulty::slow(&b"abc"[..], 1)).unwrap(), expected);
        let fault = sha256_of(Faulty::after(&b"abc"[..], 2, 5)).unwrap_err();
        assert_eq!(fault.raw_os_error(), Some(5));
    }
}
