//! What things cost, as tables: the program as it ships, measured from outside on this machine.
//!
//! Numbers only: nothing here passes or fails. Everything stays on 127.0.0.1
//! and stops by itself. Without a word everything is measured; `bench sse` and
//! `bench sse quick` measure live updates alone, `bench burst` many updates on two instances. `bench floor` and `bench
//! send-floor` are the bare servers that joins and live updates are compared with.

mod burst;
mod document;
mod fanout;
mod floor;
mod idle;
mod join;
mod list;
mod load;
mod proxy;
mod scene;
mod seed;
mod send_floor;
mod usage;
mod webhook;

use std::io::{self, Write};

use scene::Backend;

/// Streams in the store, small and large: what costs the page or the record must cost the same at both.
const SIZES: [usize; 2] = [100, 20_000];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["floor"] => return floor::serve().await,
        ["send-floor"] => return send_floor::serve(),
        _ => {}
    }
    let binary = binary();
    anyhow::ensure!(binary.is_file(), "{} is not there: `make build` makes it", binary.display());
    let binary = binary.to_string_lossy();
    match words[..] {
        [] => {
            costs(&binary).await?;
            fanout::measure(&binary, &fanout::Extent::of(false)?).await
        }
        ["costs"] => costs(&binary).await,
        ["burst"] => {
            let mut table = Table::default();
            for row in burst::measure(&binary).await? {
                table.add(row)?;
            }
            Ok(())
        }
        ["sse"] => fanout::measure(&binary, &fanout::Extent::of(false)?).await,
        ["sse", "quick"] => fanout::measure(&binary, &fanout::Extent::of(true)?).await,
        _ => anyhow::bail!("expected nothing, `costs`, `burst`, `sse` or `sse quick`"),
    }
}

/// What a webhook, a page, a join and the idle program cost.
async fn costs(binary: &str) -> anyhow::Result<()> {
    let mut table = Table::default();
    table.add("| What | Store | Streams | Figure |\n|---|---|---:|---|".to_owned())?;
    for backend in [Backend::Embedded, Backend::Redis] {
        for row in idle::measure(binary, backend).await? {
            table.add(row)?;
        }
    }
    for backend in [Backend::Embedded, Backend::Redis] {
        for streams in SIZES {
            let Some(scene) = scene::Scene::start(binary, backend, streams).await? else { continue };
            table.add(
                scene.row("ready with these in the store", &format!("{:.0} ms", scene.ready.as_secs_f64() * 1e3)),
            )?;
            for row in webhook::measure(&scene).await? {
                table.add(row)?;
            }
            for row in list::measure(&scene).await? {
                table.add(row)?;
            }
            table.add(join::measure(&scene).await?)?;
        }
    }
    for row in burst::measure(binary).await? {
        table.add(row)?;
    }
    table.add(floor::measure().await?)?;
    document::keep("costs", &format!("{}\n\n{}", table.0.join("\n"), document::measured_on()))
}

/// Rows that are shown as they come.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn add(&mut self, row: String) -> anyhow::Result<()> {
        say(&row)?;
        self.0.push(row);
        Ok(())
    }
}

/// The program beside this one, or the one that `LIVESTREAM_BIN` names.
fn binary() -> std::path::PathBuf {
    let beside = || std::env::current_exe().unwrap_or_default().with_file_name("livestream");
    std::env::var_os("LIVESTREAM_BIN").map_or_else(beside, Into::into)
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
