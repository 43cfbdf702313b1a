//! The Kusto REST wire, as the official clients speak it.
//!
//! `request` reads what they send, `v1` and `v2` write tables and frames, `error` writes failures, `ingest` and `queued` take
//! rows, and this file ties them to the same engine, commands and ingester that the native endpoints use. Every answer echoes
//! `x-ms-client-request-id` and names itself in `x-ms-activity-id`.

mod consumption;
mod error;
mod ingest;
mod mapping;
mod queued;
mod request;
mod v1;
mod v2;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kyma_exec::Answer;
use uuid::Uuid;

use self::request::{KustoRequest, UrlRequest};
use crate::command;
use crate::encode::body::{Piece, stream_body};
use crate::failure::{Failure, Outcome};
use crate::http::query::{Turn, read_body};
use crate::settings::Role;
use crate::state::Shared;

/// The routes of this wire.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/rest/query", get(query_v1_get).post(query_v1))
        .route("/v2/rest/query", get(query_v2_get).post(query_v2))
        .route("/v1/rest/mgmt", post(mgmt))
        .route("/v1/rest/ingest/{database}/{table}", post(ingest::ingest))
        .route("/v1/rest/auth/metadata", get(no_auth))
        .merge(queued::routes())
}

/// No sign-in is asked for: clients fall back to their defaults on 404, and on nothing else.
async fn no_auth() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Who calls, as the answer's headers and frames say it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) client_request_id: String,
    pub(crate) activity_id: Uuid,
    /// When the call came, in nanoseconds.
    pub(crate) at: i64,
}

impl Call {
    pub(crate) fn new(state: &Shared, headers: &HeaderMap) -> Self {
        let given = headers.get("x-ms-client-request-id").and_then(|value| value.to_str().ok());
        let activity_id = Uuid::new_v4();
        let client_request_id = given.map_or_else(|| format!("unspecified;{activity_id}"), str::to_owned);
        Call { client_request_id, activity_id, at: state.clock.now() }
    }

    /// The answer with its headers; a failure as Kusto words it.
    pub(crate) fn respond(&self, outcome: Outcome<Vec<Piece>>) -> Response {
        self.respond_body(outcome.map(stream_body))
    }

    /// The same with a body that is made already.
    fn respond_body(&self, outcome: Outcome<Body>) -> Response {
        let mut response = match outcome {
            Ok(body) => body.into_response(),
            Err(failure) => error::response(self, &failure),
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if let Ok(id) = HeaderValue::from_str(&self.client_request_id) {
            headers.insert("x-ms-client-request-id", id);
        }
        if let Ok(id) = HeaderValue::from_str(&self.activity_id.to_string()) {
            headers.insert("x-ms-activity-id", id);
        }
        response
    }
}

async fn query_v1(State(state): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let call = Call::new(&state, &headers);
    let outcome =
        async { Ok(v1::query_pieces(run(&state, KustoRequest::read(&read_body(body).await?)?).await?, &call)) }.await;
    call.respond(outcome)
}

async fn query_v1_get(
    State(state): State<Shared>,
    headers: HeaderMap,
    UrlQuery(url): UrlQuery<UrlRequest>,
) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = async { Ok(v1::query_pieces(run(&state, KustoRequest::from_url(url)?).await?, &call)) }.await;
    call.respond(outcome)
}

async fn query_v2(State(state): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = async { answer_v2(&state, &call, KustoRequest::read(&read_body(body).await?)?).await }.await;
    call.respond_body(outcome)
}

async fn query_v2_get(
    State(state): State<Shared>,
    headers: HeaderMap,
    UrlQuery(url): UrlQuery<UrlRequest>,
) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = async { answer_v2(&state, &call, KustoRequest::from_url(url)?).await }.await;
    call.respond_body(outcome)
}

/// Frames as the request wants them: of the whole answer, or while it is made.
async fn answer_v2(state: &Shared, call: &Call, request: KustoRequest) -> Outcome<Body> {
    let shape = request.shape();
    let is_command = command::parse(state, request.language(), &request.text)?.is_some();
    let Some(shape) = shape.filter(|_| !is_command) else {
        return Ok(stream_body(v2::pieces(run(state, request).await?, call)));
    };
    state.require(Role::Query)?;
    let text = request.text.clone();
    let request = request.into_query(state)?;
    let turn = Turn::take_for(state, &request).await?;
    let started = state.engine.stream_tables(request, turn.cancel.clone()).await;
    let answer = started.map_err(|error| {
        turn.note_failure(&error);
        Failure::of_query(error, &text)
    })?;
    v2::respond(call.clone(), shape, answer, turn, text).await
}

async fn mgmt(State(state): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = async {
        let request = KustoRequest::read(&read_body(body).await?)?;
        if let Some(pieces) = queued::answer(&state, &headers, &request.text).await? {
            return Ok(pieces);
        }
        Ok(v1::command_pieces(manage(&state, request).await?))
    };
    let outcome = outcome.await;
    call.respond(outcome)
}

/// Runs a management command. A query on this endpoint is answered too: some tools send everything here.
async fn manage(state: &Shared, request: KustoRequest) -> Outcome<Answer> {
    match command::parse(state, "kql", &request.text)? {
        Some(command) => {
            request.check_command()?;
            let database = state.database_or_default(request.database);
            command::execute(state, &database, command).await
        }
        None => run(state, request).await,
    }
}

/// Runs a query. A management command on a query endpoint is answered too.
async fn run(state: &Shared, request: KustoRequest) -> Outcome<Answer> {
    let language = request.language();
    if let Some(command) = command::parse(state, language, &request.text)? {
        request.check_command()?;
        let database = state.database_or_default(request.database);
        return command::execute(state, &database, command).await;
    }
    state.require(Role::Query)?;
    let text = request.text.clone();
    let request = request.into_query(state)?;
    let turn = Turn::take_for(state, &request).await?;
    let (ran, profile) = state.engine.run_profiled(request, turn.cancel.clone()).await;
    turn.note(&ran, &profile);
    ran.map_err(|error| Failure::of_query(error, &text))
}
