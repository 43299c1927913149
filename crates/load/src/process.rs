//! What processes use, as the kernel tells it in `/proc`. On other systems nothing is known, and nothing is shown.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Clock ticks per second of `/proc/<pid>/stat`: 100 on every Linux that Rust runs on.
const TICKS: f64 = 100.0;
/// The state "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The processes that are measured; one, unless a server has several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Processes(Vec<u32>);

/// Bytes that the kernel holds of what a server sent to some readers.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Readers.
    pub readers: usize,
    /// Unsent and unacknowledged bytes of the worst of them.
    pub most_queued: u64,
    /// Memory of the worst of them with the kernel's own overhead (`ss -m`, field `w`), where `ss` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_memory: Option<u64>,
}

impl Processes {
    /// The process of that id.
    pub fn of(pid: u32) -> Self {
        Self(vec![pid])
    }

    /// Whoever listens on `address`; none where that can't be seen.
    pub fn listening_on(address: SocketAddr) -> Self {
        let sockets = listeners(address.port());
        let own = |pid: &u32| *pid != std::process::id() && holds_one(*pid, &sockets);
        Self(if sockets.is_empty() { Vec::new() } else { all_pids().filter(own).collect() })
    }

    /// Nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their ids.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }

    /// CPU time so far, their own and the kernel's for them.
    pub fn cpu(&self) -> Option<Duration> {
        self.0.iter().map(|pid| cpu(&format!("/proc/{pid}"))).sum()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Option<u64> {
        self.0.iter().map(|pid| status(*pid, "VmRSS:")).sum()
    }

    /// The most resident memory that each of them ever had, in bytes.
    pub fn most_resident(&self) -> Option<u64> {
        self.0.iter().map(|pid| status(*pid, "VmHWM:")).sum()
    }
}

/// CPU time that the kernel has spent so far for the threads of that name (at most 15 bytes) of a process: system calls, and what
/// they wait for on the CPU. `None` without such a thread.
pub fn kernel_time_of_threads(pid: u32, name: &str) -> Option<Duration> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().map(|task| task.path());
    let named = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let times: Vec<Duration> = tasks.filter(named).filter_map(|task| Some(ticks(&task.join("stat"))?[1])).collect();
    (!times.is_empty()).then(|| times.into_iter().sum())
}

/// CPU time of this process so far.
pub(crate) fn own_cpu() -> Duration {
    cpu("/proc/self").unwrap_or_default()
}

fn cpu(folder: &str) -> Option<Duration> {
    ticks(&Path::new(folder).join("stat")).map(|times| times.into_iter().sum())
}

/// Time of its own and of the kernel for it, of a process or thread with that `stat`.
fn ticks(stat: &Path) -> Option<[Duration; 2]> {
    let stat = std::fs::read_to_string(stat).ok()?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th words after it.
    let (_, after) = stat.rsplit_once(')')?;
    let mut words = after.split_whitespace().skip(11);
    let mut time = || Some(Duration::from_secs_f64(words.next()?.parse::<f64>().ok()? / TICKS));
    Some([time()?, time()?])
}

/// A field of `/proc/<pid>/status` in bytes.
fn status(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The inodes of the sockets that listen on `port`.
fn listeners(port: u16) -> HashSet<u64> {
    let listening = |row: &Row| row.state == LISTEN && row.local_port == port;
    tcp_rows().into_iter().filter(listening).map(|row| row.inode).collect()
}

fn all_pids() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn holds_one(pid: u32, sockets: &HashSet<u64>) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"));
    files
        .into_iter()
        .flatten()
        .filter_map(|file| socket_inode(&file.ok()?.path()))
        .any(|inode| sockets.contains(&inode))
}

fn socket_inode(file: &Path) -> Option<u64> {
    let link = std::fs::read_link(file).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// What the server at `server_port` has queued for the readers on these ports of this machine.
pub(crate) fn held(server_port: u16, readers: &HashSet<u16>) -> Held {
    let theirs = |row: &Row| row.local_port == server_port && readers.contains(&row.remote_port);
    let queued: Vec<u64> = tcp_rows().into_iter().filter(theirs).map(|row| row.queued).collect();
    Held {
        readers: queued.len(),
        most_queued: queued.iter().copied().max().unwrap_or_default(),
        most_memory: memory(server_port, readers),
    }
}

/// A socket in `/proc/net/tcp`.
#[derive(Debug, PartialEq)]
struct Row {
    local_port: u16,
    remote_port: u16,
    state: String,
    queued: u64,
    inode: u64,
}

fn tcp_rows() -> Vec<Row> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines()).filter_map(parse_row).collect()
}

/// A line like `0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`.
fn parse_row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace().skip(1);
    let mut port = || u16::from_str_radix(words.next()?.rsplit_once(':')?.1, 16).ok();
    let (local_port, remote_port) = (port()?, port()?);
    let state = words.next()?.to_owned();
    let queued = u64::from_str_radix(words.next()?.split_once(':')?.0, 16).ok()?;
    Some(Row { local_port, remote_port, state, queued, inode: words.nth(4)?.parse().ok()? })
}

/// The most memory that one of the server's sockets takes for sending, as `ss` tells it.
fn memory(server_port: u16, readers: &HashSet<u16>) -> Option<u64> {
    let filter = format!("( sport = :{server_port} )");
    let output = Command::new("ss").args(["-tmnHO", "state", "established", &filter]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| parse_memory(line, readers)).max()
}

/// A line like `0 4096 127.0.0.1:3000 127.0.0.1:40000 skmem:(r0,rb131072,t0,tb2626560,f0,w8448,…)`.
fn parse_memory(line: &str, readers: &HashSet<u16>) -> Option<u64> {
    let port = line.split_whitespace().nth(3)?.rsplit_once(':')?.1.parse().ok()?;
    let (_, fields) = line.split_once("skmem:(")?;
    let used = fields.split(',').find_map(|field| field.strip_prefix('w')?.parse().ok())?;
    readers.contains(&port).then_some(used)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line =
            "   5: 0100007F:0BB8 0100007F:9C40 01 00000010:00000000 00:00000000 00000000     0        0 4242 1 x";
        let row = Row { local_port: 3000, remote_port: 40_000, state: "01".into(), queued: 16, inode: 4242 };
        assert_eq!(parse_row(line), Some(row));
        assert_eq!(parse_row("  sl  local_address rem_address   st tx_queue rx_queue"), None);
        let line = "0 16 127.0.0.1:3000 127.0.0.1:40000 skmem:(r0,rb131072,t0,tb2626560,f0,w8448,o0,bl0,d0)";
        assert_eq!(parse_memory(line, &[40_000].into()), Some(8448));
        assert_eq!(parse_memory(line, &[40_001].into()), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_listener_is_found_and_the_own_process_is_nobody_else() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets = listeners(address.port());
        assert_eq!(sockets.len(), 1);
        assert!(holds_one(std::process::id(), &sockets));
        assert!(Processes::listening_on(address).is_empty());
        assert!(own_cpu() < Duration::from_secs(3600));
        let own = Processes::of(std::process::id());
        assert_eq!(kernel_time_of_threads(std::process::id(), "nobody"), None);
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        assert!(kernel_time_of_threads(std::process::id(), name.trim_end()).unwrap() < Duration::from_secs(3600));
        assert!(own.resident().unwrap() > 100_000 && own.most_resident() >= own.resident());
    }
}
