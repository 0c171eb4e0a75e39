//! The topics that a worker reads, and how far it has read each partition of them.

use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::changelog::progress::SourceOffset;
use crate::kafka::claim::Claim;
use crate::kafka::client::topic_ids::TopicId;

/// A topic that a stage reads.
#[derive(Clone, Debug)]
pub struct Input {
    pub topic: String,
    /// Which topic it is; `None` in format 1, and of a cluster that gives topics no ids.
    pub id: Option<TopicId>,
    pub partitions: u32,
}

/// The next record of each assigned partition, by topic. The internal topic is the last.
pub struct Inputs {
    topics: Vec<Input>,
    positions: Vec<Vec<Option<Position>>>,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    next: i64,
    /// Whether a record came since the assignment.
    moved: bool,
    /// Up to where there was nothing but transactions' markers; never before `next`.
    read_to: i64,
    /// What the consumer told as its position before the assignment.
    former: Option<i64>,
}

impl Inputs {
    /// Of these sources and this internal topic; nothing is assigned yet.
    pub fn new(sources: Vec<Input>, internal: Input) -> Inputs {
        let mut topics = sources;
        topics.push(internal);
        let positions = vec![Vec::new(); topics.len()];
        Inputs { topics, positions }
    }

    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|input| input.topic.as_str())
    }

    /// Which of the topics this is.
    pub fn index_of(&self, topic: &str) -> Option<usize> {
        self.topics.iter().position(|input| input.topic == topic)
    }

    /// Which topic it is.
    pub fn id(&self, index: usize) -> Option<TopicId> {
        self.topics.get(index)?.id
    }

    pub fn is_internal(&self, index: usize) -> bool {
        index + 1 == self.topics.len()
    }

    pub fn internal_index(&self) -> usize {
        self.topics.len() - 1
    }

    pub fn internal(&self) -> &Input {
        // There is always one: `new` puts it there.
        &self.topics[self.internal_index()]
    }

    pub fn clear(&mut self) {
        self.positions.iter_mut().for_each(Vec::clear);
    }

    /// Begins a partition here.
    pub fn set(&mut self, index: usize, partition: i32, next: i64) {
        let Ok(partition) = usize::try_from(partition) else { return };
        let positions = &mut self.positions[index];
        if positions.len() <= partition {
            positions.resize(partition + 1, None);
        }
        positions[partition] = Some(Position { next, moved: false, read_to: next, former: None });
    }

    /// Notes which positions the consumer tells when it is yet to be assigned these inputs.
    pub fn distrust(&mut self, consumed: &TopicPartitionList) {
        for element in consumed.elements() {
            if let Offset::Offset(next) = element.offset()
                && let Some(position) = self.slot(element.topic(), element.partition())
            {
                position.former = Some(next);
            }
        }
    }

    /// Notes that the record before `next` was taken.
    pub fn advance(&mut self, index: usize, partition: i32, next: i64) {
        let position = usize::try_from(partition).ok().and_then(|partition| self.positions[index].get_mut(partition));
        if let Some(Some(position)) = position {
            *position = Position { next, moved: true, read_to: next, ..*position };
        }
    }

    /// Moves on over transactions' markers that follow the last record taken, by the consumer's own positions: else
    /// records would seem to be missing once the markers are deleted. Before its first record the consumer may still
    /// tell the position of an earlier assignment: of one that it did not tell then it is only known that this was read.
    pub fn pass_markers(&mut self, consumed: &TopicPartitionList) {
        for element in consumed.elements() {
            let (Some(position), Offset::Offset(next)) =
                (self.slot(element.topic(), element.partition()), element.offset())
            else {
                continue;
            };
            if position.moved {
                position.next = position.next.max(next);
            }
            if position.moved || position.former != Some(next) {
                position.read_to = position.read_to.max(next);
            }
        }
    }

    fn slot(&mut self, topic: &str, partition: i32) -> Option<&mut Position> {
        let index = self.index_of(topic)?;
        self.positions[index].get_mut(usize::try_from(partition).ok()?)?.as_mut()
    }

    /// Up to where a partition is read: no record that is not taken stands before this offset.
    pub fn read_to(&self, index: usize, partition: usize) -> Option<i64> {
        Some(self.positions.get(index)?.get(partition).copied()??.read_to)
    }

    /// Sets all positions to those of a list, and no others.
    pub fn set_all(&mut self, list: &TopicPartitionList) {
        self.clear();
        for element in list.elements() {
            if let (Some(index), Offset::Offset(next)) = (self.index_of(element.topic()), element.offset()) {
                self.set(index, element.partition(), next);
            }
        }
    }

    /// The next record of an assigned partition.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        let positions = &self.positions[self.index_of(topic)?];
        let position = positions.get(usize::try_from(partition).ok()?).copied().flatten();
        position.map(|position| position.next)
    }

    pub fn internal_position(&self, partition: u32) -> Option<i64> {
        let position = self.positions.last().and_then(|positions| positions.get(partition as usize).copied().flatten());
        position.map(|position| position.next)
    }

    /// The internal topic's partitions that are assigned, each with its next record.
    pub fn internal_positions(&self) -> impl Iterator<Item = (i32, i64)> {
        let positions = self.positions.last().into_iter().flatten();
        (0..).zip(positions).filter_map(|(partition, position)| Some((partition, (*position)?.next)))
    }

    /// Next records of this partition of the sources that have as many partitions as the internal topic: these are
    /// always assigned together.
    pub fn co_assigned(&self, partition: u32) -> impl Iterator<Item = SourceOffset> {
        let internal = self.internal().partitions;
        self.topics.iter().zip(&self.positions).rev().skip(1).filter_map(move |(input, positions)| {
            let position = positions.get(partition as usize).copied().flatten()?;
            let source = || SourceOffset { topic: input.topic.clone(), id: input.id, next: position.next };
            (input.partitions == internal).then(source)
        })
    }

    /// All positions, as offsets to commit or to assign; the claim of a writer goes with each.
    ///
    /// # Errors
    /// librdkafka refuses an offset.
    pub fn offsets(&self, writer: Option<&str>) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(self.positions.iter().map(Vec::len).sum());
        for (input, positions) in self.topics.iter().zip(&self.positions) {
            let note = writer.map(|writer| Claim { topic: input.id, ..Claim::of(writer) }.write());
            for (partition, position) in (0..).zip(positions) {
                if let Some(position) = position {
                    let mut element = list.add_partition(&input.topic, partition);
                    element.set_offset(Offset::Offset(position.next))?;
                    if let Some(note) = &note {
                        element.set_metadata(note);
                    }
                }
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        let input = |topic: &str, partitions| Input { topic: topic.to_owned(), id: TopicId::new(7), partitions };
        Inputs::new(vec![input("orders", 2), input("wide", 5)], input("internal", 2))
    }

    #[test]
    fn sources_of_as_many_partitions_stand_beside_the_internal_topic() {
        let mut inputs = inputs();
        inputs.set(0, 1, 10);
        inputs.set(1, 1, 20);
        inputs.set(2, 1, 30);
        let orders = SourceOffset { topic: "orders".to_owned(), id: TopicId::new(7), next: 10 };
        assert_eq!(inputs.co_assigned(1).collect::<Vec<_>>(), [orders]);
        assert_eq!((inputs.internal_position(1), inputs.internal_position(0)), (Some(30), None));
        assert!(inputs.is_internal(2) && !inputs.is_internal(1));
    }

    #[test]
    fn markers_are_passed_only_after_a_record_of_this_assignment() {
        let mut inputs = inputs();
        inputs.set(0, 0, 10);
        let mut consumed = TopicPartitionList::new();
        consumed.add_partition_offset("orders", 0, Offset::Offset(99)).unwrap();
        inputs.pass_markers(&consumed);
        assert_eq!(inputs.position("orders", 0), Some(10), "99 may be of an earlier assignment");
        inputs.advance(0, 0, 11);
        inputs.pass_markers(&consumed);
        assert_eq!(inputs.position("orders", 0), Some(99));
        inputs.advance(0, 0, 120);
        inputs.pass_markers(&consumed);
        assert_eq!(inputs.position("orders", 0), Some(120), "positions never go back");
    }

    #[test]
    fn markers_before_the_first_record_are_read_but_not_committed() {
        let mut inputs = inputs();
        inputs.set(0, 0, 10);
        let told = |next| {
            let mut consumed = TopicPartitionList::new();
            consumed.add_partition_offset("orders", 0, Offset::Offset(next)).unwrap();
            consumed
        };
        inputs.distrust(&told(99));
        inputs.pass_markers(&told(99));
        assert_eq!(inputs.read_to(0, 0), Some(10), "of an earlier assignment");
        inputs.pass_markers(&told(12));
        assert_eq!((inputs.read_to(0, 0), inputs.position("orders", 0)), (Some(12), Some(10)));
        inputs.advance(0, 0, 99);
        inputs.pass_markers(&told(99));
        assert_eq!(inputs.read_to(0, 0), Some(99));
        inputs.pass_markers(&told(101));
        assert_eq!((inputs.read_to(0, 0), inputs.position("orders", 0)), (Some(101), Some(101)));
        assert_eq!((inputs.read_to(0, 1), inputs.read_to(3, 0)), (None, None));
    }

    #[test]
    fn offsets_to_commit_name_their_writer() {
        let mut inputs = inputs();
        inputs.set(2, 1, 30);
        let offsets = inputs.offsets(Some("writer")).unwrap();
        let element = offsets.find_partition("internal", 1).unwrap();
        let claim = Claim { topic: TopicId::new(7), ..Claim::of("writer") };
        assert_eq!((offsets.count(), element.offset()), (1, Offset::Offset(30)));
        assert_eq!(Claim::read(element.metadata()), claim);
    }
}
