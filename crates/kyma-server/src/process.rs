//! What the operating system says of this process, under the names that Prometheus' clients agreed on. It is read from
//! `/proc` when the node is scraped; where there is none, only the start is told.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Ticks in a second as Linux tells them to programs, on every machine that it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process's own figures.
#[derive(Debug)]
pub(crate) struct Process {
    /// In nanoseconds since the epoch.
    pub(crate) started: i64,
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    resident_bytes: Option<i64>,
    virtual_bytes: Option<i64>,
    threads: Option<i64>,
    cpu_seconds: Option<f64>,
    open_files: Option<i64>,
    open_files_max: Option<i64>,
}

impl Figures {
    fn read() -> Figures {
        let text = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let open_files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count());
        Figures {
            open_files: open_files.and_then(|count| i64::try_from(count).ok()),
            ..Figures::parse(&text("status"), &text("stat"), &text("limits"))
        }
    }

    fn parse(status: &str, stat: &str, limits: &str) -> Figures {
        let line = |text: &str, name: &str, place: usize| -> Option<i64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().nth(place)?.parse().ok()
        };
        let bytes = |name| line(status, name, 0).and_then(|kib| kib.checked_mul(1024));
        // The name of the program comes second and may hold anything, spaces and brackets too.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |place: usize| after_name.split_whitespace().nth(place)?.parse::<f64>().ok();
        Figures {
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            threads: line(status, "Threads:", 0),
            cpu_seconds: ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            open_files: None,
            open_files_max: line(limits, "Max open files", 0),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let read = Figures::read();
        let gauges = [
            ("process_resident_memory", "Memory of the process that is in RAM", Some(Unit::Bytes), read.resident_bytes),
            ("process_virtual_memory", "Address space of the process", Some(Unit::Bytes), read.virtual_bytes),
            ("process_threads", "Threads of the process", None, read.threads),
            ("process_open_fds", "Open file descriptors", None, read.open_files),
            ("process_max_fds", "File descriptors that the process may open", None, read.open_files_max),
        ];
        for (name, help, unit, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        if let Some(seconds) = read.cpu_seconds {
            let counter = ConstCounter::new(seconds);
            let help = "Time that the process ran on processors";
            let kind = counter.metric_type();
            counter.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?)?;
        }
        let start = ConstGauge::new(self.started as f64 / 1e9);
        let help = "When the node started, since the epoch";
        let kind = start.metric_type();
        start.encode(encoder.encode_descriptor("process_start_time", help, Some(&Unit::Seconds), kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_whatever_the_program_is_called() {
        let status = "Name:\ta) b\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 7 0 100 2097152 256";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        let expected = Figures {
            resident_bytes: Some(1 << 20),
            virtual_bytes: Some(2 << 20),
            threads: Some(7),
            cpu_seconds: Some(2.0),
            open_files: None,
            open_files_max: Some(1024),
        };
        assert_eq!(Figures::parse(status, stat, limits), expected);
        assert_eq!(Figures::parse("", "", "Max open files   unlimited"), Figures::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_figures() {
        let read = Figures::read();
        assert!(read.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{read:?}");
        assert!(read.cpu_seconds.is_some() && read.threads.is_some_and(|threads| threads > 0), "{read:?}");
        assert!(read.open_files.is_some_and(|files| files > 2), "{read:?}");
    }
}
