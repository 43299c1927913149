//! A page of the list, and the classic list of everything.

use crate::load;
use crate::scene::Scene;

const PAGES: usize = 2_000;

/// Rows of the table.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let url = scene.program.url("/streams?limit=50");
    let used = scene.used_by(load::run(PAGES, 4, move |client, _| Ok(client.get(&url).build()?))).await?;
    let cpu = used.cpu.as_secs_f64() * 1e6 / PAGES as f64;
    let mut figure = format!("{cpu:.0} µs");
    if scene.backend == crate::Backend::Redis {
        let bytes = used.crossed.bytes as f64 / PAGES as f64 / 1024.0;
        figure = format!("{figure}, {bytes:.1} KiB with Redis");
    }
    let mut rows = vec![scene.row("GET /streams?limit=50, CPU", &figure)];

    let url = scene.program.url("/streams");
    let begun = tokio::time::Instant::now();
    load::run(1, 1, move |client, _| Ok(client.get(&url).build()?)).await?;
    rows.push(scene.row("GET /streams (all of them), time", &format!("{:.1} ms", begun.elapsed().as_secs_f64() * 1e3)));
    Ok(rows)
}
