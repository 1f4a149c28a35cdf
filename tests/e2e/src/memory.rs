//! What a process takes of the machine's memory, as the system counts it (proc(5), `status`).

/// Its resident memory, in KiB.
pub fn resident(process: u32) -> u64 {
    row(process, "VmRSS:")
}

/// The most that was resident at once so far, in KiB.
pub fn peak(process: u32) -> u64 {
    row(process, "VmHWM:")
}

fn row(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process that runs");
    let number = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{name} is in {status}"))
}
