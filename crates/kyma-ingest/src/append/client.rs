//! The sending side of the append call.

use arrow::array::RecordBatch;
use kyma_core::{Error, ExtentId, Result, Sequence};
use kyma_proto::v1::append_request::Part;
use kyma_proto::v1::append_rows::Target;
use kyma_proto::v1::ingest_client::IngestClient;
use kyma_proto::v1::{AppendEnd, AppendHeader, AppendReply, AppendRequest, AppendRows};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::answer::IngestAnswer;
use crate::ipc;

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
    mut client: IngestClient<Channel>,
    header: AppendHeader,
) -> (Sender, impl Future<Output = Result<IngestAnswer>>) {
    let (messages, receiver) = mpsc::channel(MESSAGES_IN_FLIGHT);
    let call = async move {
        let first = tokio_stream::once(AppendRequest { part: Some(Part::Header(header)) });
        let stream = tokio_stream::StreamExt::chain(first, ReceiverStream::new(receiver));
        match client.append(stream).await {
            Ok(reply) => read_reply(reply.into_inner()),
            Err(status) => Err(kyma_proto::error_of(&status)),
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

    /// Ends the write: only now may it be stored.
    pub(crate) async fn end(self) -> Result<()> {
        let end = AppendEnd { rows: self.rows, rejected: self.rejected };
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
