//! Plays requests: one call of the gateway, then of the services behind it, one after the other.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shop::{
    CHECKOUT, GATEWAY, HOSTS, LEAKING_REPLICA_SET, LEAKING_VERSION, PAYMENTS, POD_SUFFIXES, ROUTES, Route, SERVICES,
    ServiceIndex,
};
use kyma_core::time::MINUTE;

/// How a hop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Fine,
    /// Slower than it should be.
    Slow,
    /// The client asked for what is not there.
    NotFound,
    /// Failed by itself.
    Failed,
    /// The leak: no connection within five seconds.
    PoolExhausted,
    /// Failed because a call behind it did.
    Upstream,
}

/// One service's part of a request.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) parent_id: Option<u64>,
    pub(super) service: ServiceIndex,
    pub(super) version: &'static str,
    pub(super) replica_set: &'static str,
    pub(super) pod: usize,
    pub(super) route: &'static Route,
    pub(super) start: i64,
    pub(super) nanos: i64,
    pub(super) end: End,
    pub(super) user: u32,
    pub(super) status: u16,
}

impl Span {
    pub(super) fn host(&self) -> &'static str {
        HOSTS[(self.service * 3 + self.pod) % HOSTS.len()]
    }

    pub(super) fn pod_suffix(&self) -> &'static str {
        POD_SUFFIXES[self.pod % POD_SUFFIXES.len()]
    }

    pub(super) fn millis(&self) -> f64 {
        (self.nanos as f64 / 1e4).round() / 1e2
    }
}

/// An endless run of requests.
#[derive(Debug)]
pub(super) struct Requests {
    shape: ChaCha8Rng,
    at: f64,
    gap: f64,
    incident: std::ops::Range<i64>,
    rollout: i64,
}

impl Requests {
    pub(super) fn new(seed: u64, start: i64, span: i64, requests: u64) -> Self {
        let tenth = span / 10;
        let incident = start + 6 * tenth..start + 7 * tenth;
        Requests {
            shape: ChaCha8Rng::seed_from_u64(seed),
            at: start as f64,
            gap: span as f64 / requests as f64,
            rollout: incident.start - tenth.min(5 * MINUTE) / 2,
            incident,
        }
    }

    /// Replaces `hops` by those of the next request, the gateway's first.
    pub(super) fn next(&mut self, hops: &mut Vec<Span>) {
        hops.clear();
        // Exponential gaps, cut so that a single one never empties a dashboard.
        let gap = -(1.0 - self.shape.random::<f64>()).ln();
        self.at += self.gap * gap.min(5.0);
        let start = self.at as i64;
        let route = self.route();
        let (trace_id, user) = (self.shape.random::<u128>(), self.user());
        let gateway = self.hop(GATEWAY, trace_id, None, route, start, user);
        let parent = gateway.span_id;
        hops.push(gateway);

        let mut at = start + 300_000;
        let mut broken = None;
        for &service in route.calls {
            let hop = self.hop(service, trace_id, Some(parent), route, at, user);
            at += hop.nanos + 120_000;
            let failed = matches!(hop.end, End::Failed | End::PoolExhausted);
            hops.push(hop);
            if failed {
                broken = Some(service);
                break;
            }
        }
        settle(hops, at - start, broken);
    }

    fn route(&mut self) -> &'static Route {
        let mut pick = self.shape.random_range(0..1_000_u32);
        for route in &ROUTES {
            if pick < route.weight {
                return route;
            }
            pick -= route.weight;
        }
        &ROUTES[0]
    }

    /// A few users do much: the square of a uniform number crowds the low ids.
    fn user(&mut self) -> u32 {
        let uniform: f64 = self.shape.random();
        (uniform * uniform * 50_000.0) as u32
    }

    fn hop(
        &mut self,
        service: ServiceIndex,
        trace_id: u128,
        parent_id: Option<u64>,
        route: &'static Route,
        start: i64,
        user: u32,
    ) -> Span {
        let it = &SERVICES[service];
        let pod = self.shape.random_range(0..it.pods);
        // Two of the three pods of payments were rolled over, and rolled back at the end of the incident.
        let leaking = service == PAYMENTS && pod > 0 && start >= self.rollout && start < self.incident.end;
        let (version, replica_set) =
            if leaking { (LEAKING_VERSION, LEAKING_REPLICA_SET) } else { (it.version, it.replica_set) };
        let exhausted = leaking && start >= self.incident.start && self.shape.random::<f64>() < 0.9;
        let luck = self.shape.random_range(0..10_000_u32);
        let end = match luck {
            _ if exhausted => End::PoolExhausted,
            0..12 if service != GATEWAY => End::Failed,
            12..150 => End::Slow,
            150..270 if parent_id.is_some() && route.method == "GET" => End::NotFound,
            _ => End::Fine,
        };
        let spread = 0.4 + self.shape.random::<f64>() + self.shape.random::<f64>().powi(8) * 6.0;
        let factor = match end {
            End::PoolExhausted => 5_000.0 / it.millis + spread / 100.0,
            End::Slow => spread * 12.0,
            _ => spread,
        };
        Span {
            trace_id,
            span_id: self.shape.random(),
            parent_id,
            service,
            version,
            replica_set,
            pod,
            route,
            start,
            nanos: (it.millis * factor * 1e6) as i64,
            end,
            user,
            status: if route.method == "POST" { 201 } else { 200 },
        }
    }
}

/// Lets what happened behind a hop show in it: times add up, failures travel to the caller.
fn settle(hops: &mut [Span], elapsed: i64, broken: Option<ServiceIndex>) {
    let not_found = hops.iter().any(|hop| hop.end == End::NotFound);
    for hop in hops.iter_mut() {
        hop.status = match hop.end {
            End::NotFound => 404,
            End::Failed => 500,
            End::PoolExhausted => 503,
            _ => hop.status,
        };
    }
    if let (Some(PAYMENTS), Some(checkout)) = (broken, hops.iter_mut().find(|hop| hop.service == CHECKOUT)) {
        checkout.end = End::Upstream;
        checkout.status = 502;
    }
    let gateway = &mut hops[0];
    gateway.nanos += elapsed;
    match broken {
        Some(_) => (gateway.end, gateway.status) = (End::Upstream, 502),
        None if not_found => gateway.status = 404,
        None => {}
    }
}
