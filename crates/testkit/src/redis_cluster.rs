//! A Redis Cluster of one test's own: three masters on 127.0.0.1, no replicas.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::RedisServer;
use crate::ports::free_tcp_port;

/// Masters of a cluster.
const NODES: usize = 3;
const SLOTS: usize = 16_384;
const WHOLE_WITHIN: Duration = Duration::from_secs(20);
const PORT_TRIES: usize = 5;

/// Three `redis-server`s that share the slots; killed when dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one whose nodes lose nothing they have acknowledged; `None` when there is no `redis-server` here.
    /// It takes about two seconds: so long a new master waits before it takes writes.
    pub async fn start() -> Option<Self> {
        let mut nodes = Vec::with_capacity(NODES);
        for _ in 0..NODES {
            nodes.push(node().await?);
        }
        let cluster = Self { nodes };
        cluster.form().await;
        cluster.whole().await;
        Some(cluster)
    }

    /// `redis://127.0.0.1:<port>/` of one node: enough to find the others.
    pub fn url(&self) -> String {
        self.nodes[0].url()
    }

    /// The URLs of all nodes, comma-separated.
    pub fn urls(&self) -> String {
        self.nodes.iter().map(RedisServer::url).collect::<Vec<_>>().join(",")
    }

    /// The masters, in the order of their slots.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Which of them had `key`'s slot at the start.
    pub async fn node_of(&self, key: &str) -> usize {
        usize::from(self.slot(key).await) * NODES / SLOTS
    }

    /// The slot of a key.
    pub async fn slot(&self, key: &str) -> u16 {
        let answer = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await;
        answer.trim().trim_start_matches(':').parse().expect("a slot")
    }

    /// Kills all nodes and starts them again.
    pub async fn restart(&mut self) {
        self.nodes.iter_mut().for_each(RedisServer::kill);
        for node in &mut self.nodes {
            node.restart().await;
        }
        self.whole().await;
    }

    /// Moves a slot and what is in it from one node to another, key by key, while clients go on.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let (source, target, slot) = (&self.nodes[from], &self.nodes[to], slot.to_string());
        let (source_id, target_id) = (id(source).await, id(target).await);
        expect_ok(target, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
        expect_ok(source, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
        let port = target.port().to_string();
        loop {
            let answer = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).await;
            let keys: Vec<&str> = answer.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
            let Some(key) = keys.first() else { break };
            expect_ok(source, &["MIGRATE", "127.0.0.1", &port, key, "0", "2000"]).await;
        }
        for node in [target, source] {
            expect_ok(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
        for node in &self.nodes {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
    }

    async fn form(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let (first, next) = (at * SLOTS / NODES, (at + 1) * SLOTS / NODES);
            // Rounded as `node_of` does it: the first slot whose share is this node's.
            let first = if first * NODES / SLOTS < at { first + 1 } else { first };
            let last = if next * NODES / SLOTS > at { next - 1 } else { next };
            expect_ok(node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            expect_ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]).await;
        }
        for other in &self.nodes[1..] {
            let (port, bus) = (other.port().to_string(), other.bus_port().to_string());
            expect_ok(&self.nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
    }

    /// Waits until every node knows all of them and takes writes.
    async fn whole(&self) {
        let deadline = Instant::now() + WHOLE_WITHIN;
        for node in &self.nodes {
            loop {
                let info = node.command(&["CLUSTER", "INFO"]).await;
                let known = format!("cluster_known_nodes:{NODES}");
                if info.contains("cluster_state:ok") && info.contains(&known) {
                    break;
                }
                assert!(Instant::now() < deadline, "the cluster does not become whole:\n{info}");
                sleep(Duration::from_millis(30)).await;
            }
        }
    }
}

async fn node() -> Option<RedisServer> {
    for attempt in 1.. {
        let bus = free_tcp_port();
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        // What is not of the lost slots goes on: that is what a deployment without replicas wants, too.
        let options = [&options[..], &["--cluster-require-full-coverage", "no"]].concat();
        let durable = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];
        let port = bus.to_string();
        let all = [&options[..], &["--cluster-port", &port], &durable].concat();
        match RedisServer::try_start(&all, Some(bus)).await? {
            Ok(server) => return Some(server),
            Err(log) => assert!(attempt < PORT_TRIES, "redis-server does not start:\n{log}"),
        }
    }
    None
}

async fn id(node: &RedisServer) -> String {
    let answer = node.command(&["CLUSTER", "MYID"]).await;
    answer.lines().nth(1).expect("an id").to_owned()
}

async fn expect_ok(node: &RedisServer, words: &[&str]) {
    let answer = node.command(words).await;
    assert!(answer.starts_with("+OK"), "{words:?}: {answer}");
}
