//! The names of groups and producers, made from `kafka.application_id`.

use crate::engine::StageKind;

/// The consumer group of a stage's workers.
pub fn group(application_id: &str, stage: StageKind) -> String {
    format!("{application_id}-{}", stage.name())
}

/// What fences the writers of one worker: unique among live workers, and the same when an instance comes back.
pub fn transactional_id(application_id: &str, stage: StageKind, instance_id: &str, slot: usize) -> String {
    format!("{application_id}-{}-{instance_id}-{slot}", stage.name())
}
