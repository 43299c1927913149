//! The tables in `docs/benchmarks.md`: written between markers; what people wrote around them stays.

use std::path::Path;

/// Puts `text` in the place of what is between the markers of `part`; a part that is not there yet comes last.
pub(crate) fn keep(part: &str, text: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md");
    let old = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(path, with(&old, part, text))?)
}

fn with(old: &str, part: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- bench {part}: begin -->"), format!("<!-- bench {part}: end -->"));
    let block = format!("{begin}\n{}\n{end}", text.trim_end());
    let around = old.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match around {
        Some((before, after)) => format!("{before}{block}{after}"),
        None => format!("{}\n\n{block}\n", old.trim_end()),
    }
}

/// Machine and date, as they stand below a table.
pub(crate) fn measured_on() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, it)| it);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg").split(' ').nth(1).unwrap_or_default().to_owned();
    let date = jiff::Timestamp::now().strftime("%F %H:%M UTC").to_string();
    format!("Measured {date}, {count} CPUs ({model}), Linux {}; load average {load} at the end.", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_nothing_else() {
        let one = with("# Text\n\nbefore\n", "x", "| 1 |\n");
        assert_eq!(one, "# Text\n\nbefore\n\n<!-- bench x: begin -->\n| 1 |\n<!-- bench x: end -->\n");
        let two = with(&format!("{one}\nafter\n"), "x", "| 2 |");
        assert_eq!(two, "# Text\n\nbefore\n\n<!-- bench x: begin -->\n| 2 |\n<!-- bench x: end -->\n\nafter\n");
    }
}
