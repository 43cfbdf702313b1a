//! Identities. Each is its own type, so that a table id is never passed for a database id.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new, time-ordered identity.
            pub fn generate() -> Self {
                $name(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

integer_id!(
    /// A database.
    DatabaseId
);
integer_id!(
    /// A table.
    TableId
);
integer_id!(
    /// A unit of background work.
    TaskId
);
integer_id!(
    /// A commit of one database; a snapshot is pinned to one of these.
    Sequence
);
uuid_id!(
    /// An immutable extent.
    ExtentId
);
uuid_id!(
    /// A running process.
    NodeId
);
uuid_id!(
    /// The right to register one object, until the catalog revokes it.
    ReservationId
);

impl ExtentId {
    /// When the extent was made, in nanoseconds since the epoch, to the millisecond: ids are ordered by time. `None` for an id
    /// of another kind.
    pub fn made_at(self) -> Option<i64> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
    }
}

/// Longest name of a database, table or column, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Checks a database or table name given by a user.
///
/// Letters, digits, `_`, `-`, `.` and single inner spaces are allowed, as in Kusto; at most
/// [`NAME_BYTES_MAX`] bytes. Names never become object keys: ids do.
pub fn check_name(what: &'static str, name: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let shape_ok = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(allowed)
        && name.trim() == name
        && name != "."
        && name != "..";
    if shape_ok {
        return Ok(());
    }
    Err(Error::invalid("name.invalid", format!("{what} name is not allowed: name={name:?}"))
        .hint(format!("use 1 to {NAME_BYTES_MAX} bytes of letters, digits, '_', '-', '.' or inner spaces")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_escape_are_refused() {
        for bad in ["", " a", "a/b", "..", "a\0", "a\nb", "tab\t", &"x".repeat(300)] {
            assert!(check_name("table", bad).is_err(), "{bad:?}");
        }
        for good in ["Logs", "web-logs", "a.b", "Ünïcode", "My Table"] {
            assert!(check_name("table", good).is_ok(), "{good:?}");
        }
    }
}
