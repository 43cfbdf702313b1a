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
    ),
    row("hash_many", &[], &[Any], (2, MANY), Is(Type::Long), Numbered, "The hash of several values."),
    row("hash_combine", &[], &[Long], (2, MANY), Is(Type::Long), Numbered, "One hash of several."),
    row("hash_md5", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The MD5 digest in hexadecimal."),
    row("hash_sha1", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The SHA-1 digest in hexadecimal."),
    row("hash_sha256", &[], &[Any], (1, 1), Is(Type::String), Numbered, "The SHA-256 digest in hexadecimal."),
    row("new_guid", &[], &[], (0, 0), Is(Type::Guid), Numbered, "A random guid."),
];
