//! API keys of this deployment: making one, and following the file they stand in.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rand::RngExt;
use server::{ApiKey, KeyRing, Scope};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::parse;

/// The file is looked at this often: a key that was taken out works no longer than this.
const LOOK: Duration = Duration::from_secs(2);
/// A file of keys is small; more is a wrong file.
const MOST_BYTES: u64 = 1024 * 1024;
const PREFIX: &str = "lsk_";
const LENGTH: usize = 40;
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// What `livestream keys new` prints: the key, this once, and the line for the file.
pub(crate) fn new_key(name: &str, scope: Scope) -> String {
    let mut random = rand::rng();
    let text = (0..LENGTH).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
    let key: String = PREFIX.chars().chain(text).collect();
    let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let scope = match scope {
        Scope::Admin => "admin",
        Scope::Read => "read",
    };
    format!(
        "# The key, for the caller. It is shown this once:\n{key}\n\
         # The line for the file of API_KEYS_FILE (or an item of API_KEYS):\n{name}:{scope}:{hash}\n"
    )
}

/// The keys of a file: one a line as in `API_KEYS`, blank lines and `#` comments aside.
pub(crate) fn parse_file(text: &str) -> Result<Vec<ApiKey>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    // The line itself is not repeated: somebody may have put the key there.
    let mut keys = parse::api_keys(&lines.collect::<Vec<_>>().join(","))?;
    keys.iter_mut().for_each(|key| key.from_file = true);
    Ok(keys)
}

/// A file of keys that is being followed.
pub(crate) struct KeysFile {
    path: PathBuf,
    /// The keys of `API_KEYS`, which stay.
    fixed: Vec<ApiKey>,
    ring: KeyRing,
    seen: Option<Stamp>,
}

/// By which a change is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    bytes: u64,
}

impl KeysFile {
    /// Reads the file for the first time. Fails when it can't be read or understood.
    pub(crate) fn open(path: &Path, fixed: Vec<ApiKey>) -> anyhow::Result<Self> {
        let ring = KeyRing::new(fixed.clone());
        let mut file = Self { path: path.to_owned(), fixed, ring, seen: None };
        file.seen = Some(file.stamp()?);
        file.read()?;
        Ok(file)
    }

    /// The keys that hold now.
    pub(crate) fn ring(&self) -> KeyRing {
        self.ring.clone()
    }

    /// Follows the file until `stop`.
    pub(crate) async fn follow(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            self.look();
        }
    }

    /// Reads the file again if it has changed. What can't be read or understood leaves the keys as they are.
    fn look(&mut self) {
        let stamp = self.stamp().ok();
        if stamp == self.seen {
            return;
        }
        self.seen = stamp;
        match self.read() {
            Ok(count) => {
                tracing::info!(file = %self.path.display(), keys = count, "the file of API keys was read again")
            }
            Err(error) => tracing::error!(
                file = %self.path.display(),
                error = format!("{error:#}"),
                "the file of API keys has changed and can't be used; the keys of before stay"
            ),
        }
    }

    fn stamp(&self) -> anyhow::Result<Stamp> {
        let about = std::fs::metadata(&self.path).with_context(|| self.trouble("can't be read"))?;
        Ok(Stamp { changed: about.modified().ok(), bytes: about.len() })
    }

    fn read(&self) -> anyhow::Result<usize> {
        anyhow::ensure!(self.stamp()?.bytes <= MOST_BYTES, self.trouble("is larger than 1 MiB"));
        let text = std::fs::read_to_string(&self.path).with_context(|| self.trouble("can't be read"))?;
        let keys = parse_file(&text).map_err(|expected| anyhow::anyhow!(self.trouble(&expected)))?;
        let twice = keys.iter().find(|key| self.fixed.iter().any(|other| other.name == key.name));
        if let Some(key) = twice {
            anyhow::bail!(self.trouble(&format!("names a key {:?} that API_KEYS has too", key.name)));
        }
        let all: Vec<_> = self.fixed.iter().cloned().chain(keys).collect();
        anyhow::ensure!(!all.is_empty(), self.trouble("has no key, and there are no API_KEYS"));
        let count = all.len();
        self.ring.replace(all);
        Ok(count)
    }

    fn trouble(&self, what: &str) -> String {
        format!("API_KEYS_FILE={} {what}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_comes_with_the_line_that_lets_it_in() {
        let text = new_key("backend", Scope::Read);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [key, line] = lines.as_slice() else { panic!("{text}") };
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + LENGTH);
        let keys = parse_file(line).unwrap();
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        assert_eq!((keys[0].name.as_str(), keys[0].scope, keys[0].hash), ("backend", Scope::Read, hash));
        assert_ne!(text, new_key("backend", Scope::Read));
        assert!(!line.contains(*key));
    }

    #[test]
    fn a_broken_file_leaves_the_keys_as_they_are() {
        let folder = std::env::temp_dir().join(format!("livestream-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("keys");
        let line = |name: &str| new_key(name, Scope::Admin).lines().last().unwrap().to_owned();
        assert!(KeysFile::open(&path, Vec::new()).is_err(), "it is not there");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(KeysFile::open(&path, Vec::new()).is_err(), "nobody could do anything");
        std::fs::write(&path, format!("# ours\n\n{}\n", line("a"))).unwrap();
        let mut file = KeysFile::open(&path, Vec::new()).unwrap();
        let names = |file: &KeysFile| format!("{:?}", file.ring());
        let before = names(&file);
        assert!(before.contains("\"a\""), "{before}");
        std::fs::write(&path, "a:admin:this is no hash").unwrap();
        file.look();
        assert_eq!(names(&file), before);
        std::fs::remove_file(&path).unwrap();
        file.look();
        assert_eq!(names(&file), before);
        std::fs::write(&path, format!("{}\n{}\n", line("b"), line("c"))).unwrap();
        file.look();
        let after = names(&file);
        assert!(after.contains("\"b\"") && after.contains("\"c\"") && !after.contains("\"a\""), "{after}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
