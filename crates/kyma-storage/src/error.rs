//! What the store's errors mean to a caller.

use kyma_core::{Error, Kind};
use object_store::Error as StoreError;

/// Whether the same call may succeed when it is made again.
pub(crate) fn is_transient(error: &StoreError) -> bool {
    matches!(error, StoreError::Generic { .. } | StoreError::JoinError { .. })
}

/// An answer with fewer bytes than were asked for, where there are more. It may pass.
pub(crate) fn short(received: usize, wanted: u64) -> StoreError {
    let source = format!("the answer has {received} of {wanted} bytes").into();
    StoreError::Generic { store: "kyma", source }
}

/// Whether the store says that it cannot do what was asked, ever.
pub(crate) fn is_unsupported(error: &StoreError) -> bool {
    matches!(error, StoreError::NotSupported { .. } | StoreError::NotImplemented { .. })
}

/// The caller's view of a store's error about `key`.
pub(crate) fn explain(what: &str, key: &str, error: StoreError) -> Error {
    let about = format!("key={key:?}");
    match error {
        StoreError::NotFound { .. } => {
            Error::not_found("store.object_missing", format!("object is missing: {about}")).because(error)
        }
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => {
            Error::conflict("store.object_exists", format!("another object is under this key: {about}")).because(error)
        }
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            Error::unavailable("store.denied", format!("the object store refuses {what}: {about}"))
                .hint("check the store's credentials and the bucket's policy")
                .because(error)
        }
        StoreError::InvalidPath { .. } => {
            Error::invalid("store.key_invalid", format!("object key is not allowed: {about}")).because(error)
        }
        other => Error::unavailable("store.unavailable", format!("the object store failed to {what}: {about}"))
            .because(other),
    }
}

/// The error of a call that ran out of time.
pub(crate) fn timed_out(what: &str, key: &str, last: Option<StoreError>) -> Error {
    let error =
        Error::unavailable("store.unavailable", format!("the object store did not {what} in time: key={key:?}"))
            .hint("check that the object store is up and reachable; the call may be retried");
    match last {
        Some(last) => error.because(last),
        None => error,
    }
}

/// A store URL or option that is not understood.
pub(crate) fn bad_url(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "store.url_invalid", message)
        .hint("use file:///absolute/path, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
}
