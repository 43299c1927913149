//! API keys: the pair that signs tokens, and the file that keeps a generated one.
//!
//! Not here: what a token may say (`access`).

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::ids;

/// Name of the file in the data directory that holds a generated key.
const FILE: &str = "media-keys.json";

/// An API key and its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public name of the pair: the issuer of its tokens.
    pub key: String,
    /// What the tokens are signed with (HS256).
    pub secret: String,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a key could not be loaded or made. None is worth retrying before somebody looked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or its directory could not be read or written.
    #[error("cannot use the key file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there but is not one this server wrote.
    #[error("the key file {path} does not hold an API key and secret; delete it to make new ones")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where reading stopped.
        source: serde_json::Error,
    },
}

/// The key kept in `data_dir`, made and stored there on the first call.
///
/// The file is readable by its owner only. Two processes that start together agree on one key:
/// the file is created only if it is not there.
pub fn load_or_create_keys(data_dir: &Path) -> Result<ApiKey, KeyError> {
    if let Some(key) = load_keys(data_dir)? {
        return Ok(key);
    }
    let path = data_dir.join(FILE);
    let io = |source| KeyError::Io { path: path.clone(), source };
    fs::create_dir_all(data_dir).map_err(io)?;
    let made = generate();
    match write_new(&path, &made) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => parse(&path, &fs::read(&path).map_err(io)?),
        Err(e) => Err(io(e)),
        Ok(()) => Ok(made),
    }
}

/// The key kept in `data_dir`; `None`: there is none yet.
pub fn load_keys(data_dir: &Path) -> Result<Option<ApiKey>, KeyError> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => parse(&path, &bytes).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::Io { path, source }),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<ApiKey, KeyError> {
    serde_json::from_slice(bytes).map_err(|source| KeyError::Broken { path: path.to_owned(), source })
}

/// A key in LiveKit's form with 256 bits of secret.
fn generate() -> ApiKey {
    let mut secret = [0u8; 32];
    rand::rng().fill_bytes(&mut secret);
    ApiKey { key: ids::Ids::from_system().random("API"), secret: URL_SAFE_NO_PAD.encode(secret) }
}

/// Writes the whole file under another name first, so that no reader sees half of it.
fn write_new(path: &Path, key: &ApiKey) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&draft).and_then(|mut file| {
        file.write_all(&serde_json::to_vec_pretty(key)?)?;
        file.sync_all()
    });
    // A hard link fails when the name is taken, which a rename would not.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_create_keys(&dir.path().join("inner")).unwrap();
        let again = load_or_create_keys(&dir.path().join("inner")).unwrap();
        assert_eq!((&made.key, &made.secret), (&again.key, &again.secret));
        assert!(made.secret.len() >= 43);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join("inner").join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path().join("inner")).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_broken_file_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{}").unwrap();
        let error = load_or_create_keys(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), "{}");
    }

    #[test]
    fn the_secret_is_not_printed() {
        let key = ApiKey { key: "k".into(), secret: "hidden".into() };
        assert!(!format!("{key:?}").contains("hidden"));
    }
}
