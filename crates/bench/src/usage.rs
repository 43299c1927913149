//! What a process has used. One of whom nothing is known any more is an error: a benchmark must not print zeros.

use std::time::Duration;

use anyhow::Context;
use load::Processes;

/// CPU time of a process so far, its own and the kernel's for it.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    Processes::of(pid).cpu().with_context(|| unknown(pid))
}

/// What the disk costs of it: CPU time so far of the kernel for the thread that writes the embedded store.
pub(crate) fn writer_in_kernel(pid: u32) -> anyhow::Result<Duration> {
    load::kernel_time_of_threads(pid, "store-writer").with_context(|| unknown(pid))
}

/// Resident memory of a process in MiB: now, and the most it ever was.
pub(crate) fn memory(pid: u32) -> anyhow::Result<(f64, f64)> {
    let process = Processes::of(pid);
    let known = process.resident().zip(process.most_resident());
    let (now, most) = known.with_context(|| unknown(pid))?;
    Ok((mebibytes(now), mebibytes(most)))
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn unknown(pid: u32) -> String {
    format!("nothing is known of process {pid}: has it ended?")
}
