//! The file and its log: opening them, writing groups of steps, coming back after an error.
//!
//! A group is durable in the [log](super::log), which costs one small write; when that is full, all of it goes into the
//! file in one transaction, so that many groups share the pages that they change.

use std::fs::{self, File};
use std::path::Path;

use domain::Timestamp;
use redb::{Builder, Database, DatabaseError, Durability, WriteTransaction};

use crate::{ErrorKind, StoreError};

use super::errors::{Failed, file, opening};
use super::layout::{self, Batch, Stored};
use super::log::{self, Log, Medium};
use super::rows::Rows;

const FILE: &str = "streams.redb";
const LOG_FILE: &str = "streams.log";
const NEW_FILE: &str = "streams.redb.new";
/// Reads come from memory, so redb needs to keep only the pages it is about to write.
const CACHE_BYTES: usize = 2 << 20;

/// Opens the file; called again after a write went wrong.
type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;
/// Opens the log, or makes the one with that id in the place of one that may be there.
type OpenLog<'a> = &'a dyn Fn(Option<i64>) -> Result<Box<dyn Medium>, StoreError>;

/// The file of one store, and its log.
pub(super) struct Disk {
    open: Open,
    /// `None` after an error, until it could be opened again.
    db: Option<Database>,
    log: Log,
    /// Rows that are in the log and not yet in the file.
    logged: Vec<u8>,
    /// The last group that is durable.
    group: i64,
    /// Where the group is, or is not, that could not be written.
    unsure: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Log,
    File,
}

impl Disk {
    /// Opens the store of folder `dir`, or makes it.
    pub(super) fn open(dir: &Path) -> Result<(Self, Stored), StoreError> {
        fs::create_dir_all(dir).map_err(|error| file("open", error))?;
        let (path, log_path) = (dir.join(FILE), dir.join(LOG_FILE));
        if !fs::exists(&path).map_err(|error| file("open", error))? {
            create(dir)?;
        }
        if fs::metadata(&path).map_err(|error| file("open", error))?.len() == 0 {
            // redb would make a new database of it; a store that lost all it had must not look new.
            return Err(StoreError::new(ErrorKind::Corrupt, "open", format!("{FILE} is empty")));
        }
        let open_log = |new: Option<i64>| {
            if let Some(id) = new {
                log::create(&log_path, id)?;
                sync_folder(dir)?;
            }
            log::open(&log_path)
        };
        Self::open_by(Box::new(move || builder().open(&path)), &open_log)
    }

    /// Opens by functions of one's own. What the log has and the file has not is put into the file first.
    pub(super) fn open_by(open: Open, open_log: OpenLog<'_>) -> Result<(Self, Stored), StoreError> {
        let db = open().map_err(opening)?;
        let (medium, id) = match layout::log_id(&db).map_err(|failed| failed.0)? {
            Some(id) => (open_log(None)?, id),
            None => {
                let id = new_log_id();
                let medium = open_log(Some(id))?;
                transact(&db, |tx| layout::set_log(tx, id)).map_err(|failed| failed.0)?;
                (medium, id)
            }
        };
        let last = layout::last_group(&db).map_err(|failed| failed.0)?;
        let (log, entries) = Log::read(medium, id, last)?;
        if let Some(newest) = entries.last() {
            let rows: Vec<u8> = entries.iter().flat_map(|entry| &entry.rows).copied().collect();
            let clock = Timestamp::from_millis(newest.clock);
            let batch = Batch { number: newest.number, clock, rows: [&rows, &[]] };
            transact(&db, |tx| layout::write(tx, &batch)).map_err(|failed| failed.0)?;
        }
        let mut stored = layout::read(&db).map_err(|failed| failed.0)?;
        stored.runs += 1;
        transact(&db, |tx| layout::begin_run(tx, stored.runs)).map_err(|failed| failed.0)?;
        Ok((Self { open, db: Some(db), log, logged: Vec::new(), group: stored.group, unsure: None }, stored))
    }

    /// Writes a group and waits until it is durable: in the log, or in the file with everything that the log has when
    /// the log is full. After an error it may be there all the same: [`settle`](Self::settle) tells.
    pub(super) fn write(&mut self, rows: &Rows, clock: Timestamp) -> Result<(), StoreError> {
        let (number, rows) = (self.group + 1, rows.bytes());
        let place = if self.log.fits(rows.len()) { Place::Log } else { Place::File };
        let written = match place {
            Place::Log => self.log.add(number, clock.as_millis(), rows),
            Place::File => self.fold(number, clock, rows),
        };
        match written {
            Ok(()) => self.group = number,
            Err(_) => self.unsure = Some(place),
        }
        if written.is_ok() && place == Place::Log {
            self.logged.extend_from_slice(rows);
        }
        written
    }

    /// Finds out about a group that could not be written, once the disk answers again. Whether it is there after all.
    pub(super) fn settle(&mut self) -> Result<bool, StoreError> {
        let written = match self.unsure {
            None => false,
            Some(Place::Log) => {
                self.log.void()?;
                false
            }
            Some(Place::File) => self.reopen()?,
        };
        self.unsure = None;
        Ok(written)
    }

    /// Puts everything into the file, with the latest time given out.
    pub(super) fn finish(&mut self, clock: Timestamp) -> Result<(), StoreError> {
        self.fold(self.group, clock, &[])
    }

    /// Writes what is logged and further rows into the file; the log begins anew.
    fn fold(&mut self, number: i64, clock: Timestamp, rows: &[u8]) -> Result<(), StoreError> {
        let Some(db) = &self.db else {
            return Err(StoreError::new(ErrorKind::Unavailable, "write", "the file could not be opened again"));
        };
        let batch = Batch { number, clock, rows: [&self.logged, rows] };
        transact(db, |tx| layout::write(tx, &batch)).map_err(|failed| failed.0)?;
        self.begin_log_anew();
        Ok(())
    }

    /// Opens the file again after an error. Whether what failed is in it after all.
    fn reopen(&mut self) -> Result<bool, StoreError> {
        // The former handle holds the lock of the file, and after an error does nothing any more.
        self.db = None;
        let db = (self.open)().map_err(opening)?;
        let last = layout::last_group(&db).map_err(|failed| failed.0)?;
        self.db = Some(db);
        let written = last > self.group;
        if written {
            self.group = last;
            self.begin_log_anew();
        }
        Ok(written)
    }

    fn begin_log_anew(&mut self) {
        self.logged.clear();
        self.log.restart();
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // A damaged file must be an error and not a panic, or lost streams, later on.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// Makes the file under another name first, so that a half-made one is never taken for a store.
///
/// A log that was used belongs to a store that has lost its file: it may hold the only copy of acknowledged steps.
fn create(dir: &Path) -> Result<(), StoreError> {
    if log::is_used(&dir.join(LOG_FILE))? {
        let text = format!("{FILE} is missing, and {LOG_FILE} holds changes of it");
        return Err(StoreError::new(ErrorKind::Corrupt, "open", text));
    }
    let new = dir.join(NEW_FILE);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file("create", error)),
        _ => {}
    }
    let log = new_log_id();
    log::create(&dir.join(LOG_FILE), log)?;
    make(&builder().create(&new).map_err(opening)?, log)?;
    fs::rename(&new, dir.join(FILE)).map_err(|error| file("create", error))?;
    sync_folder(dir)
}

/// Names in a folder are durable only when the folder is.
fn sync_folder(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| file("create", error))
}

fn new_log_id() -> i64 {
    rand::random()
}

/// Makes an empty store of an empty database.
pub(super) fn make(db: &Database, log: i64) -> Result<(), StoreError> {
    transact(db, |tx| layout::create(tx, log)).map_err(|failed| failed.0)
}

fn transact(db: &Database, write: impl FnOnce(&WriteTransaction) -> Result<(), Failed>) -> Result<(), Failed> {
    let mut tx = db.begin_write()?;
    tx.set_durability(Durability::Immediate)?;
    write(&tx)?;
    tx.commit()?;
    Ok(())
}
