//! A page of the list, and the classic list of everything.

use crate::load;
use crate::scene::Scene;

const PAGES: usize = 2_000;
const TIMES: usize = 5;

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

    rows.push(
        scene.row("GET /streams (all of them), median of 5", &format!("{:.1} ms", everything(scene).await? * 1e3)),
    );
    Ok(rows)
}

/// Median time of the whole list over a kept connection, in seconds.
async fn everything(scene: &Scene) -> anyhow::Result<f64> {
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    for _ in 0..=TIMES {
        let begun = tokio::time::Instant::now();
        client.get(scene.program.url("/streams")).send().await?.error_for_status()?.bytes().await?;
        times.push(begun.elapsed().as_secs_f64());
    }
    // The first one connects.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(times[TIMES / 2])
}
