//! The stages by name, and the names of their groups and producers, made from `kafka.application_id`.

use crate::engine::Stage;

/// The two stages, where what is shared between them must tell one from the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageKind {
    Customers,
    Campaigns,
}

impl StageKind {
    /// The kind of a [`Stage`], by its name.
    pub fn of<S: Stage>() -> StageKind {
        if S::NAME == StageKind::Customers.name() { StageKind::Customers } else { StageKind::Campaigns }
    }

    pub fn name(self) -> &'static str {
        match self {
            StageKind::Customers => "customers",
            StageKind::Campaigns => "campaigns",
        }
    }
}

/// The consumer group of a stage's workers.
pub fn group(application_id: &str, stage: StageKind) -> String {
    format!("{application_id}-{}", stage.name())
}

/// What fences the writers of one worker: unique among live workers, and the same when an instance comes back.
pub fn transactional_id(application_id: &str, stage: StageKind, instance_id: &str, slot: usize) -> String {
    format!("{application_id}-{}-{instance_id}-{slot}", stage.name())
}
