//! A disk that fills up, fails and comes back.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use domain::{CreateRequest, Creation, Epoch, Notice, NoticeBody, Rules, Settings, create};
use parking_lot::Mutex;
use redb::StorageBackend;

use super::*;
use crate::ErrorKind;

const FINE: u8 = 0;
/// No byte more can be written.
const FULL: u8 = 1;
/// Everything is written, but the sync says that it failed.
const SYNC_FAILS: u8 = 2;
/// Nothing can be read or written.
const DEAD: u8 = 3;
/// The log takes what it has room for, the file takes nothing.
const FILE_FULL: u8 = 4;

const LOG: i64 = 7;

/// A file in memory, and its log, that outlive their handles and fail when told to.
#[derive(Debug, Clone, Default)]
struct FakeFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    log: Arc<Mutex<Vec<u8>>>,
    mode: Arc<AtomicU8>,
}

impl FakeFile {
    fn file_writable(&self) -> io::Result<()> {
        self.fail_in(&[FILE_FULL], io::ErrorKind::StorageFull)?;
        self.writable()
    }

    /// The number of the last group in the file.
    fn groups(&self) -> i64 {
        layout::last_group(&redb::Builder::new().create_with_backend(self.copy()).unwrap()).unwrap()
    }

    /// What is on the disk now, under another name.
    fn copy(&self) -> Self {
        let copy = |bytes: &Arc<Mutex<Vec<u8>>>| Arc::new(Mutex::new(bytes.lock().clone()));
        Self { bytes: copy(&self.bytes), log: copy(&self.log), mode: Arc::default() }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn fail_in(&self, modes: &[u8], kind: io::ErrorKind) -> io::Result<()> {
        if modes.contains(&self.mode.load(Ordering::SeqCst)) { Err(kind.into()) } else { Ok(()) }
    }

    fn writable(&self) -> io::Result<()> {
        self.fail_in(&[FULL], io::ErrorKind::StorageFull)?;
        self.fail_in(&[DEAD], io::ErrorKind::Other)
    }

    fn open(&self) -> EmbeddedStore {
        self.open_with(Clock::system())
    }

    fn open_with(&self, clock: Clock) -> EmbeddedStore {
        let (file, log) = (self.clone(), self.clone());
        let open = Box::new(move || redb::Builder::new().create_with_backend(file.clone()));
        let open_log = |new: Option<i64>| {
            if let Some(id) = new {
                log.log.lock().resize(log::SIZE, 0);
                log::make(&log, id).unwrap();
            }
            Ok(Box::new(log.clone()) as Box<dyn log::Medium>)
        };
        EmbeddedStore::start(Disk::open_by(open, &open_log).unwrap(), clock).unwrap()
    }

    fn create() -> Self {
        let file = Self::default();
        file.log.lock().resize(log::SIZE, 0);
        log::make(&file, LOG).unwrap();
        connection::make(&redb::Builder::new().create_with_backend(file.clone()).unwrap(), LOG).unwrap();
        file
    }
}

impl StorageBackend for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.fail_in(&[DEAD], io::ErrorKind::Other)?;
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock()[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file_writable()?;
        self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fail_in(&[SYNC_FAILS, DEAD], io::ErrorKind::Other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file_writable()?;
        let offset = usize::try_from(offset).unwrap();
        self.bytes.lock()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl log::Medium for FakeFile {
    fn write_at(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        self.log.lock()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.log.lock().clone())
    }
}

fn id(n: usize) -> StreamId {
    StreamId::parse(&format!("s{n}")).unwrap()
}

/// Reserves a stream, and says so to whoever watches it.
async fn reserve(store: &EmbeddedStore, n: usize) -> Result<Committed, StoreError> {
    let request = CreateRequest {
        id: id(n),
        settings: Settings::default(),
        host_key: None,
        fresh_epoch: Epoch::from("abcdefgh"),
    };
    let Creation::Reserve(mut decision) = create(None, None, request, &Rules::default(), store.now()) else {
        panic!("nothing is stored of it");
    };
    decision.notice =
        Some(Notice { id: id(n), body: NoticeBody::Removed { epoch: Epoch::from("abcdefgh"), version: n as u64 } });
    store.commit(&id(n), Commit { decision: &decision, event: None, fence: None }).await
}

async fn seen(store: &EmbeddedStore, of: usize) -> Vec<usize> {
    let ids: Vec<StreamId> = (0..of).map(id).collect();
    let heads = store.load_many(&ids).await.unwrap();
    (0..of).filter(|n| heads[*n].is_some()).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let file = FakeFile::create();
    let store = file.open();
    let mut notices = store.notices();
    for n in 0..3 {
        store.watch(Watch::Stream(&id(n)), true).await.unwrap();
    }
    assert_eq!(reserve(&store, 0).await.unwrap(), Committed::Done);
    file.set(FULL);
    for _ in 0..3 {
        let error = reserve(&store, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full, "{error:?}");
        let error = store.swap_meta(MetaKey::Deployment, None, "d").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Full, "{error:?}");
    }
    assert_eq!(seen(&store, 3).await, [0], "reads go on, and see nothing of what was refused");
    file.set(FINE);
    assert_eq!(reserve(&store, 2).await.unwrap(), Committed::Done);
    assert_eq!(seen(&store, 3).await, [0, 2]);
    for n in [0, 2] {
        assert!(matches!(notices.try_recv(), Ok(NoticeEvent::Stream(notice)) if notice.id == id(n)));
    }
    assert!(notices.try_recv().is_err(), "nothing is told of what was refused");
    store.close().await;
    let store = file.open();
    assert_eq!(seen(&store, 3).await, [0, 2]);
    assert_eq!(store.meta(MetaKey::Deployment).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_shown_after_a_failed_sync_is_what_the_file_holds() {
    let file = FakeFile::create();
    let store = file.open();
    assert_eq!(reserve(&store, 0).await.unwrap(), Committed::Done);
    file.set(SYNC_FAILS);
    let failed = reserve(&store, 1).await;
    assert!(failed.is_err());
    file.set(FINE);
    // The next write settles what became of the one before.
    assert_eq!(reserve(&store, 2).await.unwrap(), Committed::Done);
    let shown = seen(&store, 3).await;
    assert!(shown.contains(&0) && shown.contains(&2));
    drop(store);
    let store = file.open();
    assert_eq!(seen(&store, 3).await, shown);
}

#[tokio::test]
async fn a_dead_disk_fails_writes_only() {
    let file = FakeFile::create();
    let store = file.open();
    assert_eq!(reserve(&store, 0).await.unwrap(), Committed::Done);
    file.set(DEAD);
    for _ in 0..2 {
        let error = reserve(&store, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
    }
    assert_eq!(seen(&store, 2).await, [0]);
    assert!(store.ping().await.is_ok());
    file.set(FINE);
    assert_eq!(reserve(&store, 1).await.unwrap(), Committed::Done);
    assert_eq!(seen(&store, 2).await, [0, 1]);
}

#[tokio::test]
async fn times_never_go_back_over_a_restart() {
    let file = FakeFile::create();
    let at = |millis: i64| Clock::new(move || Timestamp::from_millis(millis));
    let open = |clock: Clock| file.open_with(clock);
    let store = open(at(5_000));
    assert_eq!(store.now().as_millis(), 5_000);
    store.close().await;
    drop(store);
    // The wall clock was set back meanwhile.
    assert_eq!(open(at(1_000)).now().as_millis(), 5_000);
    assert_eq!(open(at(9_000)).now().as_millis(), 9_000);
}

#[tokio::test]
async fn what_is_remembered_for_a_while_is_forgotten() {
    use std::sync::atomic::AtomicI64;

    use domain::{EventId, Retention};

    let file = FakeFile::create();
    let time = Arc::new(AtomicI64::new(1_000_000));
    let open = || {
        let time = time.clone();
        file.open_with(Clock::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst))))
    };
    let store = open();
    let event = EventId("EV_1".to_owned());
    let known = async |store: &EmbeddedStore| {
        store.load(&id(0), Concern { event: Some(&event), ..Concern::default() }).await.unwrap().event_known
    };
    let request = CreateRequest {
        id: id(0),
        settings: Settings::default(),
        host_key: None,
        fresh_epoch: Epoch::from("abcdefgh"),
    };
    let Creation::Reserve(decision) = create(None, None, request, &Rules::default(), store.now()) else { panic!() };
    let step = Commit { decision: &decision, event: Some(&event), fence: None };
    assert_eq!(store.commit(&id(0), step).await.unwrap(), Committed::Done);
    assert!(known(&store).await);
    let retention = i64::try_from(Retention::EVENT.as_millis()).unwrap();
    time.fetch_add(retention - 1, Ordering::SeqCst);
    assert!(known(&store).await);
    time.fetch_add(1, Ordering::SeqCst);
    assert!(!known(&store).await);
    assert_eq!(store.shared.state.read().faded(store.now(), 1).len(), 1);
    // The next write takes it out of memory and file.
    assert_eq!(reserve(&store, 1).await.unwrap(), Committed::Done);
    assert_eq!(store.shared.state.read().faded(store.now(), 1), Vec::new());
    drop(store);
    let store = open();
    assert_eq!(store.shared.state.read().faded(store.now(), 1), Vec::new());
    assert!(!known(&store).await);
}

#[tokio::test]
async fn what_the_log_has_no_room_for_is_in_the_file_and_so_is_the_rest_after_a_restart() {
    let file = FakeFile::create();
    let store = file.open();
    // A thousand times what one takes: the log is begun anew some times on the way.
    let many = 3 * log::SIZE / 1000;
    for n in 0..many {
        assert_eq!(reserve(&store, n).await.unwrap(), Committed::Done);
    }
    let in_file = file.groups();
    assert!(in_file > 0 && in_file < many as i64, "{in_file} of {many}");
    // Cut off: whoever opens it next finds the rest in the log.
    let cut_off = file.copy();
    assert_eq!(seen(&cut_off.open(), many).await.len(), many);
    store.close().await;
    let closed = file.groups();
    assert_eq!(closed, many as i64, "a store that is closed has nothing in its log alone");
}

#[tokio::test]
async fn a_full_log_whose_file_can_not_be_written_refuses_until_it_can() {
    let file = FakeFile::create();
    let store = file.open();
    file.set(FILE_FULL);
    let mut n = 0;
    let error = loop {
        match reserve(&store, n).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, file.groups()), (ErrorKind::Full, 0), "the log has taken {n}");
    assert_eq!(seen(&file.copy().open(), n + 1).await.len(), n);
    file.set(FINE);
    assert_eq!(reserve(&store, n).await.unwrap(), Committed::Done);
    assert_eq!(file.groups(), n as i64 + 1);
    assert_eq!(seen(&file.copy().open(), n + 1).await.len(), n + 1);
}

#[tokio::test]
async fn a_file_of_a_version_without_log_gets_one() {
    let file = FakeFile::create();
    let store = file.open();
    assert_eq!(reserve(&store, 0).await.unwrap(), Committed::Done);
    store.close().await;
    drop(store);
    file.log.lock().clear();
    layout::forget_log(&redb::Builder::new().create_with_backend(file.clone()).unwrap());
    let store = file.open();
    assert_eq!(seen(&store, 1).await, [0]);
    assert_eq!(reserve(&store, 1).await.unwrap(), Committed::Done);
    drop(store);
    assert_eq!(seen(&file.open(), 2).await, [0, 1]);
}
