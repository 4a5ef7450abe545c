//! Tokens that stand for personal text.
//!
//! A token is a keyed BLAKE3 hash: without the key nobody can test a guess, and with it the same person has
//! the same token in every table, so that tables still join. It begins with the kind of text that it stands
//! for (`gb11643:8c1f…`), which is hashed too: a phone number and an account number of the same digits differ.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Makes tokens with the key of an installation.
#[derive(Clone)]
pub struct Tokeniser {
    key: [u8; 32],
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}\n    fix: {fix}")]
pub struct KeyError {
    what: &'static str,
    path: String,
    fix: &'static str,
    source: io::Error,
}

impl Tokeniser {
    /// Reads the key.
    ///
    /// Whoever loses the key can never again join new rows with those already loaded: with another one nobody would be found on
    /// a list that was. So one that is not there is an error, and only [`Tokeniser::open_or_create`] makes one.
    pub fn open(key_file: &Path) -> Result<Self, KeyError> {
        let error =
            |what, fix| move |source| KeyError { what, path: key_file.display().to_string(), fix, source };
        match fs::read_to_string(key_file) {
            Ok(text) => blake3::Hash::from_hex(text.trim())
                .map(|key| Self { key: *key.as_bytes() })
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
                .map_err(error(
                    "the token key is damaged:",
                    "restore the file of 64 hex digits from your backup",
                )),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(e).map_err(error(
                "there is no token key at",
                "restore the file from your backup, since whatever is personal was tokenised with it; `tarim load` makes one \
                 where nothing was loaded yet",
            )),
            Err(e) => {
                Err(e).map_err(error("cannot read the token key", "give this user the right to read it"))
            }
        }
    }

    /// The same of an installation that has nothing yet: makes a random key (64 hex digits, readable by its owner alone) if the
    /// file is absent.
    pub fn open_or_create(key_file: &Path) -> Result<Self, KeyError> {
        match Self::open(key_file) {
            Err(e) if e.source.kind() == io::ErrorKind::NotFound => {
                create(key_file).map_err(|source| KeyError {
                    what: "cannot make the token key",
                    path: key_file.display().to_string(),
                    fix: "make its folder writable",
                    source,
                })
            }
            opened => opened,
        }
    }

    /// A tokeniser of a given key.
    pub fn with_key(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The token of a text of one kind: the kind, a colon, and 128 bits in hex.
    pub fn token(&self, kind: &str, text: &str) -> String {
        let mut token = String::with_capacity(kind.len() + 33);
        self.write_token(kind, text, &mut token);
        token
    }

    /// Hash of anything for one purpose, with the installation's key.
    pub fn keyed_hash(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(purpose.as_bytes()).update(b":").update(bytes);
        *hasher.finalize().as_bytes()
    }

    /// Appends the token of a text to `out`.
    pub fn write_token(&self, kind: &str, text: &str, out: &mut String) {
        let hash = self.keyed_hash(kind, text.as_bytes());
        out.push_str(kind);
        out.push(':');
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in &hash[..16] {
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Whole or not at all, and never over a key that another process made in between.
fn create(key_file: &Path) -> io::Result<Tokeniser> {
    let key: [u8; 32] = rand::random();
    let folder = key_file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = key_file.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", blake3::Hash::from_bytes(key).to_hex())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, key_file);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(Tokeniser { key }),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(key_file)?;
            let key = blake3::Hash::from_hex(text.trim())
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
            Ok(Tokeniser { key: *key.as_bytes() })
        }
        Err(e) => Err(e),
    }
}
