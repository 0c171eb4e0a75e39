//! What the partitions of a changelog say of themselves, without their state: how far each has come, and which state it is.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::changelog::birth::{BIRTH_KEY, Birth};
use crate::kafka::changelog::progress::{PROGRESS_KEY, Progress};
use crate::kafka::client::ask::{ASK_AGAIN_AFTER, Watcher, offset_in};
use crate::kafka::client::{Clients, Link};
use crate::kafka::error::WorkerError;
use crate::kafka::retry_policy::RetryPolicy;

/// Longer than any transaction can stay open.
const BLOCKED_AFTER: Duration = Duration::from_secs(60);

/// Of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// None where the changelog holds no state.
    pub progress: Option<Progress>,
    /// None of a state of before there was any.
    pub birth: Option<Birth>,
}

/// Reads a changelog from its beginning to its end. In the order of the partitions.
///
/// # Errors
/// It can't be read to its end, or a fact can't be read.
pub fn survey(
    clients: &Clients,
    watcher: &Watcher,
    changelog: &str,
    partitions: u32,
) -> Result<Vec<Surveyed>, WorkerError> {
    let mut list = TopicPartitionList::new();
    let numbers = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
    list.add_partition_range(changelog, 0, numbers.end - 1);
    let mut retry_policy = RetryPolicy::of(format!("reading {changelog}"));
    let (low, high) = loop {
        match watcher.low_watermarks(&list).and_then(|low| Ok((low, watcher.high_watermarks(&list)?))) {
            Ok(ends) => break ends,
            Err(error) => retry_policy.go_on_from(error)?,
        }
        std::thread::sleep(ASK_AGAIN_AFTER);
    };
    let config = clients.reader(&format!("{changelog}-survey"));
    let reader: BaseConsumer<Link> =
        config.create_with_context(Link::idle()).map_err(WorkerError::kafka("a consumer for the changelog"))?;
    let mut starts = TopicPartitionList::new();
    for number in numbers.clone() {
        let start = Offset::Offset(offset_in(&low, changelog, number).unwrap_or(0));
        starts.add_partition_offset(changelog, number, start).map_err(WorkerError::kafka("the changelog"))?;
    }
    reader.assign(&starts).map_err(WorkerError::kafka("the changelog"))?;
    let mut found = vec![Surveyed::default(); partitions as usize];
    let mut last_record = Instant::now();
    loop {
        match reader.poll(Duration::from_millis(50)) {
            Some(Ok(record)) => {
                last_record = Instant::now();
                let of = usize::try_from(record.partition()).ok().and_then(|partition| found.get_mut(partition));
                let Some(of) = of else { continue };
                let unreadable = |cause| WorkerError::Format {
                    topic: changelog.to_owned(),
                    partition: record.partition(),
                    offset: record.offset(),
                    cause,
                };
                match (record.key(), record.payload()) {
                    (Some(PROGRESS_KEY), Some(value)) => {
                        of.progress = Some(Progress::read(value).map_err(unreadable)?);
                    }
                    (Some(BIRTH_KEY), value) => {
                        of.birth = value.map(Birth::read).transpose().map_err(unreadable)?;
                    }
                    _ => {}
                }
                continue;
            }
            Some(Err(error)) => retry_policy.go_on_from(error)?,
            None => {}
        }
        // The positions pass over what was aborted, and over markers.
        let positions = reader.position().map_err(WorkerError::kafka("the changelog"))?;
        let waits = numbers.clone().find_map(|number| {
            let (start, end) = (offset_in(&low, changelog, number)?, offset_in(&high, changelog, number)?);
            let position = offset_in(&positions, changelog, number).unwrap_or(start);
            (position < end).then_some((number, position, end))
        });
        let Some((partition, stable, end)) = waits else { return Ok(found) };
        if last_record.elapsed() > BLOCKED_AFTER {
            return Err(WorkerError::Blocked { changelog: changelog.to_owned(), partition, stable, end });
        }
    }
}
