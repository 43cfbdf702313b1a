//! Ports for the nodes that tests start.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what Linux and macOS give to outgoing connections and to listeners that ask for any port (RFC 6335 §6: these are
/// "dynamic" ports), above what well-known services have.
const PORTS: std::ops::Range<u16> = 10_000..32_768;
/// Processes with ids next to each other look for ports this far apart.
const PROCESS_STRIDE: u32 = 127;

/// A port on loopback that nobody listens on, another one with each call.
///
/// A port that the kernel picked and that was given back is taken now and then by somebody's outgoing connection before the
/// node that it was picked for listens, or while that node starts again. Out of this range the kernel picks none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(PROCESS_STRIDE) % count;
    (0..count)
        .map(|_| PORTS.start + ((first + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % count) as u16)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port on loopback")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_out_of_the_kernels_range_and_given_once() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let mut ports: Vec<u16> = (0..100).map(|_| free_port()).collect();
        ports.push(taken.local_addr().unwrap().port());
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
        let given = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), given);
    }
}
