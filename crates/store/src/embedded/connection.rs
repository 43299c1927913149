//! The file: opening it, writing groups of steps, coming back after an error.

use std::fs::{self, File};
use std::path::Path;

use domain::Timestamp;
use redb::{Builder, Database, DatabaseError, Durability, WriteTransaction};

use crate::{ErrorKind, StoreError};

use super::errors::{Failed, file, opening};
use super::layout::{self, Group, Stored};

const FILE: &str = "streams.redb";
const NEW_FILE: &str = "streams.redb.new";
/// Reads come from memory, so redb needs to keep only the pages it is about to write.
const CACHE_BYTES: usize = 2 << 20;

/// Opens the file; called again after a write went wrong.
type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// The file of one store.
pub(super) struct Disk {
    open: Open,
    /// `None` after an error, until it could be opened again.
    db: Option<Database>,
    group: i64,
}

impl Disk {
    /// Opens the store of folder `dir`, or makes it.
    pub(super) fn open(dir: &Path) -> Result<(Self, Stored), StoreError> {
        fs::create_dir_all(dir).map_err(|error| file("open", error))?;
        let path = dir.join(FILE);
        if !fs::exists(&path).map_err(|error| file("open", error))? {
            create(dir)?;
        }
        if fs::metadata(&path).map_err(|error| file("open", error))?.len() == 0 {
            // redb would make a new database of it; a store that lost all it had must not look new.
            return Err(StoreError::new(ErrorKind::Corrupt, "open", format!("{FILE} is empty")));
        }
        Self::open_by(Box::new(move || builder().open(&path)))
    }

    /// Opens by a function of one's own.
    pub(super) fn open_by(open: Open) -> Result<(Self, Stored), StoreError> {
        let db = open().map_err(opening)?;
        let mut stored = layout::read(&db).map_err(|failed| failed.0)?;
        stored.runs += 1;
        let disk = Self { open, db: Some(db), group: stored.group };
        disk.transact(|tx| layout::begin_run(tx, stored.runs)).map_err(|failed| failed.0)?;
        Ok((disk, stored))
    }

    /// The number that the next group has.
    pub(super) fn next_group(&self) -> i64 {
        self.group + 1
    }

    /// Writes a group and waits until it is durable. After an error it may be there all the
    /// same: [`settle`](Self::settle) tells.
    pub(super) fn write(&mut self, group: &Group<'_>) -> Result<(), StoreError> {
        self.transact(|tx| layout::write(tx, group)).map_err(|failed| failed.0)?;
        self.group = group.number;
        Ok(())
    }

    /// Opens the file again after an error. Whether the group that failed is in it after all.
    pub(super) fn settle(&mut self) -> Result<bool, StoreError> {
        // The former handle holds the lock of the file, and after an error does nothing any more.
        self.db = None;
        let db = (self.open)().map_err(opening)?;
        let last = layout::last_group(&db).map_err(|failed| failed.0)?;
        let written = last > self.group;
        self.group = last;
        self.db = Some(db);
        Ok(written)
    }

    /// Writes the latest time given out.
    pub(super) fn write_clock(&self, clock: Timestamp) -> Result<(), StoreError> {
        self.transact(|tx| layout::write_clock(tx, clock)).map_err(|failed| failed.0)
    }

    fn transact(&self, write: impl FnOnce(&WriteTransaction) -> Result<(), Failed>) -> Result<(), Failed> {
        let Some(db) = &self.db else {
            return Err(Failed(StoreError::new(ErrorKind::Unavailable, "write", "the file could not be opened again")));
        };
        transact(db, write)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // A damaged file must be an error and not a panic, or lost streams, later on.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Makes the file under another name first, so that a half-made one is never taken for a store.
fn create(dir: &Path) -> Result<(), StoreError> {
    let new = dir.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file("create", error)),
        _ => {}
    }
    make(&builder().create(&new).map_err(opening)?)?;
    fs::rename(&new, dir.join(FILE)).map_err(|error| file("create", error))?;
    // The name is durable only when the folder is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| file("create", error))
}

/// Makes an empty store of an empty database.
pub(super) fn make(db: &Database) -> Result<(), StoreError> {
    transact(db, layout::create).map_err(|failed| failed.0)
}

fn transact(db: &Database, write: impl FnOnce(&WriteTransaction) -> Result<(), Failed>) -> Result<(), Failed> {
    let mut tx = db.begin_write()?;
    tx.set_durability(Durability::Immediate)?;
    write(&tx)?;
    tx.commit()?;
    Ok(())
}
