//! Detached signatures of model files: minisign's (<https://jedisct1.github.io/minisign/>), Ed25519.
//!
//! A SHA-256 beside a model finds damage; only a signature by a key that came another way finds a model that someone put in its
//! place.

use std::path::{Path, PathBuf};

use minisign_verify::{Error as Fault, PublicKey, Signature};

use crate::{Error, Result, regular_file};

/// Bytes that a signature or a key file has at most.
const MAX_BYTES: u64 = 1 << 16;

/// Who must have signed a model file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The public key: the text of minisign's `.pub` file, or its last line alone.
    pub public_key: String,
    /// The file with the signature; none: that of the model's name with `.minisig` added.
    pub signature: Option<PathBuf>,
}

impl Signer {
    /// The signer whose public key is `key`, or is in the file of that name.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::InvalidArgument`] for what is neither a key nor a file.
    pub fn new(key: &str, signature: Option<PathBuf>) -> Result<Self> {
        let path = Path::new(key);
        let public_key = if path.is_file() { read_text(path)? } else { key.to_owned() };
        public_key_of(&public_key).map_err(|fault| fault.in_file(path))?;
        Ok(Self { public_key, signature })
    }

    /// Checks that the signature beside the model file `path` is this signer's, and of `bytes`.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no signature; [`Error::BadModel`] if it is by another key, of another file, or none.
    pub(super) fn check(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let file = self.signature.clone().unwrap_or_else(|| beside(path));
        check(bytes, &read_text(&file)?, &self.public_key)
    }
}

/// Checks that `signature`, the text of a `.minisig` file, is of `bytes` and by `public_key`.
fn check(bytes: &[u8], signature: &str, public_key: &str) -> Result<()> {
    let public_key = public_key_of(public_key)?;
    let signature = Signature::decode(signature)
        .map_err(|fault| Error::BadModel(format!("its signature is not one of minisign: {fault}")))?;
    // Older signatures are of the file and not of its hash; they are as good.
    public_key.verify(bytes, &signature, true).map_err(|fault| {
        Error::BadModel(match fault {
            Fault::UnexpectedKeyId => "its signature is by another key".into(),
            Fault::InvalidSignature => {
                "its signature is wrong: the file is not the one that was signed".into()
            }
            other => format!("its signature cannot be checked: {other}"),
        })
    })
}

fn public_key_of(text: &str) -> Result<PublicKey> {
    let key = text.trim();
    let decoded = if key.contains('\n') { PublicKey::decode(key) } else { PublicKey::from_base64(key) };
    decoded.map_err(|_| Error::InvalidArgument("neither a public key of minisign nor a file with one".into()))
}

fn beside(model: &Path) -> PathBuf {
    let mut name = model.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

fn read_text(path: &Path) -> Result<String> {
    regular_file::read_text(path, MAX_BYTES, Error::BadModel)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by minisign 0.11 of Debian: `minisign -G -W`, then `minisign -S -m FILE` of a file with the five bytes "model".
    const KEY: &str = include_str!("../../tests/signed/key.pub");
    const OTHER_KEY: &str = include_str!("../../tests/signed/other.pub");
    const SIGNATURE: &str = include_str!("../../tests/signed/model.minisig");

    fn fault(bytes: &[u8], signature: &str, key: &str) -> String {
        check(bytes, signature, key).unwrap_err().to_string()
    }

    #[test]
    fn a_signature_is_of_one_file_by_one_key() {
        check(b"model", SIGNATURE, KEY).unwrap();
        check(b"model", SIGNATURE, KEY.lines().last().unwrap()).unwrap();
        assert!(fault(b"modem", SIGNATURE, KEY).contains("not the one that was signed"));
        assert!(fault(b"model", SIGNATURE, OTHER_KEY).contains("by another key"));
        assert!(fault(b"model", "nothing", KEY).contains("not one of minisign"));
        assert!(
            fault(b"model", &SIGNATURE.replace("of the tests\n", "of the pests\n"), KEY)
                .contains("signature")
        );
    }

    #[test]
    fn what_is_no_key_is_said_before_anything_is_read() {
        for key in ["", "RWQ", "no_such_file.pub", "untrusted comment: x\nRWQ"] {
            let fault = Signer::new(key, None).unwrap_err();
            assert!(matches!(fault.kind(), Error::InvalidArgument(_)), "{fault}");
        }
        assert_eq!(Signer::new(KEY, None).unwrap().public_key, KEY);
    }
}
