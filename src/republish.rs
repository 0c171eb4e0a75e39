//! Asks for all records anew: one request to each partition of both stages, on its internal topic. The owner of the partition
//! takes it in its turn and in a transaction, as it takes everything there, so that it is met once, also by an instance
//! that starts later.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseRecord;

use crate::config::Config;
use crate::engine::StageKind;
use crate::kafka::Clients;
use crate::kafka::record::origin::request_headers;
use crate::kafka::topics::{self, TopicsError};
use crate::kafka::transaction::{Failure, Patience, Transactions};

/// How long a broker may take to know the producer.
const PATIENCE: Duration = Duration::from_secs(30);
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Partitions of the customers, and so of their records.
    pub customers: u32,
    /// Partitions of the campaigns.
    pub campaigns: u32,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { customers, campaigns } = self;
        write!(
            f,
            "{customers} partitions of customers and {campaigns} of campaigns are to write all of their records again"
        )
    }
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum RepublishError {
    #[error(
        "`format.write` is 1, which the program of before reads too, and that program knows no such request: set `format.write` \
         to 2 in all instances first"
    )]
    Format,
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error("{what}: {cause}")]
    Client { what: &'static str, cause: KafkaError },
    #[error("the transactional producer: no broker has answered for {} s", PATIENCE.as_secs())]
    Unreachable,
    #[error("nobody was asked: {0}")]
    Transaction(String),
}

impl From<Failure> for RepublishError {
    fn from(failure: Failure) -> RepublishError {
        RepublishError::Transaction(failure.to_string())
    }
}

/// Asks all partitions, or none. Blocks; not to be called from async code.
///
/// # Errors
/// None was asked, or whether they were is not known: asking again does no harm.
pub fn republish(config: &Config) -> Result<Asked, RepublishError> {
    if config.settings.format.number() < 2 {
        return Err(RepublishError::Format);
    }
    let clients = Clients::new(config);
    let layout = topics::layout(config, &clients, &AtomicBool::new(false))?;
    let requests = StageKind::ALL.map(|stage| {
        let topic = config.kafka.internal_topic(stage);
        let partitions = layout.partitions(&topic);
        (topic, partitions)
    });
    let name = format!("{}-republish", config.kafka.application_id);
    let client = |what| move |cause| RepublishError::Client { what, cause };
    let mut transactions =
        Transactions::new(clients.producer(&name), Arc::default()).map_err(client("the transactional producer"))?;
    if !transactions.introduce_within(PATIENCE).map_err(client("the transactional producer"))? {
        return Err(RepublishError::Unreachable);
    }
    transactions.begin()?;
    for (topic, partitions) in &requests {
        for partition in 0..i32::try_from(*partitions).unwrap_or(i32::MAX) {
            let request: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
            transactions.send(request.headers(request_headers()))?;
        }
    }
    let patience = Patience::of(COMMIT_WITHIN);
    transactions.acknowledge(patience)?;
    let group = clients.group_in_name(&name).map_err(client("a consumer"))?.ok_or(RepublishError::Unreachable)?;
    transactions.commit(&TopicPartitionList::new(), &Arc::new(group), patience)?;
    let [(_, customers), (_, campaigns)] = requests;
    Ok(Asked { customers, campaigns })
}
