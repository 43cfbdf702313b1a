//! The shop: its services, its pods and hosts, the routes of its API.

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) language: &'static str,
    /// The middle of its pods' names.
    pub(super) replica_set: &'static str,
    pub(super) pods: usize,
    /// Typical milliseconds of its own work.
    pub(super) millis: f64,
}

/// Index of a service in [`SERVICES`].
pub(super) type ServiceIndex = usize;

pub(super) const GATEWAY: ServiceIndex = 0;
pub(super) const CATALOG: ServiceIndex = 1;
pub(super) const SEARCH: ServiceIndex = 2;
pub(super) const CART: ServiceIndex = 3;
pub(super) const CHECKOUT: ServiceIndex = 4;
pub(super) const PAYMENTS: ServiceIndex = 5;
pub(super) const INVENTORY: ServiceIndex = 6;
pub(super) const AUTH: ServiceIndex = 7;
pub(super) const EMAIL: ServiceIndex = 8;
pub(super) const RECOMMENDATIONS: ServiceIndex = 9;

const fn service(
    name: &'static str,
    version: &'static str,
    language: &'static str,
    replica_set: &'static str,
    pods: usize,
    millis: f64,
) -> Service {
    Service { name, version, language, replica_set, pods, millis }
}

pub(super) const SERVICES: [Service; 10] = [
    service("gateway", "5.2.1", "go", "6f7c9d8b54", 6, 2.0),
    service("catalog", "3.8.0", "java", "79d5c6f9c8", 4, 9.0),
    service("search", "1.19.4", "rust", "5c4b7f6d99", 3, 6.0),
    service("cart", "2.4.7", "go", "7b8d9f6c4d", 4, 3.0),
    service("checkout", "4.1.0", "java", "66bd8c7f5b", 3, 14.0),
    service("payments", "2.13.2", "java", "84f6d9c7bb", 3, 38.0),
    service("inventory", "2.0.9", "go", "58c9f7b6d4", 3, 4.0),
    service("auth", "6.0.3", "rust", "9d7f8c6b5c", 3, 5.0),
    service("email", "1.3.5", "python", "6d5b9c8f7f", 2, 22.0),
    service("recommendations", "0.9.12", "python", "75f9b8d6c9", 2, 31.0),
];

/// The version whose pods leak connections.
pub(super) const LEAKING_VERSION: &str = "2.14.0";
/// The middle of its pods' names.
pub(super) const LEAKING_REPLICA_SET: &str = "5b9c7d4f86";

/// One endpoint of the shop's API.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) pattern: &'static str,
    /// Services behind the gateway, called one after the other.
    pub(super) calls: &'static [ServiceIndex],
    /// Share of all requests, in per mille.
    pub(super) weight: u32,
}

pub(super) const ROUTES: [Route; 8] = [
    Route { method: "GET", pattern: "/api/products/{id}", calls: &[CATALOG], weight: 280 },
    Route { method: "GET", pattern: "/api/search", calls: &[SEARCH, CATALOG], weight: 180 },
    Route { method: "GET", pattern: "/api/cart", calls: &[AUTH, CART], weight: 130 },
    Route { method: "POST", pattern: "/api/cart/items", calls: &[AUTH, CART, INVENTORY], weight: 110 },
    Route { method: "GET", pattern: "/api/recommendations", calls: &[RECOMMENDATIONS], weight: 80 },
    Route { method: "POST", pattern: "/api/login", calls: &[AUTH], weight: 60 },
    Route {
        method: "POST",
        pattern: "/api/checkout",
        calls: &[AUTH, CHECKOUT, INVENTORY, PAYMENTS, EMAIL],
        weight: 150,
    },
    Route { method: "GET", pattern: "/healthz", calls: &[], weight: 10 },
];

pub(super) const HOSTS: [&str; 8] = [
    "ip-10-0-11-23",
    "ip-10-0-11-71",
    "ip-10-0-12-14",
    "ip-10-0-12-88",
    "ip-10-0-13-5",
    "ip-10-0-13-42",
    "ip-10-0-14-9",
    "ip-10-0-14-130",
];

pub(super) const POD_SUFFIXES: [&str; 6] = ["x2k4q", "8hjzn", "mw7rt", "c5vbd", "qq9fl", "t6s2p"];

pub(super) const COUNTRIES: [&str; 8] = ["DE", "US", "FR", "GB", "PL", "SE", "IN", "BR"];

pub(super) const TERMS: [&str; 10] = [
    "running shoes",
    "usb-c cable",
    "coffee grinder",
    "yoga mat",
    "desk lamp",
    "rain jacket",
    "headphones",
    "water bottle",
    "mechanical keyboard",
    "backpack",
];

pub(super) const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "ShopApp/8.3.1 (Android 15; Pixel 9)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0",
];
