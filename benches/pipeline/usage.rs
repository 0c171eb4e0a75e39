//! What a process has used, as Linux counts it.

use std::fs;

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time of all its threads, of those that ended too.
    pub cpu_seconds: f64,
    /// The most memory that it ever had resident.
    pub peak_mib: f64,
}

/// Ticks a second of the times in `/proc`: fixed on Linux.
const TICKS: f64 = 100.0;

pub fn of(process: u32) -> Usage {
    let stat = read(process, "stat");
    // The name may hold anything; what follows it starts with the third field.
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a process has a name").1.split(' ').collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks");
    let status = read(process, "status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has memory");
    let peak_kib: f64 = peak.trim_end_matches("kB").trim().parse().expect("a number of KiB");
    Usage { cpu_seconds: (ticks(14) + ticks(15)) / TICKS, peak_mib: peak_kib / 1024.0 }
}

fn read(process: u32, what: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{what}")).expect("the process is there and not reaped")
}
