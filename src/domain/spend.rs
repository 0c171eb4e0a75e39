//! What money is spent on, beside the orders themselves: on campaigns, and on single customers.
//!
//! Facts hold these kinds by their place: a new one goes to the end.

use serde::{Deserialize, Serialize};

/// What an amount was spent on for a campaign. All kinds are `invested`; only the first is `spend`, by which ROAS and CAC go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpendKind {
    /// The ads themselves, as platforms bill them.
    #[default]
    Media,
    /// Fees and commissions of agencies and platforms.
    Fee,
    /// Making the ads.
    Creative,
    /// Anything else.
    Other,
}

impl SpendKind {
    /// All of them.
    pub const ALL: [SpendKind; 4] = [SpendKind::Media, SpendKind::Fee, SpendKind::Creative, SpendKind::Other];
}

/// What a customer cost was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CustomerCostKind {
    /// To win the customer: the campaign that did has it in `invested`.
    Acquisition,
    /// To keep the customer.
    Retention,
}

impl CustomerCostKind {
    /// Both.
    pub const ALL: [CustomerCostKind; 2] = [CustomerCostKind::Acquisition, CustomerCostKind::Retention];
}
