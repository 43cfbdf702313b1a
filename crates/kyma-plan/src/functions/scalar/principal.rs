//! Who asks, and whom.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Who asks, and whom.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "current_principal",
        &[],
        &[],
        (0, 0),
        Is(Type::String),
        Numbered,
        "Who asks; nodes know no users, so it is always `anonymous`.",
    )
    .example("print current_principal()"),
    row("current_principal_details", &[], &[], (0, 0), Is(Type::Dynamic), Numbered, "What is known of who asks.")
        .example("print current_principal_details()"),
    row(
        "current_principal_is_member_of",
        &[],
        &[Any],
        (1, MANY),
        Is(Type::Bool),
        Numbered,
        "Whether who asks belongs to any of the groups: never.",
    )
    .own_nulls()
    .example(r#"print current_principal_is_member_of("aadgroup=security@example.com")"#),
    row("current_cluster_endpoint", &[], &[], (0, 0), Is(Type::String), Numbered, "The address of the cluster.")
        .example("print current_cluster_endpoint()"),
];
