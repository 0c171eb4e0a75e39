//! The two stages by name: what must tell one from the other goes by this, and nothing by a text.

/// Which stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageKind {
    /// Every customer with its orders.
    Customers,
    /// Spend and orders of each campaign.
    Campaigns,
}

impl StageKind {
    /// All of them.
    pub const ALL: [StageKind; 2] = [StageKind::Customers, StageKind::Campaigns];

    /// As it stands in the names of topics, groups and threads, and in the labels of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            StageKind::Customers => "customers",
            StageKind::Campaigns => "campaigns",
        }
    }
}

/// Something that there is of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerStage<T> {
    customers: T,
    campaigns: T,
}

impl<T> PerStage<T> {
    /// What `of` says of each.
    pub fn new(mut of: impl FnMut(StageKind) -> T) -> PerStage<T> {
        PerStage { customers: of(StageKind::Customers), campaigns: of(StageKind::Campaigns) }
    }

    /// That of one stage.
    pub fn of(&self, stage: StageKind) -> &T {
        match stage {
            StageKind::Customers => &self.customers,
            StageKind::Campaigns => &self.campaigns,
        }
    }
}
