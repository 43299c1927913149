//! The log: groups of steps in the order in which they were acknowledged, until the file has them.
//!
//! A file of fixed size, so that a sync after each group writes that group and nothing about the file. It is begun
//! anew from its start each time the file has taken what is in it; what is left of the round before has lower numbers.
//!
//! | At | Bytes | What |
//! |---|---:|---|
//! | 0 | 4,096 | `livestream log 1\n`, the log's id (the file names it), CRC-32C of both |
//! | from 4,096 on, every 8 bytes | 28 + n | a group: `LSgr`, n, CRC-32C of the rest, its number, the clock, n bytes of [rows](super::rows) |
//!
//! Numbers are little-endian.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::{ErrorKind, StoreError};

use super::errors::file;

/// Bytes of the whole log: some hundred webhooks, a kilobyte or so each; a start replays no more than that.
pub(super) const SIZE: usize = 1 << 20;
const BEGIN: usize = 4096;
const TITLE: &[u8] = b"livestream log 1\n";
const MAGIC: &[u8] = b"LSgr";
const FRAME: usize = 28;
const ALIGN: usize = 8;

const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Bytes that stay: a file, or one of a test that fails when it is told to.
pub(super) trait Medium: Send {
    /// Writes within the size that it has.
    fn write_at(&self, at: usize, bytes: &[u8]) -> io::Result<()>;
    /// Waits until what was written stays.
    fn sync(&self) -> io::Result<()>;
    /// All that is there.
    fn read(&self) -> io::Result<Vec<u8>>;
}

impl Medium for File {
    fn write_at(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        // Nothing longer than a log is one.
        let mut bytes = vec![0; usize::try_from(self.metadata()?.len()).unwrap_or(usize::MAX).min(SIZE + 1)];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// A log that can be added to.
pub(super) struct Log {
    medium: Box<dyn Medium>,
    /// Where the next group goes.
    at: usize,
}

/// A group found in a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number.
    pub(super) number: i64,
    /// No time given out before is above it.
    pub(super) clock: i64,
    /// Its rows.
    pub(super) rows: Vec<u8>,
}

/// Makes the log of a store at `path`, in the place of one that may be there.
pub(super) fn create(path: &Path, id: i64) -> Result<(), StoreError> {
    let made = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let log = made.map_err(|error| file("create", error))?;
    make(&log, id).and_then(|()| log.sync_all()).map_err(|error| file("create", error))
}

/// Writes an empty log.
pub(super) fn make(medium: &impl Medium, id: i64) -> io::Result<()> {
    let mut bytes = vec![0; SIZE];
    bytes[..head(id).len()].copy_from_slice(&head(id));
    medium.write_at(0, &bytes)
}

/// Whether there is a log at `path` to which a group was ever added, of whatever store.
pub(super) fn is_used(path: &Path) -> Result<bool, StoreError> {
    let bytes = match File::open(path).and_then(|log| log.read()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read.map_err(|error| file("open", error))?,
    };
    Ok((BEGIN..bytes.len()).step_by(ALIGN).any(|at| frame_at(&bytes, at).is_some()))
}

/// Opens the log at `path`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Medium>, StoreError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(log) => Ok(Box::new(log)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged("streams.log is missing")),
        Err(error) => Err(file("open", error)),
    }
}

impl Log {
    /// What is in the log behind the group `last`. The next group goes over it, so that it has to be in the file by then.
    ///
    /// A group that is not whole is the end, since it was never acknowledged; one that is followed by a later group was,
    /// and the log is damaged.
    pub(super) fn read(medium: Box<dyn Medium>, id: i64, last: i64) -> Result<(Self, Vec<Entry>), StoreError> {
        let bytes = medium.read().map_err(|error| file("open", error))?;
        if bytes.len() != SIZE {
            return Err(damaged(&format!("streams.log has {} bytes instead of {SIZE}", bytes.len())));
        }
        if !bytes.starts_with(&head(id)) {
            return Err(damaged("streams.log is none of this store"));
        }
        let (mut at, mut entries, mut expected) = (BEGIN, Vec::new(), last + 1);
        while let Some(entry) = frame_at(&bytes, at).filter(|entry| entry.number == expected) {
            at += room(entry.rows.len());
            expected += 1;
            entries.push(entry);
        }
        let later = (at..SIZE).step_by(ALIGN).filter_map(|at| frame_at(&bytes, at));
        match later.map(|entry| entry.number).find(|number| *number >= expected) {
            None => Ok((Self { medium, at: BEGIN }, entries)),
            Some(number) => Err(damaged(&format!("streams.log lacks group {expected} before {number}"))),
        }
    }

    /// Whether a group of so many bytes has room.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.at + room(bytes) <= SIZE
    }

    /// Adds a group that [`fits`](Self::fits), and waits until it stays. After an error it may stay all the same, until
    /// [`void`](Self::void) has succeeded.
    pub(super) fn add(&mut self, number: i64, clock: i64, rows: &[u8]) -> Result<(), StoreError> {
        let frame = frame(number, clock, rows);
        self.medium
            .write_at(self.at, &frame)
            .and_then(|()| self.medium.sync())
            .map_err(|error| file("write", error))?;
        self.at += frame.len();
        Ok(())
    }

    /// Makes sure that a group that could not be added is not there.
    pub(super) fn void(&self) -> Result<(), StoreError> {
        let nothing = [0; FRAME];
        let nothing = &nothing[..FRAME.min(SIZE - self.at)];
        self.medium.write_at(self.at, nothing).and_then(|()| self.medium.sync()).map_err(|error| file("write", error))
    }

    /// Begins anew: everything in it is in the file.
    pub(super) fn restart(&mut self) {
        self.at = BEGIN;
    }
}

fn damaged(text: &str) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, "open", text)
}

fn head(id: i64) -> Vec<u8> {
    let mut head = TITLE.to_vec();
    head.extend(id.to_le_bytes());
    let sum = CHECKSUM.checksum(&head);
    head.extend(sum.to_le_bytes());
    head
}

/// Bytes that a group of so many bytes of rows takes.
fn room(rows: usize) -> usize {
    (FRAME + rows).next_multiple_of(ALIGN)
}

fn frame(number: i64, clock: i64, rows: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(room(rows.len()));
    frame.extend(MAGIC);
    // A group that fits into the log is shorter than 4 GiB.
    frame.extend((rows.len() as u32).to_le_bytes());
    frame.extend([0; 4]);
    frame.extend(number.to_le_bytes());
    frame.extend(clock.to_le_bytes());
    frame.extend(rows);
    let sum = checksum(&frame);
    frame[8..12].copy_from_slice(&sum.to_le_bytes());
    frame.resize(room(rows.len()), 0);
    frame
}

/// Of everything in a frame but its place for the sum.
fn checksum(frame: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(&frame[..8]);
    digest.update(&frame[12..]);
    digest.finalize()
}

/// The whole group that begins at `at`.
fn frame_at(bytes: &[u8], at: usize) -> Option<Entry> {
    let bytes = bytes.get(at..)?;
    let start = bytes.get(..FRAME)?;
    if !start.starts_with(MAGIC) {
        return None;
    }
    let length = u32::from_le_bytes(start[4..8].try_into().ok()?) as usize;
    let frame = bytes.get(..FRAME.checked_add(length)?)?;
    let number = |at: usize| Some(i64::from_le_bytes(frame[at..at + 8].try_into().ok()?));
    if u32::from_le_bytes(start[8..12].try_into().ok()?) != checksum(frame) {
        return None;
    }
    Some(Entry { number: number(12)?, clock: number(20)?, rows: frame[FRAME..].to_vec() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Medium for Memory {
        fn write_at(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
            self.0.lock()[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        fn read(&self) -> io::Result<Vec<u8>> {
            Ok(self.0.lock().clone())
        }
    }

    fn empty() -> Memory {
        let memory = Memory(Arc::new(Mutex::new(vec![0; SIZE])));
        make(&memory, 7).unwrap();
        memory
    }

    fn read(memory: &Memory, last: i64) -> Result<(Log, Vec<Entry>), StoreError> {
        Log::read(Box::new(memory.clone()), 7, last)
    }

    /// A log with the groups `numbers`, each of other rows.
    fn written(numbers: std::ops::Range<i64>) -> Memory {
        let memory = empty();
        let mut log = read(&memory, 0).unwrap().0;
        for number in numbers {
            log.add(number, number * 10, &vec![number as u8; 3 * number as usize]).unwrap();
        }
        memory
    }

    fn numbers(memory: &Memory, last: i64) -> Vec<i64> {
        read(memory, last).unwrap().1.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn groups_are_read_as_they_were_added() {
        let memory = written(1..20);
        let entries = read(&memory, 0).unwrap().1;
        assert_eq!(entries.len(), 19);
        assert_eq!(entries[4], Entry { number: 5, clock: 50, rows: vec![5; 15] });
    }

    #[test]
    fn a_round_that_the_file_has_taken_is_gone_over() {
        let memory = written(1..20);
        let (mut log, _) = read(&memory, 19).unwrap();
        log.add(20, 0, b"x").unwrap();
        log.add(21, 0, b"y").unwrap();
        assert_eq!(numbers(&memory, 19), [20, 21]);
        assert_eq!(numbers(&memory, 21), [] as [i64; 0], "they are in the file too");
    }

    #[test]
    fn a_last_group_that_is_not_whole_was_never_there() {
        for cut in [0, 3, 4, 9, 13, FRAME, FRAME + 5] {
            let memory = written(1..6);
            let (last, length) = (BEGIN + (1..5).map(|n| room(3 * n)).sum::<usize>(), room(15));
            memory.0.lock()[last + cut..last + length].fill(0);
            assert_eq!(numbers(&memory, 0), [1, 2, 3, 4], "cut at {cut}");
        }
    }

    #[test]
    fn a_group_that_is_voided_is_gone_and_its_place_is_used_again() {
        let memory = written(1..3);
        let mut log = read(&memory, 0).unwrap().0;
        log.at = BEGIN + room(3) + room(6);
        let before = log.at;
        log.add(3, 0, b"failed").unwrap();
        log.at = before;
        log.void().unwrap();
        assert_eq!(numbers(&memory, 0), [1, 2]);
        log.add(3, 0, b"again").unwrap();
        assert_eq!(read(&memory, 0).unwrap().1[2].rows, b"again");
    }

    #[test]
    fn damage_in_the_middle_is_told_from_an_end() {
        for byte in [BEGIN, BEGIN + 5, BEGIN + 9, BEGIN + FRAME + 1] {
            let memory = written(1..6);
            memory.0.lock()[byte] ^= 0x55;
            let error = read(&memory, 0).err().unwrap();
            assert_eq!(error.kind, ErrorKind::Corrupt, "byte {byte}");
        }
    }

    #[test]
    fn what_is_no_log_of_this_store_is_refused() {
        let memory = written(1..6);
        assert!(Log::read(Box::new(memory.clone()), 8, 0).is_err(), "another store's");
        memory.0.lock().truncate(SIZE - 8);
        assert!(read(&memory, 0).is_err(), "cut off");
        memory.0.lock().resize(SIZE + 8, 0);
        assert!(read(&memory, 0).is_err(), "too long");
        memory.0.lock().truncate(SIZE);
        memory.0.lock().fill(0);
        assert!(read(&memory, 0).is_err(), "zeros");
    }

    #[test]
    fn what_does_not_fit_is_known_before() {
        let memory = empty();
        let mut log = read(&memory, 0).unwrap().0;
        let most = SIZE - BEGIN - FRAME;
        assert!(log.fits(most - ALIGN) && !log.fits(most + ALIGN));
        log.add(1, 0, &vec![1; 500_000]).unwrap();
        assert!(log.fits(500_000) && !log.fits(600_000));
        log.restart();
        assert!(log.fits(600_000));
    }
}
