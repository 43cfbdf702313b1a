//! Addresses. Text that is no address gives null.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Addresses. Text that is no address gives null.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "parse_ipv4",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Long),
        Numbered,
        "An IPv4 address as a number; the network's when it has a prefix.",
    )
    .example(r#"print parse_ipv4("192.168.1.1"), parse_ipv4("192.168.1.255/24")"#),
    row(
        "parse_ipv4_mask",
        &[],
        &[Text, Long],
        (2, 2),
        Is(Type::Long),
        Numbered,
        "An IPv4 address under a prefix, as a number.",
    )
    .example(r#"print parse_ipv4_mask("192.168.255.255", 24)"#),
    row(
        "format_ipv4",
        &[],
        &[Any, Long],
        (1, 2),
        Is(Type::String),
        Numbered,
        "An IPv4 address as text, under a prefix.",
    )
    .example(r#"print format_ipv4("192.168.1.255", 24)"#),
    row(
        "format_ipv4_mask",
        &[],
        &[Any, Long],
        (1, 2),
        Is(Type::String),
        Numbered,
        "An IPv4 network as text with its prefix.",
    )
    .example(r#"print format_ipv4_mask("192.168.1.255", 24)"#),
    row(
        "ipv4_is_private",
        &[],
        &[Text],
        (1, 1),
        Is(Type::Bool),
        Numbered,
        "Whether the address is private by RFC 1918.",
    )
    .example(r#"print ipv4_is_private("192.168.2.1")"#),
    row(
        "ipv4_is_in_range",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the address is in the network.",
    )
    .example(r#"print ipv4_is_in_range("192.168.1.6", "192.168.1.1/24")"#),
    row(
        "ipv4_is_in_any_range",
        &[],
        &[Text, Any],
        (2, MANY),
        Is(Type::Bool),
        Numbered,
        "Whether the address is in any of the networks.",
    )
    .example(r#"print ipv4_is_in_any_range("192.168.1.6", "10.0.0.0/8", "192.168.1.1/24")"#),
    row(
        "ipv4_is_match",
        &[],
        &[Text, Text, Long],
        (2, 3),
        Is(Type::Bool),
        Numbered,
        "Whether the addresses are equal under the shortest prefix.",
    )
    .example(r#"print ipv4_is_match("192.168.1.1/24", "192.168.1.255/24")"#),
    row(
        "ipv4_compare",
        &[],
        &[Text, Text, Long],
        (2, 3),
        Is(Type::Long),
        Numbered,
        "-1, 0 or 1 under the shortest prefix.",
    )
    .example(r#"print ipv4_compare("192.168.1.1", "192.168.1.255")"#),
    row("ipv4_netmask_suffix", &[], &[Text], (1, 1), Is(Type::Long), Numbered, "The length of the prefix.")
        .example(r#"print ipv4_netmask_suffix("10.1.2.3/16")"#),
    row(
        "ipv4_range_to_cidr_list",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Dynamic),
        Numbered,
        "The networks that cover a range of addresses.",
    )
    .example(r#"print ipv4_range_to_cidr_list("1.1.128.0", "1.1.140.255")"#),
    row("parse_ipv6", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The full form of an IPv6 (or IPv4) address.")
        .example(r#"print parse_ipv6("fe80::85d:e82c:9446:7994"), parse_ipv6("127.0.0.1")"#),
    row("parse_ipv6_mask", &[], &[Text, Long], (2, 2), Is(Type::String), Numbered, "The full form under a prefix.")
        .example(r#"print parse_ipv6_mask("fe80::85d:e82c:9446:7994", 120)"#),
    row(
        "ipv6_is_in_range",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the address is in the network.",
    )
    .example(r#"print ipv6_is_in_range("a5e:f127:8a9d:146d:e102:b5d3:c755:f6cd", "a5e:f127:8a9d:146d::/64")"#),
    row(
        "ipv6_is_in_any_range",
        &[],
        &[Text, Any],
        (2, MANY),
        Is(Type::Bool),
        Numbered,
        "Whether the address is in any of the networks.",
    )
    .example(r#"print ipv6_is_in_any_range("a5e:f127::1", "0:0:0:0::/64", "a5e:f127::/32")"#),
    row(
        "ipv6_is_match",
        &[],
        &[Text, Text, Long],
        (2, 3),
        Is(Type::Bool),
        Numbered,
        "Whether the addresses are equal under the shortest prefix.",
    )
    .example(r#"print ipv6_is_match("fe80::85d:e82c:9446:7994/120", "fe80::85d:e82c:9446:7995/120")"#),
    row(
        "ipv6_compare",
        &[],
        &[Text, Text, Long],
        (2, 3),
        Is(Type::Long),
        Numbered,
        "-1, 0 or 1 under the shortest prefix.",
    )
    .example(r#"print ipv6_compare("fe80::1", "fe80::2")"#),
    row(
        "has_ipv4",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text has the address between non-alphanumerics.",
    )
    .example(r#"print has_ipv4("05:04:54 127.0.0.1 GET /favicon.ico 404", "127.0.0.1")"#),
    row(
        "has_ipv4_prefix",
        &[],
        &[Text, Text],
        (2, 2),
        Is(Type::Bool),
        Numbered,
        "Whether the text has an address that starts so.",
    )
    .example(r#"print has_ipv4_prefix("05:04:54 127.0.0.1 GET /favicon.ico 404", "127.0.")"#),
    row(
        "has_any_ipv4",
        &[],
        &[Text, Any],
        (2, MANY),
        Is(Type::Bool),
        Numbered,
        "Whether the text has any of the addresses.",
    )
    .example(r#"print has_any_ipv4("05:04:54 127.0.0.1 GET /favicon.ico 404", "127.0.0.1", "127.0.0.2")"#),
    row(
        "has_any_ipv4_prefix",
        &[],
        &[Text, Any],
        (2, MANY),
        Is(Type::Bool),
        Numbered,
        "Whether the text has an address with any of the prefixes.",
    )
    .example(
        r#"print has_any_ipv4_prefix("05:04:54 127.0.0.1 GET /favicon.ico 404", dynamic(["127.0.", "192.168."]))"#,
    ),
];
