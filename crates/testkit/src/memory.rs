//! How much memory a process takes, as the kernel tells it (proc(5), `/proc/PID/status`).

use anyhow::{Context as _, Result};

/// The resident memory of a process, in megabytes of 1,048,576 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// At this moment (`VmRSS`).
    pub resident: f64,
    /// The most it ever was (`VmHWM`).
    pub greatest: f64,
}

impl Memory {
    /// That of a process.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        Self::parsed(&std::fs::read_to_string(format!("/proc/{pid}/status"))?)
    }

    fn parsed(status: &str) -> Result<Self> {
        Ok(Self {
            resident: megabytes(status, "VmRSS:")?,
            greatest: megabytes(status, "VmHWM:")?,
        })
    }
}

fn megabytes(status: &str, name: &str) -> Result<f64> {
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| {
            let value = line.strip_prefix(name)?;
            value.split_whitespace().next()?.parse().ok()
        })
        .with_context(|| format!("the process tells no {name}"))?;
    Ok(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_kilobytes_are_told_in_megabytes() {
        let status = "Name:\tfastbuild\nVmHWM:\t   61440 kB\nVmRSS:\t   30720 kB\n";
        let memory = Memory {
            resident: 30.0,
            greatest: 60.0,
        };
        assert_eq!(Memory::parsed(status).unwrap(), memory);
        assert!(Memory::parsed("Name:\tzombie\n").is_err());
    }
}
