//! The sending side of the append call.
//!
//! A call that breaks off before its end was taken stores nothing. One that breaks off later, without an answer of the
//! other node, leaves open whether its rows are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use futures::StreamExt;
use kyma_core::{Error, ExtentId, Kind, Result, Sequence};
use kyma_proto::v1::append_request::Part;
use kyma_proto::v1::append_rows::Target;
use kyma_proto::v1::ingest_client::IngestClient;
use kyma_proto::v1::{AppendEnd, AppendHeader, AppendReply, AppendRequest, AppendRows};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::answer::IngestAnswer;
use crate::route::AppendChannel;
use crate::{ipc, metadata};

/// Messages on their way; more wait for the receiver.
const MESSAGES_IN_FLIGHT: usize = 2;

/// The stream of one write.
#[derive(Debug)]
pub(crate) struct Sender {
    messages: mpsc::Sender<AppendRequest>,
    rows: u64,
    rejected: u64,
}

/// Opens a write: the sender, and the call to be awaited beside it.
pub(crate) fn open(
    mut client: IngestClient<AppendChannel>,
    header: AppendHeader,
) -> (Sender, impl Future<Output = Result<IngestAnswer>>) {
    let (messages, receiver) = mpsc::channel(MESSAGES_IN_FLIGHT);
    let mut of_request = MetadataMap::new();
    metadata::add_to(&mut of_request);
    let call = async move {
        let first = tokio_stream::once(AppendRequest { part: Some(Part::Header(header)) });
        let ended = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&ended);
        let stream = first.chain(ReceiverStream::new(receiver)).inspect(move |request| {
            if let Some(Part::End(_)) = request.part {
                note.store(true, Ordering::SeqCst);
            }
        });
        let mut request = tonic::Request::new(stream);
        *request.metadata_mut() = of_request;
        match client.append(request).await {
            Ok(reply) => read_reply(reply.into_inner()),
            Err(status) => Err(failure(kyma_proto::error_of(&status), ended.load(Ordering::SeqCst))),
        }
    };
    (Sender { messages, rows: 0, rejected: 0 }, call)
}

impl Sender {
    /// Sends rows of the write's table.
    pub(crate) async fn rows(&mut self, batch: &RecordBatch, raw_bytes: u64, unmapped: u64) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.send_batch(Target::Table, batch, raw_bytes, unmapped).await
    }

    /// Sends rejected rows.
    pub(crate) async fn rejected(&mut self, batch: &RecordBatch, raw_bytes: u64) -> Result<()> {
        self.rejected += batch.num_rows() as u64;
        self.send_batch(Target::Rejected, batch, raw_bytes, 0).await
    }

    /// Ends the write: only now may it be stored. `content` is the digest of its body, or "".
    pub(crate) async fn end(self, content: String) -> Result<()> {
        let end = AppendEnd { rows: self.rows, rejected: self.rejected, content };
        self.send(Part::End(end)).await
    }

    async fn send_batch(&self, target: Target, batch: &RecordBatch, raw_bytes: u64, unmapped: u64) -> Result<()> {
        let arrow_ipc = ipc::encode(batch)?;
        self.send(Part::Rows(AppendRows { target: target.into(), arrow_ipc, raw_bytes, unmapped })).await
    }

    async fn send(&self, part: Part) -> Result<()> {
        let sent = self.messages.send(AppendRequest { part: Some(part) }).await;
        // The call has ended; its own error says why and counts.
        sent.map_err(|_closed| Error::unavailable("ingest.commit_failed", "the append call ended early"))
    }
}

/// The error of a call. A `remote` code is the transport's: the node itself did not answer.
fn failure(error: Error, ended: bool) -> Error {
    let lost = matches!(error.kind(), Kind::Unavailable | Kind::Internal | Kind::Cancelled);
    if !(ended && lost && error.code().starts_with("remote.")) {
        return error;
    }
    Error::unavailable("ingest.outcome_unknown", "the node that stores the rows went away; they may be stored or not")
        .hint("send the write again with the same Idempotency-Key: it is stored once")
        .because(error)
}

fn read_reply(reply: AppendReply) -> Result<IngestAnswer> {
    let extent = |text: &String| {
        Uuid::try_parse(text)
            .map(ExtentId)
            .map_err(|error| Error::internal("an append reply is not sound").because(error))
    };
    Ok(IngestAnswer {
        rows: reply.rows,
        rejected: reply.rejected,
        unmapped: reply.unmapped,
        extents: reply.extents.iter().map(extent).collect::<Result<_>>()?,
        sequence: Sequence(reply.sequence),
    })
}

#[cfg(test)]
mod tests {
    use kyma_proto::v1::ingest_server::{Ingest, IngestServer};
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status, Streaming};

    use super::*;

    /// Ends every call as a broken connection does, after the first message or after the last.
    struct Breaking {
        early: bool,
    }

    #[tonic::async_trait]
    impl Ingest for Breaking {
        async fn append(&self, request: Request<Streaming<AppendRequest>>) -> Result<Response<AppendReply>, Status> {
            let mut stream = request.into_inner();
            while stream.message().await?.is_some() && !self.early {}
            Err(Status::unavailable("transport error"))
        }
    }

    async fn code(early: bool, end: bool) -> &'static str {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut tasks = tokio::task::JoinSet::new();
        let server = tonic::transport::Server::builder().add_service(IngestServer::new(Breaking { early }));
        tasks.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let client = IngestClient::new(crate::route::connect(&address, crate::route::KEEP_ALIVE).unwrap());
        let (sender, call) = open(client, AppendHeader::default());
        let produce = async {
            if end {
                sender.end(String::new()).await.unwrap();
            } else {
                drop(sender);
            }
        };
        tokio::join!(call, produce).0.unwrap_err().code()
    }

    #[tokio::test]
    async fn a_call_that_breaks_after_its_end_leaves_the_outcome_open() {
        assert_eq!(code(false, true).await, "ingest.outcome_unknown");
        assert_eq!(code(false, false).await, "remote.unavailable");
        assert_eq!(code(true, false).await, "remote.unavailable");
    }
}
