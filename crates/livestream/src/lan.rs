//! `--lan`: showing it around on the local network. Browsers give a camera only to HTTPS or localhost, so it needs a
//! certificate; strangers are on that network too, so it needs a key. Both are made here, once, and kept in `DATA_DIR`.
//!
//! What comes out is settings, as if somebody had written them; serving knows nothing of this.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use sha2::{Digest, Sha256};

/// In `DATA_DIR`.
const FOLDER: &str = "lan";
const KEY_LENGTH: usize = 24;
/// Letters and digits that are not taken for one another: the key is typed on a phone.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Browsers refuse longer lives, and a shorter one would surprise nobody but us.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A certificate with less left is made anew.
const LEFT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Everything that showing it around needs.
pub(crate) struct Lan {
    /// Addresses of this machine on its networks.
    addresses: Vec<IpAddr>,
    /// The admin key, in the clear; `None`: the caller brought keys, or wants none.
    key: Option<String>,
    certificate: PathBuf,
    private_key: PathBuf,
    /// SHA-256 of the certificate, as browsers show it.
    fingerprint: String,
}

/// What the caller has decided already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Chosen<'a> {
    /// `api_keys`
    pub(crate) keys: Option<&'a str>,
    /// `auth`
    pub(crate) auth: Option<&'a str>,
}

impl Lan {
    /// Makes what is not there yet in `data_dir`. Fails when this machine is on no network, or the folder can't be used.
    pub(crate) fn prepare(data_dir: &Path, chosen: Chosen<'_>) -> anyhow::Result<Self> {
        let addresses = addresses()?;
        anyhow::ensure!(!addresses.is_empty(), "--lan: this machine has no address but its own loopback");
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let (certificate, private_key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let der = certify(&folder, &certificate, &private_key, &addresses)?;
        let key = if chosen.auth == Some("off") { None } else { Some(admin_key(&folder.join("admin-key"))?) };
        Ok(Self { addresses, key, certificate, private_key, fingerprint: fingerprint(&der) })
    }

    /// Adds to `flags` what was not said there.
    pub(crate) fn fill(&self, flags: &mut HashMap<String, String>, chosen: Chosen<'_>) {
        let mut set = |name: &str, value: String| {
            flags.entry(name.to_owned()).or_insert(value);
        };
        set("host", Ipv4Addr::UNSPECIFIED.to_string());
        set("tls_cert", self.certificate.display().to_string());
        set("tls_key", self.private_key.display().to_string());
        set("media_addresses", list(&self.addresses));
        if let Some(key) = &self.key {
            let ours = format!("lan:admin:{}", hex(&Sha256::digest(key.as_bytes()), ""));
            let keys =
                chosen.keys.filter(|keys| !keys.is_empty()).map_or(ours.clone(), |keys| format!("{keys},{ours}"));
            flags.insert("api_keys".to_owned(), keys);
        }
    }

    /// What to do with it, for whoever started it.
    pub(crate) fn invitation(&self, port: u16) -> String {
        let mut text = String::from("\nOn this network, open one of these:\n");
        for address in &self.addresses {
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            // Writing to a String can't fail.
            let _ = writeln!(text, "  https://{host}:{port}/");
        }
        text.push_str(
            "The browser warns once, because nobody vouches for this certificate: choose Advanced, then Continue\n\
             (Safari: Show Details, then visit this website). To be sure it is this one, compare its SHA-256:\n",
        );
        let _ = writeln!(text, "  {}", self.fingerprint);
        match &self.key {
            Some(key) => {
                let _ = writeln!(
                    text,
                    "Everybody may watch. To create streams and go live, sign in there (the key in the corner) with:\n  {key}"
                );
            }
            None => text.push_str("AUTH=off: everybody on this network may do everything.\n"),
        }
        text
    }
}

/// IPv4 addresses that others may reach; IPv6 needs no address to be typed when a name is known, and here none is.
fn addresses() -> anyhow::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs().context("can't list the addresses of this machine")?;
    let mut found: Vec<_> = all
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .filter(IpAddr::is_ipv4)
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// A certificate for these addresses, made anew when the one that is there is for others or soon over; its DER.
fn certify(folder: &Path, certificate: &Path, private_key: &Path, addresses: &[IpAddr]) -> anyhow::Result<Vec<u8>> {
    let names = names(addresses);
    let now = Timestamp::now();
    // What it is for and until when, so that nobody has to read a certificate to know.
    let memo_path = folder.join("certificate.txt");
    let memo = fs::read_to_string(&memo_path).unwrap_or_default();
    let until = memo.lines().next().and_then(|line| line.parse::<Timestamp>().ok());
    let covers = memo.lines().skip(1).eq(names.iter().map(String::as_str));
    if covers && until.is_some_and(|until| until.duration_since(now) > LEFT) && private_key.is_file() {
        let pem = fs::read(certificate).with_context(|| format!("can't read {}", certificate.display()))?;
        return der_of(&pem).with_context(|| format!("{} is damaged; delete it", certificate.display()));
    }
    let mut params = CertificateParams::new(names.clone()).context("an address can't be put into a certificate")?;
    params.distinguished_name.push(DnType::CommonName, "livestream on this network");
    // A clock that is a little behind must not make it invalid.
    let begin = now - SignedDuration::from_hours(24);
    let (begin, end) = (day(begin), day(now + LIFE));
    params.not_before = date_time_ymd(begin.0, begin.1, begin.2);
    params.not_after = date_time_ymd(end.0, end.1, end.2);
    let key = KeyPair::generate().context("a key can't be made")?;
    let made = params.self_signed(&key).context("a certificate can't be made")?;
    write(private_key, key.serialize_pem().as_bytes(), 0o600)?;
    write(certificate, made.pem().as_bytes(), 0o644)?;
    let memo = format!("{}\n{}\n", now + LIFE, names.join("\n"));
    write(&memo_path, memo.as_bytes(), 0o644)?;
    Ok(made.der().to_vec())
}

fn names(addresses: &[IpAddr]) -> Vec<String> {
    let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    addresses.iter().map(ToString::to_string).chain(own).collect()
}

/// Year, month and day.
fn day(at: Timestamp) -> (i32, u8, u8) {
    let date = TimeZone::UTC.to_datetime(at).date();
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}

fn der_of(pem: &[u8]) -> anyhow::Result<Vec<u8>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    Ok(CertificateDer::from_pem_slice(pem)?.to_vec())
}

fn admin_key(path: &Path) -> anyhow::Result<String> {
    if let Ok(key) = fs::read_to_string(path)
        && !key.trim().is_empty()
    {
        return Ok(key.trim().to_owned());
    }
    let mut random = rand::rng();
    let key: String = (0..KEY_LENGTH).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
    write(path, key.as_bytes(), 0o600)?;
    Ok(key)
}

/// Writes beside and renames, so that nobody ever reads half of it.
fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der), ":").to_uppercase()
}

fn hex(bytes: &[u8], between: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certified(folder: &Path, addresses: &[IpAddr]) -> Vec<u8> {
        certify(folder, &folder.join("certificate.pem"), &folder.join("key.pem"), addresses).unwrap()
    }

    #[test]
    fn the_certificate_is_kept_until_the_addresses_change() {
        let folder = tempfile::tempdir().unwrap();
        let home = ["192.168.1.7".parse().unwrap()];
        let first = certified(folder.path(), &home);
        assert_eq!(certified(folder.path(), &home), first);
        assert_ne!(certified(folder.path(), &["10.0.0.7".parse().unwrap()]), first);
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin-key");
        let key = admin_key(&path).unwrap();
        assert_eq!((key.len(), admin_key(&path).unwrap()), (KEY_LENGTH, key));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_was_said_by_flag_stays() {
        let lan = Lan {
            addresses: vec!["192.168.1.7".parse().unwrap()],
            key: Some("open-sesame".into()),
            certificate: "c.pem".into(),
            private_key: "k.pem".into(),
            fingerprint: "AB:CD".into(),
        };
        let mut flags = HashMap::from([("host".to_owned(), "192.168.1.7".to_owned())]);
        lan.fill(&mut flags, Chosen { keys: Some("a:read:00"), auth: None });
        assert_eq!(flags["host"], "192.168.1.7");
        assert!(flags["api_keys"].starts_with("a:read:00,lan:admin:") && !flags["api_keys"].contains("sesame"));
        let text = lan.invitation(3000);
        assert!(text.contains("https://192.168.1.7:3000/") && text.contains("open-sesame") && text.contains("AB:CD"));
    }
}
