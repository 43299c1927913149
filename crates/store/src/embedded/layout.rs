//! What is in the file: tables of redb, values in JSON.
//!
//! | Table | Key | Value |
//! |---|---|---|
//! | `heads` | stream id | due time, head |
//! | `people` | stream id, sid | participant |
//! | `events` | partition, event id | remembered until |
//! | `gone` | stream id, sid | remembered until |
//! | `tombstones` | stream id | remembered until, tombstone |
//! | `grants` | stream id, identity | publishing role held |
//! | `bans` | stream id, identity | ban |
//! | `sessions` | kept until, stream id, generation | session |
//! | `memos` | key | when it ends, when it was written, value |
//! | `texts` | `format`, `deployment`, `media_side`, `access_key` | text |
//! | `numbers` | `clock`, `group`, `runs`, `log` | number |
//!
//! Times are milliseconds since 1970. `log` is the id of the [log](super::log) that holds the groups behind `group`.

use domain::{
    Ban, EventId, Head, Identity, Participant, ParticipantSid, Role, Session, StreamId, Timestamp, Tombstone,
};
use redb::{ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use serde::de::DeserializeOwned;

use crate::{ErrorKind, MetaKey, PARTITIONS, Partition, StoreError};

use super::errors::{Failed, undecodable};
use super::memo::{MemoChange, StoredMemo};
use super::rows::{self, Row};
use super::state::State;

const HEADS: TableDefinition<'_, &str, (Option<i64>, &[u8])> = TableDefinition::new("heads");
const PEOPLE: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("people");
const EVENTS: TableDefinition<'_, (u16, &str), i64> = TableDefinition::new("events");
const GONE: TableDefinition<'_, (&str, &str), i64> = TableDefinition::new("gone");
const TOMBSTONES: TableDefinition<'_, &str, (i64, &[u8])> = TableDefinition::new("tombstones");
const GRANTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("grants");
const BANS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("bans");
const SESSIONS: TableDefinition<'_, (i64, &str, u32), &[u8]> = TableDefinition::new("sessions");
/// Not in files of versions before it.
const MEMOS: TableDefinition<'_, &str, (i64, i64, &[u8])> = TableDefinition::new("memos");
const TEXTS: TableDefinition<'_, &str, &str> = TableDefinition::new("texts");
const NUMBERS: TableDefinition<'_, &str, i64> = TableDefinition::new("numbers");

/// The shape described above.
const FORMAT: &str = "2";
/// The same without a log; read, and changed into [`FORMAT`] when it is opened.
const FORMAT_WITHOUT_LOG: &str = "1";
/// Most history rows that are over and go with one transaction: more than the log of one brings in.
const MAX_SESSIONS_REMOVED: usize = 16 * 1024;

/// What one transaction writes.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// Number of the last group in it.
    pub(super) number: i64,
    /// No time given out is above it.
    pub(super) clock: Timestamp,
    /// Encoded rows, in order.
    pub(super) rows: [&'a [u8]; 2],
}

/// What was found in the file.
#[derive(Debug)]
pub(super) struct Stored {
    /// Everything but the watches.
    pub(super) state: State,
    /// The latest time given out before.
    pub(super) clock: Timestamp,
    /// Number of the last group.
    pub(super) group: i64,
    /// How often it was opened before.
    pub(super) runs: i64,
}

/// Makes all tables of a new file, with the id of its log.
pub(super) fn create(tx: &WriteTransaction, log: i64) -> Result<(), Failed> {
    tx.open_table(HEADS)?;
    tx.open_table(PEOPLE)?;
    tx.open_table(EVENTS)?;
    tx.open_table(GONE)?;
    tx.open_table(TOMBSTONES)?;
    tx.open_table(SESSIONS)?;
    tx.open_table(MEMOS)?;
    add_tables(tx)?;
    set_log(tx, log)
}

/// Makes the tables that older files lack.
fn add_tables(tx: &WriteTransaction) -> Result<(), Failed> {
    tx.open_table(GRANTS)?;
    tx.open_table(BANS)?;
    Ok(())
}

/// Names the log, which older versions would overlook.
pub(super) fn set_log(tx: &WriteTransaction, log: i64) -> Result<(), Failed> {
    tx.open_table(NUMBERS)?.insert("log", log)?;
    tx.open_table(TEXTS)?.insert("format", FORMAT)?;
    Ok(())
}

/// Notes that the file is opened once more.
pub(super) fn begin_run(tx: &WriteTransaction, run: i64) -> Result<(), Failed> {
    add_tables(tx)?;
    tx.open_table(NUMBERS)?.insert("runs", run)?;
    Ok(())
}

/// Writes groups.
pub(super) fn write(tx: &WriteTransaction, batch: &Batch<'_>) -> Result<(), Failed> {
    let mut tables = Tables::new(tx);
    for row in batch.rows.into_iter().flat_map(rows::decode) {
        write_row(&mut tables, &row.map_err(Failed)?)?;
    }
    remove_sessions(tables.sessions()?, batch.clock)?;
    let numbers = tables.numbers()?;
    numbers.insert("clock", batch.clock.as_millis())?;
    numbers.insert("group", batch.number)?;
    Ok(())
}

type Json = &'static [u8];
type HeadRow = (Option<i64>, Json);
type StoneRow = (i64, Json);
type MemoRow = (i64, i64, Json);
type SessionKey = (i64, &'static str, u32);
/// Stream id, and sid or identity.
type InStream = (&'static str, &'static str);

/// The tables of one transaction: each is opened once, and only if it is written to.
struct Tables<'t> {
    tx: &'t WriteTransaction,
    heads: Option<Table<'t, &'static str, HeadRow>>,
    people: Option<Table<'t, InStream, Json>>,
    events: Option<Table<'t, (u16, &'static str), i64>>,
    gone: Option<Table<'t, InStream, i64>>,
    tombstones: Option<Table<'t, &'static str, StoneRow>>,
    sessions: Option<Table<'t, SessionKey, Json>>,
    texts: Option<Table<'t, &'static str, &'static str>>,
    numbers: Option<Table<'t, &'static str, i64>>,
    memos: Option<Table<'t, &'static str, MemoRow>>,
    grants: Option<Table<'t, InStream, Json>>,
    bans: Option<Table<'t, InStream, Json>>,
}

/// One function for each table.
macro_rules! tables {
    ($($name:ident: $definition:ident, $key:ty, $value:ty;)*) => {
        impl<'t> Tables<'t> {
            fn new(tx: &'t WriteTransaction) -> Self {
                Self { tx, $($name: None),* }
            }
            $(
                fn $name(&mut self) -> Result<&mut Table<'t, $key, $value>, Failed> {
                    if self.$name.is_none() {
                        self.$name = Some(self.tx.open_table($definition)?);
                    }
                    match &mut self.$name {
                        Some(table) => Ok(table),
                        None => Err(Failed(undecodable(stringify!($name), "it was opened a moment ago"))),
                    }
                }
            )*
        }
    };
}

tables! {
    heads: HEADS, &'static str, HeadRow;
    people: PEOPLE, InStream, Json;
    events: EVENTS, (u16, &'static str), i64;
    gone: GONE, InStream, i64;
    tombstones: TOMBSTONES, &'static str, StoneRow;
    sessions: SESSIONS, SessionKey, Json;
    texts: TEXTS, &'static str, &'static str;
    numbers: NUMBERS, &'static str, i64;
    memos: MEMOS, &'static str, MemoRow;
    grants: GRANTS, InStream, Json;
    bans: BANS, InStream, Json;
}

fn write_row(tables: &mut Tables<'_>, row: &Row<'_>) -> Result<(), Failed> {
    match row {
        Row::Head(id, due, json) => drop(tables.heads()?.insert(*id, (*due, json.as_bytes()))?),
        Row::NoHead(id) => {
            tables.heads()?.remove(*id)?;
            remove_everybody(tables, id)?;
        }
        Row::Person(id, sid, json) => drop(tables.people()?.insert((*id, *sid), json.as_bytes())?),
        Row::NoPerson(id, sid) => drop(tables.people()?.remove((*id, *sid))?),
        Row::NoPeople(id) => remove_everybody(tables, id)?,
        Row::Event(partition, event, until) => drop(tables.events()?.insert((*partition, *event), *until)?),
        Row::NoEvent(partition, event) => drop(tables.events()?.remove((*partition, *event))?),
        Row::Gone(id, sid, until) => drop(tables.gone()?.insert((*id, *sid), *until)?),
        Row::NoGone(id, sid) => drop(tables.gone()?.remove((*id, *sid))?),
        Row::Tombstone(id, until, json) => drop(tables.tombstones()?.insert(*id, (*until, json.as_bytes()))?),
        Row::NoTombstone(id) => drop(tables.tombstones()?.remove(*id)?),
        Row::Grant(id, identity, json) => drop(tables.grants()?.insert((*id, *identity), json.as_bytes())?),
        Row::Ban(id, identity, json) => drop(tables.bans()?.insert((*id, *identity), json.as_bytes())?),
        Row::NoBan(id, identity) => drop(tables.bans()?.remove((*id, *identity))?),
        Row::Session(until, id, generation, json) => {
            tables.sessions()?.insert((*until, *id, *generation), json.as_bytes())?;
        }
        Row::Memo(key, until, written, value) => drop(tables.memos()?.insert(*key, (*until, *written, *value))?),
        Row::NoMemo(key) => drop(tables.memos()?.remove(*key)?),
        Row::Text(key, value) => drop(tables.texts()?.insert(*key, *value)?),
    }
    Ok(())
}

fn remove_everybody(tables: &mut Tables<'_>, id: &str) -> Result<(), Failed> {
    remove_people(tables.people()?, id)?;
    remove_people(tables.grants()?, id)
}

fn remove_people(people: &mut Table<'_, (&str, &str), &[u8]>, id: &str) -> Result<(), Failed> {
    // An id holds no control characters: nothing else sorts between it and this.
    let end = format!("{id}\0");
    people.retain_in((id, "")..(end.as_str(), ""), |_, _| false)?;
    Ok(())
}

/// Removes history rows that are over.
fn remove_sessions(sessions: &mut Table<'_, SessionKey, Json>, now: Timestamp) -> Result<(), Failed> {
    for _ in 0..MAX_SESSIONS_REMOVED {
        let over = sessions.first()?.is_some_and(|(key, _)| key.value().0 <= now.as_millis());
        if !over {
            break;
        }
        sessions.pop_first()?;
    }
    Ok(())
}

/// Reads a whole file.
pub(super) fn read(db: &impl ReadableDatabase) -> Result<Stored, Failed> {
    let tx = db.begin_read()?;
    let texts = tx.open_table(TEXTS)?;
    let mut state = State::default();
    for key in MetaKey::ALL {
        if let Some(value) = texts.get(key.as_str())? {
            state.meta.insert(key, value.value().to_owned());
        }
    }
    read_streams(&mut state, &tx.open_table(HEADS)?, &tx.open_table(PEOPLE)?)?;
    read_identities(&mut state, if_there(tx.open_table(GRANTS))?, if_there(tx.open_table(BANS))?)?;
    read_memories(&mut state, &tx.open_table(EVENTS)?, &tx.open_table(GONE)?, &tx.open_table(TOMBSTONES)?)?;
    for entry in tx.open_table(SESSIONS)?.iter()? {
        let (key, json) = entry?;
        let (until, id, _) = key.value();
        let session: Session = decode("session", id, json.value())?;
        state.sessions.add(session, Timestamp::from_millis(until), Timestamp::from_millis(0));
    }
    if let Some(memos) = if_there(tx.open_table(MEMOS))? {
        read_memos(&mut state, &memos)?;
    }
    let numbers = tx.open_table(NUMBERS)?;
    let number = |name: &str| -> Result<i64, Failed> { Ok(numbers.get(name)?.map_or(0, |number| number.value())) };
    Ok(Stored {
        state,
        clock: Timestamp::from_millis(number("clock")?),
        group: number("group")?,
        runs: number("runs")?,
    })
}

/// The number of the last group in the file.
pub(super) fn last_group(db: &impl ReadableDatabase) -> Result<i64, Failed> {
    Ok(number(db, "group")?.unwrap_or(0))
}

/// The id of the file's log; `None` in files of versions without one.
pub(super) fn log_id(db: &impl ReadableDatabase) -> Result<Option<i64>, Failed> {
    let format = db.begin_read()?.open_table(TEXTS)?.get("format")?.map(|format| format.value().to_owned());
    match (format.as_deref(), number(db, "log")?) {
        (Some(FORMAT), Some(log)) => Ok(Some(log)),
        (Some(FORMAT_WITHOUT_LOG), _) => Ok(None),
        _ => {
            let text = format!("the file has format {format:?}, this version reads {FORMAT:?}");
            Err(Failed(StoreError::new(ErrorKind::Misconfigured, "open", text)))
        }
    }
}

fn number(db: &impl ReadableDatabase, name: &str) -> Result<Option<i64>, Failed> {
    Ok(db.begin_read()?.open_table(NUMBERS)?.get(name)?.map(|number| number.value()))
}

fn read_streams(
    state: &mut State,
    heads: &impl ReadableTable<&'static str, (Option<i64>, &'static [u8])>,
    people: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
) -> Result<(), Failed> {
    for entry in heads.iter()? {
        let (key, value) = entry?;
        let (due, json) = value.value();
        let head: Head = decode("head", key.value(), json)?;
        state.restore(head, due.map(Timestamp::from_millis));
    }
    for entry in people.iter()? {
        let (key, value) = entry?;
        let (id, _) = key.value();
        let participant: Participant = decode("participant", id, value.value())?;
        if !state.restore_participant(&stream_id(id)?, participant) {
            return Err(Failed(undecodable("participant", format!("stream {id:?} is missing"))));
        }
    }
    Ok(())
}

/// A table, unless the file is older than it.
fn if_there<T>(table: Result<T, TableError>) -> Result<Option<T>, Failed> {
    match table {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        table => Ok(Some(table?)),
    }
}

fn read_identities<T: ReadableTable<(&'static str, &'static str), &'static [u8]>>(
    state: &mut State,
    grants: Option<T>,
    bans: Option<T>,
) -> Result<(), Failed> {
    for entry in grants.iter().map(ReadableTable::iter).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        let (key, value) = entry?;
        let (id, identity) = key.value();
        let role: Role = decode("granted role", id, value.value())?;
        if !state.restore_grant(&stream_id(id)?, Identity::reported(identity), role) {
            return Err(Failed(undecodable("granted role", format!("stream {id:?} is missing"))));
        }
    }
    for entry in bans.iter().map(ReadableTable::iter).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        let (key, value) = entry?;
        let (id, identity) = key.value();
        let ban: Ban = decode("ban", id, value.value())?;
        state.remember_ban(&stream_id(id)?, Identity::reported(identity), ban);
    }
    Ok(())
}

fn read_memories(
    state: &mut State,
    events: &impl ReadableTable<(u16, &'static str), i64>,
    gone: &impl ReadableTable<(&'static str, &'static str), i64>,
    tombstones: &impl ReadableTable<&'static str, (i64, &'static [u8])>,
) -> Result<(), Failed> {
    for entry in events.iter()? {
        let (key, until) = entry?;
        let (number, event) = key.value();
        let partition = Partition::all()
            .nth(usize::from(number))
            .ok_or_else(|| Failed(undecodable("event", format!("partition {number} is not below {PARTITIONS}"))))?;
        state.remember_event(partition, EventId(event.to_owned()), Timestamp::from_millis(until.value()));
    }
    for entry in gone.iter()? {
        let (key, until) = entry?;
        let (id, sid) = key.value();
        state.remember_gone(&stream_id(id)?, ParticipantSid::from(sid), Timestamp::from_millis(until.value()));
    }
    for entry in tombstones.iter()? {
        let (key, value) = entry?;
        let (until, json) = value.value();
        let stone: Tombstone = decode("tombstone", key.value(), json)?;
        state.remember_tombstone(&stream_id(key.value())?, stone, Timestamp::from_millis(until));
    }
    Ok(())
}

fn read_memos(
    state: &mut State,
    memos: &impl ReadableTable<&'static str, (i64, i64, &'static [u8])>,
) -> Result<(), Failed> {
    for entry in memos.iter()? {
        let (key, row) = entry?;
        let (until, written, value) = row.value();
        let (until, written) = (Timestamp::from_millis(until), Timestamp::from_millis(written));
        let memo = StoredMemo { until, written, value: value.to_vec() };
        state.memos.apply(MemoChange { key: key.value().to_owned(), memo: Some(memo) });
    }
    Ok(())
}

fn stream_id(text: &str) -> Result<StreamId, Failed> {
    StreamId::parse(text).map_err(|error| Failed(undecodable("stream id", format!("{text:?} {error}"))))
}

fn decode<T: DeserializeOwned>(what: &str, id: &str, json: &[u8]) -> Result<T, Failed> {
    serde_json::from_slice(json).map_err(|error| Failed(undecodable(&format!("{what} of stream {id:?}"), error)))
}

/// Makes the file one of a version that had no log.
#[cfg(test)]
pub(super) fn forget_log(db: &redb::Database) {
    let tx = db.begin_write().unwrap();
    tx.open_table(TEXTS).unwrap().insert("format", FORMAT_WITHOUT_LOG).unwrap();
    tx.open_table(NUMBERS).unwrap().remove("log").unwrap();
    tx.commit().unwrap();
}
