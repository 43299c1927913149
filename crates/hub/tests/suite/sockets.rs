//! Handed-over sockets: the same states over real connections.

use std::any::Any;
use std::collections::VecDeque;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::{HandOver, HubSettings, Position, Shape, SocketSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::bed::{Bed, Flaky, eventually, stream};

const SOON: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

fn patient() -> SocketSettings {
    SocketSettings { heartbeat: HOUR, write_timeout: HOUR, max_age: HOUR }
}

fn bed(settings: SocketSettings) -> Bed {
    let bed = Bed::new();
    bed.hub.open_sockets(settings).unwrap();
    bed
}

/// The reader's end of a handed-over connection.
struct Reader {
    socket: TcpStream,
    bytes: VecDeque<u8>,
}

/// The next thing in a chunked stream.
#[derive(Debug, PartialEq)]
enum Piece {
    Chunk(String),
    /// The last chunk, and then the connection's end.
    Last,
    /// The connection's end without a last chunk.
    Cut,
}

impl Reader {
    async fn piece(&mut self) -> Piece {
        let Some(size) = self.line().await else { return Piece::Cut };
        let length = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk begins with {size:?}"));
        if length == 0 {
            assert_eq!(self.line().await.as_deref(), Some(""));
            assert!(!self.fill().await, "something comes after the last chunk");
            return Piece::Last;
        }
        while self.bytes.len() < length + 2 {
            if !self.fill().await {
                return Piece::Cut;
            }
        }
        let data: Vec<u8> = self.bytes.drain(..length).collect();
        assert_eq!(self.bytes.drain(..2).collect::<Vec<_>>(), b"\r\n", "a chunk ends where it says");
        Piece::Chunk(String::from_utf8(data).unwrap())
    }

    async fn chunk(&mut self) -> String {
        match self.piece().await {
            Piece::Chunk(text) => text,
            end => panic!("{end:?}"),
        }
    }

    /// A line without its end; `None` when the connection has ended.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let read = timeout(SOON, self.socket.read(&mut buffer)).await.expect("nothing came");
        let read = read.unwrap_or(0);
        self.bytes.extend(&buffer[..read]);
        read > 0
    }

    async fn until(&mut self, wanted: &str) {
        let mut last = 0;
        loop {
            let state = self.chunk().await;
            let version: u64 = state.split(' ').next().unwrap().parse().unwrap();
            assert!(version > last, "version fell from {last} to {version}");
            last = version;
            if state.starts_with(wanted) {
                return;
            }
        }
    }

    async fn silence(&mut self) {
        let mut buffer = [0; 64];
        let came = timeout(Duration::from_millis(80), self.socket.read(&mut buffer)).await;
        assert!(came.is_err() && self.bytes.is_empty(), "something came: {came:?} {buffer:?}");
    }

    /// Says that it is done, and waits until the other side has closed too: its file descriptor is gone then.
    async fn leave(mut self) {
        self.socket.shutdown().await.unwrap();
        while self.fill().await {}
    }
}

/// Connections of which the other end can be handed over.
struct Door(TcpListener);

impl Door {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    async fn pair(&self) -> (TcpStream, HandOver) {
        // As small as can be, so that a reader that does not read is noticed soon.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let (near, far) = tokio::join!(socket.connect(self.0.local_addr().unwrap()), self.0.accept());
        let far = far.unwrap().0.into_std().unwrap();
        socket2::SockRef::from(&far).set_tcp_notsent_lowat(4 * 1024).unwrap();
        let words = "hello".into();
        let hand_over = HandOver { socket: far, head: "head\r\n\r\n".into(), first_words: words, permit: Box::new(()) };
        (near.unwrap(), hand_over)
    }

    /// Watches a stream; head and first words are read.
    async fn watch(&self, bed: &Bed, id: &str) -> Reader {
        self.watch_with(bed, id, Shape::Full, None, Box::new(())).await
    }

    async fn watch_with(
        &self,
        bed: &Bed,
        id: &str,
        shape: Shape,
        last: Option<&Position>,
        permit: Box<dyn Any + Send>,
    ) -> Reader {
        let subscription = bed.hub.subscribe(&stream(id), shape, last).await.unwrap().unwrap();
        let (near, hand_over) = self.pair().await;
        bed.hub.hand_over(HandOver { permit, ..hand_over }, subscription);
        Self::greeted(near).await
    }

    async fn lobby(&self, bed: &Bed, limit: usize) -> Reader {
        let subscription = bed.hub.subscribe_lobby(limit).await.unwrap();
        let (near, hand_over) = self.pair().await;
        bed.hub.hand_over(hand_over, subscription);
        Self::greeted(near).await
    }

    async fn greeted(near: TcpStream) -> Reader {
        let mut reader = Reader { socket: near, bytes: VecDeque::new() };
        assert_eq!(reader.line().await.as_deref(), Some("head"));
        assert_eq!(reader.line().await.as_deref(), Some(""));
        assert_eq!(reader.chunk().await, "hello");
        reader
    }
}

#[tokio::test]
async fn the_newest_state_comes_with_the_head_and_then_every_change() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    let mut full = door.watch(&bed, "x").await;
    let mut summary = door.watch_with(&bed, "x", Shape::Summary, None, Box::new(())).await;
    let mut polled = bed.watch("x").await;
    assert_eq!(full.chunk().await, "1 waiting 0 []");
    assert_eq!(summary.chunk().await, "1 waiting 0 []");
    bed.join("x", "ann").await;
    assert_eq!(full.chunk().await, "2 waiting 1 [ann]");
    assert_eq!(summary.chunk().await, "2 waiting 1 []");
    crate::bed::until(&mut polled, "2 waiting 1 [ann]").await;
    assert_eq!((bed.hub.stats().topics, bed.hub.stats().subscribers), (1, 3));
    assert_eq!(bed.encoder.states.load(Ordering::SeqCst), 4, "each state once per shape, on both paths");
    // Who has it is not sent it again, on this path neither.
    let has = Position { epoch: "epoch001".into(), version: 2 };
    let mut again = door.watch_with(&bed, "x", Shape::Full, Some(&has), Box::new(())).await;
    again.silence().await;
    bed.end("x").await;
    assert_eq!(again.chunk().await, "3 ended 0 []");
    assert_eq!(full.chunk().await, "3 ended 0 []");
    bed.expire("x").await;
    for reader in [&mut full, &mut again] {
        assert_eq!(reader.piece().await, Piece::Last, "the stream is gone");
    }
    drop(polled);
    eventually("letting go", || bed.hub.stats().topics == 0).await;
}

#[tokio::test]
async fn a_stream_made_anew_is_fed_anew() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    let mut before = door.watch(&bed, "x").await;
    assert_eq!(before.chunk().await, "1 waiting 0 []");
    bed.end("x").await;
    bed.expire("x").await;
    while before.piece().await != Piece::Last {}
    bed.open("x").await;
    let mut after = door.watch(&bed, "x").await;
    let version = bed.version("x").await;
    assert_eq!(after.chunk().await, format!("{version} waiting 0 []"));
    bed.join("x", "ann").await;
    assert_eq!(after.chunk().await, format!("{} waiting 1 [ann]", version + 1));
}

#[tokio::test]
async fn a_slow_reader_gets_whole_states_and_in_the_end_the_newest() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    bed.encoder.padding.store(30_000, Ordering::SeqCst);
    let mut slow = door.watch(&bed, "x").await;
    let mut quick = door.watch(&bed, "x").await;
    for n in 0..200 {
        bed.join("x", &format!("p{n:03}")).await;
        if n % 20 == 0 {
            quick.chunk().await;
        }
    }
    quick.until("201 ").await;
    let (mut states, mut last) = (0, 0);
    while last < 201 {
        let state = slow.chunk().await;
        assert!(state.ends_with("x]") && state.len() > 30_000, "a state is whole");
        let version: u64 = state.split(' ').next().unwrap().parse().unwrap();
        assert!(version > last, "version fell from {last} to {version}");
        (states, last) = (states + 1, version);
    }
    assert!(states < 60, "{states} states were kept for a reader that did not read");
    slow.silence().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_nobody_else() {
    let settings = SocketSettings { write_timeout: Duration::from_millis(300), ..patient() };
    let (bed, door) = (bed(settings), Door::open().await);
    bed.open("x").await;
    let stalled = door.watch(&bed, "x").await;
    let mut quick = door.watch(&bed, "x").await;
    bed.encoder.padding.store(100_000, Ordering::SeqCst);
    for n in 0..30 {
        bed.join("x", &format!("p{n:02}")).await;
        quick.until(&format!("{} ", n + 2)).await;
    }
    eventually("cutting", || bed.hub.stats().subscribers == 1).await;
    bed.join("x", "late").await;
    quick.until("32 ").await;
    drop(stalled);
}

#[tokio::test]
async fn whoever_talks_too_much_or_half_closes_is_cut() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    let mut talker = door.watch(&bed, "x").await;
    let mut quiet = door.watch(&bed, "x").await;
    quiet.socket.write_all(b"GET /pipelined HTTP/1.1\r\n\r\n").await.unwrap();
    let flood = vec![b'x'; 1024 * 1024];
    // It is cut while it talks.
    assert!(timeout(SOON, talker.socket.write_all(&flood)).await.unwrap().is_err() || !talker.fill().await);
    eventually("cutting", || bed.hub.stats().subscribers == 1).await;
    assert_eq!(quiet.chunk().await, "1 waiting 0 []");
    bed.join("x", "ann").await;
    assert_eq!(quiet.chunk().await, "2 waiting 1 [ann]", "a little is forgiven");
    let std = quiet.socket.into_std().unwrap();
    std.shutdown(Shutdown::Write).unwrap();
    eventually("letting go", || bed.hub.stats().subscribers == 0).await;
}

#[tokio::test]
async fn an_idle_reader_gets_comments_and_an_old_one_the_end() {
    let (beat, age) = (Duration::from_millis(50), Duration::from_millis(500));
    let (bed, door) = (bed(SocketSettings { heartbeat: beat, max_age: age, ..patient() }), Door::open().await);
    bed.open("x").await;
    let mut reader = door.watch(&bed, "x").await;
    assert_eq!(reader.chunk().await, "1 waiting 0 []");
    assert_eq!(reader.chunk().await, ":\n\n");
    assert_eq!(reader.chunk().await, ":\n\n");
    loop {
        match reader.piece().await {
            Piece::Chunk(comment) => assert_eq!(comment, ":\n\n"),
            end => return assert_eq!(end, Piece::Last),
        }
    }
}

/// Readers come and go by the thousand while states change; then nothing is left of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn churn_leaves_nothing() {
    let (bed, door) = (Arc::new(bed(patient())), Arc::new(Door::open().await));
    for n in 0..10 {
        bed.open(&format!("x{n}")).await;
    }
    let permit = Arc::new(());
    let mut crowds = Vec::new();
    for crowd in 0..8 {
        let (bed, door, permit) = (bed.clone(), door.clone(), permit.clone());
        crowds.push(tokio::spawn(async move {
            for n in 0..250 {
                let id = format!("x{}", if n % 3 == 0 { 0 } else { n % 10 });
                let held = Box::new(permit.clone());
                let mut reader = door.watch_with(&bed, &id, Shape::Full, None, held).await;
                match (n + crowd) % 4 {
                    0 => drop(reader),
                    1 => reader.leave().await,
                    _ => {
                        reader.chunk().await;
                        reader.leave().await;
                    }
                }
            }
        }));
    }
    let mut stays = door.watch(&bed, "x0").await;
    let mut changes = 1;
    while crowds.iter().any(|crowd| !crowd.is_finished()) {
        for n in [0, 1, 5] {
            bed.join(&format!("x{n}"), &format!("p{changes:05}")).await;
        }
        changes += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for crowd in crowds {
        crowd.await.unwrap();
    }
    stays.until(&format!("{changes} ")).await;
    stays.leave().await;
    eventually("letting go", || bed.hub.stats().topics == 0).await;
    assert_eq!(bed.hub.stats().subscribers, 0);
    eventually("permits", || Arc::strong_count(&permit) == 1).await;
    assert_eq!(bed.store.watched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn many_small_streams_get_theirs_beside_a_hot_one() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("hot").await;
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(door.watch(&bed, "hot").await);
    }
    let mut small = Vec::new();
    for n in 0..100 {
        bed.open(&format!("s{n}")).await;
        small.push(door.watch(&bed, &format!("s{n}")).await);
    }
    for n in 0..100 {
        bed.join("hot", &format!("p{n:03}")).await;
        bed.join(&format!("s{n}"), "ann").await;
    }
    for reader in &mut small {
        reader.until("2 waiting 1 [ann]").await;
    }
    for reader in &mut crowd {
        reader.until("101 ").await;
    }
}

#[tokio::test]
async fn the_lobby_is_sent_in_batches_that_all_share() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("a").await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = door.lobby(&bed, 10).await;
        assert_eq!(reader.chunk().await, "snapshot a:0 of 1");
        readers.push(reader);
    }
    assert_eq!(bed.hub.stats().lobby_subscribers, 20);
    for id in ["b", "c", "d"] {
        bed.open(id).await;
    }
    for reader in &mut readers {
        let mut told = String::new();
        while !told.contains("upsert d:0 waiting") {
            told.push_str(&reader.chunk().await);
        }
        // A stream that was just opened may change once more before anybody is told.
        let order: Vec<_> = ["b:0", "c:0", "d:0"].map(|id| told.find(&format!("upsert {id}")).unwrap()).into();
        assert!(order.is_sorted(), "{told}");
    }
    assert!(bed.encoder.upserts.load(Ordering::SeqCst) <= 6, "encoded once, not once per reader");
    let mut late = door.lobby(&bed, 2).await;
    assert!(late.chunk().await.ends_with(" of 4"));
    drop(readers);
    late.leave().await;
    eventually("letting go", || bed.hub.stats().lobby_subscribers == 0).await;
    eventually("unwatching", || bed.store.watched.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn draining_gives_everybody_the_last_chunk_bit_by_bit() {
    let bed = Bed::with(HubSettings::default());
    bed.hub.open_sockets(patient()).unwrap();
    let door = Door::open().await;
    bed.open("x").await;
    let begun = Instant::now();
    let mut ends = Vec::new();
    for _ in 0..100 {
        let mut reader = door.watch(&bed, "x").await;
        ends.push(tokio::spawn(async move {
            while reader.piece().await != Piece::Last {}
            begun.elapsed()
        }));
    }
    let from = begun.elapsed();
    bed.hub.drain(Duration::from_millis(640)).await;
    let mut early = 0;
    for end in ends {
        early += usize::from(end.await.unwrap() < from + Duration::from_millis(320));
    }
    assert!((10..90).contains(&early), "{early} of 100 in the first half");
    assert_eq!(bed.hub.stats().subscribers, 0);
    bed.hub.close().await;
    assert!(!bed.hub.takes_sockets());
}

#[tokio::test]
async fn closing_ends_whoever_is_left() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    let mut reader = door.watch(&bed, "x").await;
    assert_eq!(reader.chunk().await, "1 waiting 0 []");
    timeout(SOON, bed.hub.close()).await.expect("the thread goes on");
    assert_eq!(reader.piece().await, Piece::Last);
    assert!(!bed.hub.takes_sockets());
}

#[tokio::test]
async fn a_panic_ends_connections_and_never_leaves_them_silent() {
    let (bed, door) = (bed(patient()), Door::open().await);
    bed.open("x").await;
    let permit = Arc::new(());
    let mut reader = door.watch_with(&bed, "x", Shape::Full, None, Box::new(permit.clone())).await;
    assert_eq!(reader.chunk().await, "1 waiting 0 []");
    Flaky::set(&bed.encoder.panics, true);
    bed.join("x", "ann").await;
    assert_eq!(reader.piece().await, Piece::Cut);
    eventually("letting go", || bed.hub.stats().subscribers == 0 && Arc::strong_count(&permit) == 1).await;
    Flaky::set(&bed.encoder.panics, false);
    assert!(bed.hub.takes_sockets(), "it goes on with new ones");
    let mut again = door.watch(&bed, "x").await;
    assert_eq!(again.chunk().await, "2 waiting 1 [ann]");
    bed.join("x", "bob").await;
    assert_eq!(again.chunk().await, "3 waiting 2 [ann,bob]");
}
