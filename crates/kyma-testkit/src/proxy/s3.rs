//! A proxy before an S3 server, on HTTP's level.
//!
//! A request meets the first [`Rule`] that is for its method and whose turn it is, by chance or count. Requests pass with
//! their headers as they came, `Host` included, so that signatures stay valid.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::s3::TestS3;

type Body = BoxBody<Bytes, io::Error>;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and the server never sees it.
    Status(u16),
    /// It is answered 503 `SlowDown`, with so many seconds of `Retry-After`.
    SlowDown(u64),
    /// It is never answered.
    Hang,
    /// Its connection is closed, and the server never sees it.
    Refuse,
    /// The server does it, and the connection is closed instead of an answer.
    LoseAnswer,
    /// It is answered as if it were done, and the server never sees it.
    Swallow,
    /// There is no such object, whatever the server knows.
    NotFound,
    /// One bit of its body is another when the server gets it.
    FlipRequest,
    /// One bit of the answer's body is another.
    FlipAnswer,
    /// The answer's body breaks off in the middle.
    Truncate,
    /// The answer has half its body, and says that this is all.
    Shorten,
    /// The answer says that it is another range than the one asked for.
    Relabel,
    /// The answer has the bytes of another range of the same length, and says nothing.
    Shift,
    /// The answer comes in four pieces with such pauses before them.
    Slow(Duration),
}

/// Which requests meet a fault.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Their methods; every one when empty.
    pub methods: Vec<Method>,
    /// What happens.
    pub fault: Fault,
    /// To so many of a hundred.
    pub percent: u8,
    /// No more often than this.
    pub times: Option<u32>,
}

impl Rule {
    /// To all requests of these methods.
    pub fn new(methods: &[Method], fault: Fault) -> Rule {
        Rule { methods: methods.to_vec(), fault, percent: 100, times: None }
    }

    /// To so many of a hundred.
    #[must_use]
    pub fn percent(self, percent: u8) -> Rule {
        Rule { percent, ..self }
    }

    /// No more often than this.
    #[must_use]
    pub fn times(self, times: u32) -> Rule {
        Rule { times: Some(times), ..self }
    }
}

/// A proxy, until dropped.
#[derive(Debug)]
pub struct S3Proxy {
    address: SocketAddr,
    options: BTreeMap<String, String>,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    chance: Mutex<ChaCha8Rng>,
    rules: Mutex<Vec<Rule>>,
    arrivals: Mutex<Vec<Instant>>,
}

impl S3Proxy {
    /// Starts a proxy before a server. The same seed meets the same chances in the same order.
    pub async fn before(s3: &TestS3, seed: u64) -> S3Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound port");
        let upstream = s3.options.get("endpoint").cloned().expect("the server's endpoint");
        let mut options = s3.options.clone();
        options.insert("endpoint".to_owned(), format!("http://{address}"));
        let state = Arc::new(State {
            upstream,
            client: Client::builder(TokioExecutor::new()).build_http(),
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            rules: Mutex::default(),
            arrivals: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&state)));
        S3Proxy { address, options, state, _serving: serving }
    }

    /// Options of a client that goes through the proxy.
    pub fn options(&self) -> &BTreeMap<String, String> {
        &self.options
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks what passes from now on, and no longer what it broke before.
    pub fn set(&self, rules: &[Rule]) {
        *self.state.rules.lock() = rules.to_vec();
    }

    /// Lets everything through, unchanged.
    pub fn heal(&self) {
        self.set(&[]);
    }

    /// When requests arrived since the start.
    pub fn arrivals(&self) -> Vec<Instant> {
        self.state.arrivals.lock().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { state.handle(request).await }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

impl State {
    fn choose(&self, method: &Method) -> Option<Fault> {
        self.arrivals.lock().push(Instant::now());
        let mut rules = self.rules.lock();
        let mut chance = self.chance.lock();
        let rule = rules.iter_mut().find(|rule| {
            let is_meant = rule.methods.is_empty() || rule.methods.contains(method);
            is_meant && rule.times != Some(0) && chance.random_range(0..100) < rule.percent
        })?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault)
    }

    async fn handle(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let fault = self.choose(request.method());
        match fault {
            Some(Fault::Status(status)) => return answer_after(request, said(status, "InternalError")).await,
            Some(Fault::SlowDown(seconds)) => {
                let mut answer = said(503, "SlowDown");
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                return answer_after(request, answer).await;
            }
            Some(Fault::NotFound) => return answer_after(request, said(404, "NoSuchKey")).await,
            Some(Fault::Swallow) => return answer_after(request, swallowed()).await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Refuse) => return Err(broken()),
            _ => {}
        }
        let (parts, body) = request.into_parts();
        let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if fault == Some(Fault::FlipRequest) {
            body = self.flip(&body);
        }
        let answer = self.pass(Request::from_parts(parts, Full::new(body))).await?;
        if fault == Some(Fault::LoseAnswer) {
            return Err(broken());
        }
        let (mut parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        // What has no body, and what the server refused, cannot be broken so.
        let body = match fault {
            Some(_) if body.is_empty() || !parts.status.is_success() => whole(body),
            Some(Fault::FlipAnswer) => whole(self.flip(&body)),
            Some(Fault::Shift) => whole([&body[body.len() / 2..], &body[..body.len() / 2]].concat().into()),
            Some(Fault::Shorten) => {
                let half = body.slice(..body.len() / 2);
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(half.len()));
                whole(half)
            }
            Some(Fault::Relabel) => {
                let label = format!("bytes 1-{}/{}", body.len(), body.len() + 1);
                parts.headers.insert(CONTENT_RANGE, HeaderValue::from_str(&label).map_err(io::Error::other)?);
                whole(body)
            }
            Some(Fault::Truncate) => {
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                pieces(vec![Ok(body.slice(..body.len() / 2)), Err(broken())], Duration::ZERO)
            }
            Some(Fault::Slow(pause)) => {
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                let size = body.len().div_ceil(4).max(1);
                let cut = (0..body.len()).step_by(size).map(|at| Ok(body.slice(at..body.len().min(at + size))));
                pieces(cut.collect(), pause)
            }
            _ => whole(body),
        };
        Ok(Response::from_parts(parts, body))
    }

    async fn pass(&self, mut request: Request<Full<Bytes>>) -> io::Result<Response<Incoming>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri: Uri = format!("{}{path}", self.upstream).parse().map_err(io::Error::other)?;
        *request.uri_mut() = uri;
        self.client.request(request).await.map_err(io::Error::other)
    }

    fn flip(&self, body: &Bytes) -> Bytes {
        let mut flipped = body.to_vec();
        if !flipped.is_empty() {
            let (place, bit) = {
                let mut chance = self.chance.lock();
                (chance.random_range(0..flipped.len()), chance.random_range(0..8))
            };
            flipped[place] ^= 1_u8 << bit;
        }
        flipped.into()
    }
}

/// The answer, once the request was read: a client that still sends would not hear it.
async fn answer_after(request: Request<Incoming>, answer: Response<Body>) -> io::Result<Response<Body>> {
    request.into_body().collect().await.map_err(io::Error::other)?;
    Ok(answer)
}

fn said(status: u16, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as told</Message></Error>");
    let mut answer = Response::new(whole(text.into()));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}

fn swallowed() -> Response<Body> {
    let mut answer = Response::new(whole(Bytes::new()));
    answer.headers_mut().insert("etag", HeaderValue::from_static("\"d41d8cd98f00b204e9800998ecf8427e\""));
    answer
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "broken off as told")
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn pieces(pieces: Vec<io::Result<Bytes>>, pause: Duration) -> Body {
    let frames = futures::stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        piece.map(Frame::data)
    });
    BodyExt::boxed(StreamBody::new(frames))
}
