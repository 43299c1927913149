//! What only the embedded store has: a file that others may damage, and a process that may be killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use domain::{CreateRequest, Creation, Epoch, Rules, Settings, StreamId, create};
use store::{Commit, Committed, Concern, EmbeddedStore, ErrorKind, Store};

/// Set in the child process: the folder it writes to.
const CHILD: &str = "STORE_TEST_CHILD";
const WRITES: usize = 1000;
const FILE: &str = "streams.redb";
const LOG_FILE: &str = "streams.log";

fn id(n: usize) -> StreamId {
    StreamId::parse(&format!("s{n}")).unwrap()
}

async fn reserve(store: &EmbeddedStore, id: &StreamId) {
    let request = CreateRequest {
        id: id.clone(),
        settings: Settings::default(),
        host_key: None,
        fresh_epoch: Epoch::from("abcdefgh"),
    };
    let Creation::Reserve(decision) = create(None, None, request, &Rules::default(), store.now()) else {
        panic!("{id} is there already");
    };
    let commit = Commit { decision: &decision, event: None, fence: None };
    assert_eq!(store.commit(id, commit).await.unwrap(), Committed::Done);
}

async fn has(store: &EmbeddedStore, id: &StreamId) -> bool {
    store.load(id, Concern::default()).await.unwrap().head.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_outlives_a_kill() {
    if let Some(folder) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&folder)).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        // What the rounds before have written is acknowledged again, and quickly.
        let acknowledged = kill_a_writer_after(folder.path(), round * WRITES / 4);
        let store = EmbeddedStore::open(folder.path()).unwrap();
        for n in &acknowledged {
            assert!(has(&store, &id(*n)).await, "write {n} of round {round} was acknowledged and is gone");
        }
        store.close().await;
    }
}

/// Runs this test again as a child and kills it in the middle. The writes it has acknowledged.
fn kill_a_writer_after(folder: &Path, writes: usize) -> Vec<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["every_acknowledged_write_outlives_a_kill", "--exact", "--nocapture", "--test-threads", "1"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // The last line may have been cut off by the kill.
        if let Some(number) = line.strip_prefix("done ").and_then(|rest| rest.strip_suffix('.')) {
            acknowledged.push(number.parse().unwrap());
        }
        if acknowledged.len() == writes {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child was not killed");
    assert!(acknowledged.len() >= writes && acknowledged.len() < WRITES, "{} writes", acknowledged.len());
    acknowledged
}

/// Eight writers at once, so that groups form.
async fn write_until_killed(folder: &Path) {
    let store = std::sync::Arc::new(EmbeddedStore::open(folder).unwrap());
    let tasks = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in (task..WRITES).step_by(8) {
                // What an earlier round wrote is there already.
                if !has(&store, &id(n)).await {
                    reserve(&store, &id(n)).await;
                }
                std::io::stderr().write_all(format!("done {n}.\n").as_bytes()).unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_can_be_open_once_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    let text = error.source.unwrap().to_string();
    assert!(text.contains("another process"), "{text}");
    reserve(&store, &id(1)).await;
    drop(store);
    let store = EmbeddedStore::open(folder.path()).unwrap();
    assert!(has(&store, &id(1)).await);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_made_and_one_that_can_not_be_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    drop(EmbeddedStore::open(&deep).unwrap());
    assert!(deep.join(FILE).is_file());
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(EmbeddedStore::open(&file.join("c")).is_err());
    assert!(EmbeddedStore::open(&file).is_err());
}

#[tokio::test]
async fn a_damaged_file_is_never_taken_for_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for n in 0..200 {
        reserve(&store, &id(n)).await;
    }
    store.close().await;
    drop(store);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let damaged = |what: &str, bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match EmbeddedStore::open(folder.path()) {
            Err(error) => assert_eq!(error.kind, ErrorKind::Corrupt, "{what}: {error:?}"),
            Ok(_) => panic!("{what}: opened"),
        }
    };
    damaged("empty", &[]);
    damaged("not ours", b"SQLite format 3\0 and more of it, long enough to have a header");
    damaged("zeros", &vec![0; whole.len()]);
    // Whole again: nothing of it was changed by looking at it.
    fs::write(&path, &whole).unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for n in 0..200 {
        assert!(has(&store, &id(n)).await);
    }
}

#[tokio::test]
async fn a_log_that_is_missing_cut_off_or_another_store_s_is_noticed() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(EmbeddedStore::open(other.path()).unwrap());
    let store = EmbeddedStore::open(folder.path()).unwrap();
    reserve(&store, &id(0)).await;
    // Not closed: what was reserved is in the log alone, as after a kill.
    let copy = tempfile::tempdir().unwrap();
    let (path, log) = (copy.path().join(FILE), copy.path().join(LOG_FILE));
    let whole = (fs::read(folder.path().join(FILE)).unwrap(), fs::read(folder.path().join(LOG_FILE)).unwrap());
    let opened = |bytes: Option<&[u8]>| {
        fs::write(&path, &whole.0).unwrap();
        match bytes {
            Some(bytes) => fs::write(&log, bytes).unwrap(),
            None => drop(fs::remove_file(&log)),
        }
        EmbeddedStore::open(copy.path())
    };
    let foreign = fs::read(other.path().join(LOG_FILE)).unwrap();
    for bytes in [None, Some(&[][..]), Some(&whole.1[..5000]), Some(&foreign), Some(&vec![0; whole.1.len()])] {
        let error = opened(bytes).unwrap_err();
        let text = format!("{error:?}");
        assert!(error.kind == ErrorKind::Corrupt && text.contains(LOG_FILE), "{text}");
    }
    assert!(has(&opened(Some(&whole.1)).unwrap(), &id(0)).await);
}

#[tokio::test]
async fn a_store_that_lost_its_file_but_not_its_log_is_never_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join(FILE), folder.path().join(LOG_FILE));
    let store = EmbeddedStore::open(folder.path()).unwrap();
    // Nothing was written yet: whoever begins anew loses nothing, and a start that was cut off here goes on.
    let empty = fs::read(&log).unwrap();
    reserve(&store, &id(0)).await;
    drop(store);
    let file = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let error = EmbeddedStore::open(folder.path()).unwrap_err();
    let text = format!("{error:?}");
    assert!(error.kind == ErrorKind::Corrupt && text.contains("streams.redb is missing"), "{text}");
    fs::write(&path, file).unwrap();
    assert!(has(&EmbeddedStore::open(folder.path()).unwrap(), &id(0)).await, "the log was left as it was");
    for begun in [&empty[..], &empty[..100], &[]] {
        fs::remove_file(&path).unwrap();
        fs::write(&log, begun).unwrap();
        assert!(!has(&EmbeddedStore::open(folder.path()).unwrap(), &id(0)).await, "{} bytes", begun.len());
    }
}

#[tokio::test]
async fn a_changed_byte_is_noticed_or_without_consequence() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path()).unwrap();
    for n in 0..50 {
        reserve(&store, &id(n)).await;
    }
    store.close().await;
    drop(store);
    let path = folder.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut noticed = 0;
    for at in used.iter().step_by((used.len() / 60).max(1)) {
        let mut bytes = whole.clone();
        bytes[*at] ^= 0xff;
        fs::write(&path, &bytes).unwrap();
        match EmbeddedStore::open(folder.path()) {
            Err(error) => {
                assert!(matches!(error.kind, ErrorKind::Corrupt | ErrorKind::Misconfigured), "byte {at}: {error:?}");
                noticed += 1;
            }
            // It was in a page that is not in use.
            Ok(store) => {
                for n in 0..50 {
                    assert!(has(&store, &id(n)).await, "byte {at}: stream {n} is lost");
                }
            }
        }
    }
    assert!(noticed > 0);
}
