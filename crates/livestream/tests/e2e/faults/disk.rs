//! The embedded store's disk is full, takes nothing, is read-only, or has lost or changed what was on it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{LiveKitOptions, LiveKitServer, Livestream, skip};
use tokio::time::sleep;

use super::callers::Book;
use super::report;
use super::scene::{Scene, assert_kept, quick_instance};
use crate::world::{api_of, create, point_at};

const OUTAGE: Duration = Duration::from_secs(3);
const FILE: &str = "streams.redb";
const LOG_FILE: &str = "streams.log";
/// Where the entries of a log begin.
const LOG_BEGIN: usize = 4096;
/// Room for the store and its log of changes, and not much more.
const SMALL: &str = "size=4m";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_disk_what_was_acknowledged_is_there() {
    let (mut first, mut second) = (quick_instance(), quick_instance());
    let webhook_urls = vec![first.url("/webhook"), second.url("/webhook")];
    let Some(livekit) = LiveKitServer::start(LiveKitOptions { webhook_urls, ..Default::default() }).await else {
        return;
    };
    point_at(&mut first, &livekit);
    point_at(&mut second, &livekit);
    tokio::join!(full(first, api_of(&livekit)), unwritable(second, api_of(&livekit)));
}

/// A disk that somebody else fills up.
async fn full(mut one: Livestream, api: rooms::LiveKit) {
    let Some(alone) = mount_namespace() else { return };
    fs::create_dir(one.folder().join("data")).unwrap();
    let script = format!("mount -t tmpfs -o {SMALL} tmpfs data && exec \"$0\" \"$@\"");
    one.set_wrapper(&[alone, &["sh", "-c", &script]].concat());
    one.start().await;
    let data = seen_by(&one).join("data");
    let mut scene = Scene::open("diskfull", &[&one], &api).await;
    scene.begin();
    fill(&data.join("filler"));
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    fs::remove_file(data.join("filler")).unwrap();
    scene.end();
    let book = scene.settle(31, "the disk of the embedded store is full for 3 s", &[&one]).await;
    // The disk goes with the process: what is on it is kept by hand.
    let files = [FILE, LOG_FILE].map(|name| (name, fs::read(data.join(name)).unwrap()));
    restart_with(one, &files, &book).await;
}

/// Every write is refused, as by a disk that the system has made read-only.
async fn unwritable(mut one: Livestream, api: rooms::LiveKit) {
    one.set_wrapper(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    one.start().await;
    let mut scene = Scene::open("unwritable", &[&one], &api).await;
    scene.begin();
    limit_files(&one, "0:unlimited");
    scene.lose_a_room().await;
    sleep(OUTAGE).await;
    limit_files(&one, "unlimited:unlimited");
    scene.end();
    let book = scene.settle(32, "the disk takes no write at all for 3 s, not even of the log", &[&one]).await;
    restart_with(one, &[], &book).await;
}

/// Killed and started again, on these files if some are given: everything acknowledged is there.
async fn restart_with(mut one: Livestream, files: &[(&str, Vec<u8>)], book: &Book) {
    one.kill();
    for (name, bytes) in files {
        fs::write(one.folder().join("data").join(name), bytes).unwrap();
    }
    one.set_wrapper(&[]);
    one.start().await;
    assert_kept(&one, book).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_can_not_be_used_is_named_with_what_to_do_and_nothing_new_is_begun() {
    let mut one = quick_instance();
    let Some(livekit) = LiveKitServer::start(LiveKitOptions::default()).await else { return };
    point_at(&mut one, &livekit);
    let mut one = one.started().await;
    for name in ["gold", "silver"] {
        create(&one, name).await;
    }
    one.kill();
    let data = one.folder().join("data");
    let (whole, log) = (fs::read(data.join(FILE)).unwrap(), fs::read(data.join(LOG_FILE)).unwrap());
    let changed = |step: usize| {
        let mut bytes = whole.clone();
        bytes.iter_mut().skip(100).step_by(step).for_each(|byte| *byte ^= 0xff);
        bytes
    };
    // The first groups of the log are those that were written when it was opened: others follow.
    let mut early = log.clone();
    early[LOG_BEGIN + 30] ^= 0xff;
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let damages: [(&str, &str, Option<Vec<u8>>); 9] = [
        ("the file is gone, and the log is not", FILE, None),
        ("the file is empty", FILE, Some(Vec::new())),
        ("the file ends half-way", FILE, Some(half(&whole))),
        ("the file is all zeros", FILE, Some(vec![0; whole.len()])),
        ("one byte in a thousand of the file is another", FILE, Some(changed(1000))),
        ("another program's file", FILE, Some(b"SQLite format 3\0 and more of it".repeat(99))),
        ("the log of what is not in the file yet ends half-way", LOG_FILE, Some(half(&log))),
        ("the log is all zeros", LOG_FILE, Some(vec![0; log.len()])),
        ("one byte of the log is another, before its last entry", LOG_FILE, Some(early)),
    ];
    // One that started would never end by itself.
    one.set_wrapper(&["timeout", "30"]);
    for (place, (damage, name, bytes)) in damages.iter().enumerate() {
        fs::write(data.join(FILE), &whole).unwrap();
        fs::write(data.join(LOG_FILE), &log).unwrap();
        match bytes {
            Some(bytes) => fs::write(data.join(name), bytes).unwrap(),
            None => fs::remove_file(data.join(name)).unwrap(),
        }
        let (code, text) = one.run(&[]);
        assert_eq!(code, Some(1), "{damage}: {text}");
        assert!(text.contains(name) && text.contains("backup"), "{damage}: {text}");
        assert_eq!(data.join(name).is_file(), bytes.is_some(), "{damage}: the file is gone, or a new one was begun");
        report::refusal(u32::try_from(place).unwrap(), damage, &last_line(&one, &text));
    }
    one.set_wrapper(&[]);
    fs::write(data.join(FILE), &whole).unwrap();
    fs::write(data.join(LOG_FILE), &log).unwrap();
    refused_read_only(&mut one);
    one.start().await;
    let list = one.get("/streams").await.body;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
}

fn refused_read_only(one: &mut Livestream) {
    let Some(alone) = mount_namespace() else { return };
    let script = "mount --bind data data && mount -o remount,bind,ro data && exec \"$0\" \"$@\"";
    one.set_wrapper(&[alone, &["timeout", "30", "sh", "-c", script]].concat());
    let (code, text) = one.run(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DATA_DIR") && text.contains("writ"), "{text}");
    report::refusal(90, "the folder is read-only", &last_line(one, &text));
    one.set_wrapper(&[]);
}

/// The last line it printed, without the name of this test's folder.
fn last_line(one: &Livestream, text: &str) -> String {
    text.lines().last().unwrap_or_default().replace(&one.folder().display().to_string(), "")
}

/// What starts a process whose mounts nobody else sees, and that are gone with it.
fn mount_namespace() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-r", "-m"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new(way[0]).args(&way[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = WAYS.iter().find(works).copied();
    if found.is_none() {
        skip("this system lets nobody mount (`unshare -r -m`): a full and a read-only disk can't be tried");
    }
    found
}

/// The folder of an instance, as the instance itself sees it.
fn seen_by(one: &Livestream) -> PathBuf {
    let folder = one.folder().strip_prefix("/").unwrap();
    Path::new("/proc").join(one.id().to_string()).join("root").join(folder)
}

/// Writes until there is no room for one byte more.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [65_536, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// How much a file of the instance may hold, as `soft:hard`.
fn limit_files(one: &Livestream, limit: &str) {
    let pid = one.id().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}")]).status().unwrap();
    assert!(done.success(), "prlimit --fsize={limit}");
}
