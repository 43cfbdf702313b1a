//! `/v1/languages/{language}`: what a language has, for completion in editors.

use axum::Json;
use axum::extract::{Path, State};
use kyma_core::Error;
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::state::Shared;

pub(crate) async fn describe(State(state): State<Shared>, Path(language): Path<String>) -> Outcome<Json<Value>> {
    let unknown = || Error::not_found("query.unknown_language", format!("query language is not known: {language}"));
    let frontend = state.engine.frontend(&language).ok_or_else(unknown)?;
    Ok(Json(json!({ "language": language, "entries": frontend.reference() })))
}
