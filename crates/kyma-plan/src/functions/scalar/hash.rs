//! Digests and identifiers.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Digests and identifiers.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "hash",
        &["hash_xxhash64"],
        &[Any, Long],
        (1, 2),
        Is(Type::Long),
        Numbered,
        "The xxHash64 of the value, modulo a number.",
    )
    .own_nulls()
    .example(r#"print hash("World"), hash("World", 100)"#),
    row("hash_many", &[], &[Any], (1, MANY), Is(Type::Long), Numbered, "The hash of several values.")
        .own_nulls()
        .example(r#"print hash_many("Hello", "World")"#),
    row("hash_combine", &[], &[Long], (1, MANY), Is(Type::Long), Numbered, "One hash of several.")
        .own_nulls()
        .example(r#"print hash_combine(hash("Hello"), hash("World"))"#),
    row("hash_md5", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The MD5 digest in hexadecimal.")
        .example(r#"print hash_md5("World")"#),
    row("hash_sha1", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The SHA-1 digest in hexadecimal.")
        .example(r#"print hash_sha1("World")"#),
    row("hash_sha256", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The SHA-256 digest in hexadecimal.")
        .example(r#"print hash_sha256("World")"#),
    row("new_guid", &[], &[], (0, 0), Is(Type::Guid), Numbered, "A random guid.").example("print new_guid()"),
];
