//! This machine: disk, limits.

use std::path::{Path, PathBuf};

use super::report::Finding;

const MEGABYTE: u64 = 1 << 20;
/// Below this the embedded store may soon refuse to write.
const LITTLE_DISK: u64 = 1024 * MEGABYTE;
const NO_DISK: u64 = 64 * MEGABYTE;
/// Every subscriber is a socket.
const FEW_FILES: u64 = 16_384;

/// The folder of the embedded store: can it be written to, and is there room?
pub(super) fn data_folder(folder: &Path) -> Finding {
    let Some(there) = nearest(folder) else {
        return Finding::broken(
            format!("DATA_DIR={} can't be made: no folder above it is there", folder.display()),
            "make it, or set DATA_DIR",
        );
    };
    if let Err(error) = tempfile::tempfile_in(&there) {
        return Finding::broken(
            format!("{} can't be written to: {error}", there.display()),
            "let the user that runs livestream own it, or set DATA_DIR",
        );
    }
    let said = |free: u64| {
        let made = if there == folder { "" } else { " (made at the first start)" };
        format!("DATA_DIR={}{made}, {} MB free", folder.display(), free / MEGABYTE)
    };
    match free_bytes(&there) {
        None => Finding::well(format!("DATA_DIR={} can be written to", folder.display())),
        Some(free) if free < NO_DISK => Finding::broken(said(free), "make room on that disk: writes will be refused"),
        Some(free) if free < LITTLE_DISK => Finding::warning(said(free), "make room on that disk"),
        Some(free) => Finding::well(said(free)),
    }
}

/// The folder itself, or the nearest above it that is there.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder
        .ancestors()
        .map(|one| if one.as_os_str().is_empty() { Path::new(".") } else { one })
        .find(|one| one.is_dir())
        .map(Path::to_path_buf)
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(folder).ok()?;
    disk.blocks_available().checked_mul(disk.fragment_size())
}

/// The hard limit, to which serving raises its own.
pub(super) fn open_files() -> Finding {
    match rlimit::Resource::NOFILE.get_hard() {
        Err(error) => Finding::warning(format!("the limit can't be read: {error}"), "see `ulimit -Hn`"),
        Ok(limit) if limit < FEW_FILES => Finding::warning(
            format!("at most {limit}: every subscriber and every caller is one"),
            "raise the hard limit: LimitNOFILE= of a systemd unit, ulimits of a container, `ulimit -Hn` of a shell",
        ),
        Ok(limit) if limit >= u64::MAX / 2 => Finding::well("no limit"),
        Ok(limit) => Finding::well(format!("at most {limit}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_need_not_be_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&folder.path().join("a/b")), Some(folder.path().to_path_buf()));
        assert_eq!(nearest(Path::new("data-that-is-not-there")), Some(PathBuf::from(".")));
        assert!(format!("{:?}", data_folder(&folder.path().join("data"))).contains("made at the first start"));
    }
}
