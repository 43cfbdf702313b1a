//! [`kyma_core::Error`] over gRPC: the kind is the status code, the stable code and the hint are metadata.

use kyma_core::{Error, Kind};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Metadata key of the stable code.
const CODE_KEY: &str = "kyma-code";
/// Metadata key of the hint, percent-encoded.
const HINT_KEY: &str = "kyma-hint";

/// Codes that travel by name. One that is not here arrives as `remote.<kind>`.
const CODES: &[&str] = &[
    "catalog.columns",
    "catalog.commit_unknown",
    "catalog.connections",
    "catalog.contended",
    "catalog.database_unknown",
    "catalog.not_migrated",
    "catalog.object_doomed",
    "catalog.read_only",
    "catalog.receipt_exists",
    "catalog.refused",
    "catalog.reservation_revoked",
    "catalog.table_unknown",
    "catalog.text_invalid",
    "catalog.timeout",
    "catalog.unavailable",
    "failpoint.error",
    "format.column_twice",
    "format.column_type",
    "format.piece_too_large",
    "format.too_many_columns",
    "format.unknown",
    "format.value_too_long",
    "ingest.append_invalid",
    "ingest.body_broken",
    "ingest.body_too_large",
    "ingest.columns_exhausted",
    "ingest.commit_failed",
    "ingest.database_missing",
    "ingest.header_invalid",
    "ingest.key_invalid",
    "ingest.outcome_unknown",
    "ingest.overloaded",
    "ingest.stopping",
    "ingest.table_gone",
    "ingest.table_missing",
    "internal",
    "name.invalid",
    "storage.corrupt",
    "store.denied",
    "store.object_exists",
    "store.object_missing",
    "store.unavailable",
];

/// The status of an error. The message travels with its causes: the other side logs it.
pub fn status_of(error: &Error) -> Status {
    let mut status = Status::new(Code::from_i32(error.kind().grpc_code()), error.chain());
    if let Ok(code) = MetadataValue::try_from(error.code()) {
        status.metadata_mut().insert(CODE_KEY, code);
    }
    if let Some(hint) = error.hint_text() {
        let encoded = utf8_percent_encode(hint, NON_ALPHANUMERIC).to_string();
        if let Ok(hint) = MetadataValue::try_from(encoded) {
            status.metadata_mut().insert(HINT_KEY, hint);
        }
    }
    status
}

/// The error of a status. A status that no kyma node made (no connection, a proxy's) is read by its gRPC code.
pub fn error_of(status: &Status) -> Error {
    let kind = kind_of(status.code());
    let sent = status.metadata().get(CODE_KEY).and_then(|code| code.to_str().ok());
    let known = sent.and_then(|sent| CODES.iter().find(|code| **code == sent));
    let error = Error::new(kind, known.copied().unwrap_or(remote_code(kind)), status.message());
    let hint = status.metadata().get(HINT_KEY).and_then(|hint| hint.to_str().ok());
    match hint.and_then(|hint| percent_decode_str(hint).decode_utf8().ok()) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::Unimplemented => Kind::Invalid,
        Code::NotFound => Kind::NotFound,
        Code::Aborted | Code::AlreadyExists => Kind::Conflict,
        Code::ResourceExhausted => Kind::Exhausted,
        Code::Unavailable | Code::DeadlineExceeded => Kind::Unavailable,
        Code::Cancelled => Kind::Cancelled,
        Code::DataLoss => Kind::Corrupt,
        _ => Kind::Internal,
    }
}

fn remote_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "remote.invalid",
        Kind::NotFound => "remote.not_found",
        Kind::Conflict => "remote.conflict",
        Kind::Exhausted => "remote.exhausted",
        Kind::Unavailable => "remote.unavailable",
        Kind::Cancelled => "remote.cancelled",
        Kind::Corrupt => "remote.corrupt",
        Kind::Internal => "remote.internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_wire() {
        for kind in [
            Kind::Invalid,
            Kind::NotFound,
            Kind::Conflict,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::Cancelled,
            Kind::Corrupt,
            Kind::Internal,
        ] {
            let error = Error::new(kind, "ingest.overloaded", "too much").hint("wait; größer 5 %");
            let back = error_of(&status_of(&error));
            assert_eq!((back.kind(), back.code(), back.message()), (kind, "ingest.overloaded", "too much"));
            assert_eq!(back.hint_text(), Some("wait; größer 5 %"));
        }
        assert_eq!(error_of(&Status::unavailable("no route")).code(), "remote.unavailable");
    }
}
