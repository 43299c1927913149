//! What things cost, as tables: the program as it ships, measured from outside on this machine.
//!
//! Numbers only: nothing here passes or fails. Everything stays on 127.0.0.1
//! and stops by itself. `bench floor` is the bare server that joins are compared with.

mod floor;
mod idle;
mod join;
mod list;
mod load;
mod proxy;
mod scene;
mod seed;
mod usage;
mod webhook;

use std::io::{self, Write};

use scene::Backend;

/// Streams in the store, small and large: what costs the page or the record must cost the same at both.
const SIZES: [usize; 2] = [100, 20_000];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("floor") {
        return floor::serve().await;
    }
    let binary = binary();
    anyhow::ensure!(binary.is_file(), "{} is not there: `make build` makes it", binary.display());
    let binary = binary.to_string_lossy();
    say("| What | Store | Streams | Figure |\n|---|---|---:|---|")?;
    for backend in [Backend::Embedded, Backend::Redis] {
        for row in idle::measure(&binary, backend).await? {
            say(&row)?;
        }
    }
    for backend in [Backend::Embedded, Backend::Redis] {
        for streams in SIZES {
            let Some(scene) = scene::Scene::start(&binary, backend, streams).await? else { continue };
            say(&scene.row("ready with these in the store", &format!("{:.0} ms", scene.ready.as_secs_f64() * 1e3)))?;
            for row in webhook::measure(&scene).await? {
                say(&row)?;
            }
            for row in list::measure(&scene).await? {
                say(&row)?;
            }
            say(&join::measure(&scene).await?)?;
        }
    }
    say(&floor::measure().await?)
}

/// The program beside this one, or the one that `LIVESTREAM_BIN` names.
fn binary() -> std::path::PathBuf {
    let beside = || std::env::current_exe().unwrap_or_default().with_file_name("livestream");
    std::env::var_os("LIVESTREAM_BIN").map_or_else(beside, Into::into)
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
