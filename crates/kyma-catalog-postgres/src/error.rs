//! What PostgreSQL says, in the words of `kyma_core::Error`.

use deadpool_postgres::{PoolError, TimeoutType};
use kyma_core::Error;
use tokio_postgres::error::SqlState;

const DOWN_HINT: &str =
    "check that PostgreSQL runs and that the catalog URL is right; kyma recovers by itself when it is back";

/// The error of a statement; `doing` names the operation.
pub(crate) fn statement(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Error {
    move |error| of_postgres(doing, error)
}

pub(crate) fn of_postgres(doing: &'static str, error: tokio_postgres::Error) -> Error {
    let Some(state) = error.code().cloned() else {
        return if is_connection_loss(&error) { down(doing, error) } else { defect(doing, error) };
    };
    if is_server_going_away(&state) {
        return down(doing, error);
    }
    match state {
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => timed_out(doing).because(error),
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            Error::unavailable("catalog.contended", format!("the catalog was contended: doing={doing}"))
                .hint("try again: PostgreSQL ended this transaction in favour of others")
                .because(error)
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => Error::unavailable(
            "catalog.read_only",
            format!("the catalog takes no writes: doing={doing}"),
        )
        .hint(
            "the PostgreSQL of the catalog URL is a standby, or was made read-only; kyma recovers when it takes writes",
        )
        .because(error),
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            Error::unavailable("catalog.not_migrated", "the catalog's tables are missing or old")
                .hint("run `kyma migrate`")
                .because(error)
        }
        SqlState::CHARACTER_NOT_IN_REPERTOIRE | SqlState::UNTRANSLATABLE_CHARACTER => {
            Error::invalid("catalog.text_invalid", format!("a text cannot be stored: doing={doing}"))
                .hint("the character U+0000 is not allowed here")
                .because(error)
        }
        SqlState::INVALID_PASSWORD
        | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | SqlState::INVALID_CATALOG_NAME
        | SqlState::INSUFFICIENT_PRIVILEGE => {
            Error::unavailable("catalog.refused", "the catalog refused the connection")
                .hint("check user, password and database name in the catalog URL")
                .because(error)
        }
        _ => defect(doing, error),
    }
}

/// The error of taking a connection from the pool.
pub(crate) fn of_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => of_postgres("connect", error),
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::exhausted("catalog.connections", "every connection to the catalog is in use")
                .hint("raise `connections_max` of the catalog, or send fewer requests at once")
        }
        other => down("connect", other),
    }
}

pub(crate) fn timed_out(doing: &'static str) -> Error {
    Error::unavailable("catalog.timeout", format!("the catalog did not answer in time: doing={doing}")).hint(DOWN_HINT)
}

pub(crate) fn down(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("catalog.unavailable", format!("the catalog does not answer: doing={doing}"))
        .hint(DOWN_HINT)
        .because(source)
}

fn defect(doing: &'static str, error: tokio_postgres::Error) -> Error {
    Error::internal(format!("a catalog statement failed: doing={doing}")).because(error)
}

/// Class 08 is a connection, 57P an operator's intervention, 53 too few resources, 25P03 a session that idled too long.
fn is_server_going_away(state: &SqlState) -> bool {
    ["08", "57P", "53", "25P03"].iter().any(|class| state.code().starts_with(class))
}

fn is_connection_loss(error: &tokio_postgres::Error) -> bool {
    let caused_by_io = std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    let text = error.to_string();
    error.is_closed() || caused_by_io || text.starts_with("error connecting") || text.starts_with("timeout waiting")
}
