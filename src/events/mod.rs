//! What comes in: the six events, checked and typed. Bytes become an [`Event`] or a [`Rejection`]; nothing in between.
//!
//! Texts borrow from the record where they stand there unescaped.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::money::Micros;
use crate::time::{Date, Millis};

/// One accepted event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    Purchase(Purchase<'a>),
    Refund(Refund<'a>),
    Cancellation(Cancellation<'a>),
    CustomerCost(CustomerCost<'a>),
    AdSpend(AdSpend<'a>),
    AdSpendReport(AdSpendReport<'a>),
}

/// Where an event is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home<'a> {
    /// In the customers stage, by customer id.
    Customer(&'a str),
    /// In the campaigns stage, by campaign id.
    Campaign(&'a str),
}

impl Event<'_> {
    pub fn home(&self) -> Home<'_> {
        match self {
            Event::Purchase(purchase) => Home::Customer(&purchase.customer_id),
            Event::Refund(refund) => Home::Customer(&refund.customer_id),
            Event::Cancellation(cancellation) => Home::Customer(&cancellation.customer_id),
            Event::CustomerCost(cost) => Home::Customer(&cost.customer_id),
            Event::AdSpend(spend) => Home::Campaign(&spend.campaign_id),
            Event::AdSpendReport(report) => Home::Campaign(&report.campaign_id),
        }
    }

    /// The `type` as it stands in the record.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Purchase(_) => "purchase",
            Event::Refund(_) => "refund",
            Event::Cancellation(_) => "cancellation",
            Event::CustomerCost(_) => "customer_cost",
            Event::AdSpend(_) => "ad_spend",
            Event::AdSpendReport(_) => "ad_spend_report",
        }
    }

    /// The moment that a replay's `as_of` follows: `occurred_at`, or `reported_at` of a report.
    pub fn moment(&self) -> Millis {
        match self {
            Event::Purchase(purchase) => purchase.occurred_at,
            Event::Refund(refund) => refund.occurred_at,
            Event::Cancellation(cancellation) => cancellation.occurred_at,
            Event::CustomerCost(cost) => cost.occurred_at,
            Event::AdSpend(spend) => spend.occurred_at,
            Event::AdSpendReport(report) => report.reported_at,
        }
    }
}

/// An order. Its items are read, checked and summed; what stays of them is the sums and the first one's sku.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase<'a> {
    pub customer_id: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub occurred_at: Millis,
    /// Of two events for one order the later wins.
    pub updated_at: Millis,
    /// As stated, else sum of quantity x unit price, less the discount. 0 to [`Micros::MAX`].
    pub revenue: Micros,
    pub cost_of_goods: CostOfGoods,
    pub operating_cost: Micros,
    /// Sum of the items' quantities.
    pub items: i64,
    pub first_sku: Option<Cow<'a, str>>,
    pub customer_since: Option<Millis>,
    /// In order of `at`, the shorthand's last; those after `occurred_at` are left out already.
    pub touchpoints: SmallVec<[Touchpoint<'a>; 2]>,
    /// Of the whole content: decides between two different events that are alike in time and revenue.
    pub digest: u64,
}

/// The cost of an order's goods, before refunds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CostOfGoods {
    #[default]
    Unknown,
    /// Stated, or summed from the items.
    Known(Micros),
    /// By `costs.default_margin`.
    Estimated(Micros),
}

/// An ad seen before an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Touchpoint<'a> {
    pub at: Millis,
    pub campaign_id: Option<Cow<'a, str>>,
    pub channel: Option<Cow<'a, str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refund<'a> {
    pub customer_id: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub refund_id: Cow<'a, str>,
    pub occurred_at: Millis,
    /// Over 0.
    pub amount: Micros,
    /// Cost of goods that came back.
    pub cost_recovered: Micros,
    pub digest: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Cancellation<'a> {
    pub customer_id: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub occurred_at: Millis,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CustomerCost<'a> {
    pub customer_id: Cow<'a, str>,
    pub cost_id: Cow<'a, str>,
    pub occurred_at: Millis,
    pub amount: Micros,
    pub kind: CustomerCostKind,
    pub channel: Option<Cow<'a, str>>,
    pub digest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CustomerCostKind {
    Acquisition,
    Retention,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AdSpend<'a> {
    pub campaign_id: Cow<'a, str>,
    pub spend_id: Cow<'a, str>,
    pub occurred_at: Millis,
    pub amount: Micros,
    pub kind: SpendKind,
    pub channel: Option<Cow<'a, str>>,
    pub digest: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpendKind {
    #[default]
    Media,
    Fee,
    Creative,
    Other,
}

/// A platform's current total of one cell: campaign, date, breakdown, kind.
#[derive(Clone, Debug, PartialEq)]
pub struct AdSpendReport<'a> {
    pub campaign_id: Cow<'a, str>,
    /// In the reporting time zone.
    pub date: Date,
    pub breakdown: Option<Cow<'a, str>>,
    pub kind: SpendKind,
    /// Of two reports of a cell the later wins.
    pub reported_at: Millis,
    pub amount: Micros,
    pub channel: Option<Cow<'a, str>>,
    pub impressions: Option<i64>,
    pub clicks: Option<i64>,
    pub reported_conversions: Option<Micros>,
    pub reported_revenue: Option<Micros>,
    pub campaign_name: Option<Cow<'a, str>>,
    pub platform: Option<Cow<'a, str>>,
    pub objective: Option<Cow<'a, str>>,
    pub digest: u64,
}

/// Why an event can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// Names the field and says what was expected.
    pub detail: String,
}

/// The codes under which rejections are written and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    Empty,
    TooLarge,
    InvalidJson,
    NotAnObject,
    UnknownType,
    MissingField,
    InvalidField,
    InvalidId,
    InvalidMoney,
    InvalidTime,
    InvalidCurrency,
    NoExchangeRate,
    NegativeRevenue,
    InTheFuture,
    TooLate,
}

impl Reason {
    pub const ALL: [Reason; 15] = [
        Reason::Empty,
        Reason::TooLarge,
        Reason::InvalidJson,
        Reason::NotAnObject,
        Reason::UnknownType,
        Reason::MissingField,
        Reason::InvalidField,
        Reason::InvalidId,
        Reason::InvalidMoney,
        Reason::InvalidTime,
        Reason::InvalidCurrency,
        Reason::NoExchangeRate,
        Reason::NegativeRevenue,
        Reason::InTheFuture,
        Reason::TooLate,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::InvalidJson => "invalid_json",
            Reason::NotAnObject => "not_an_object",
            Reason::UnknownType => "unknown_type",
            Reason::MissingField => "missing_field",
            Reason::InvalidField => "invalid_field",
            Reason::InvalidId => "invalid_id",
            Reason::InvalidMoney => "invalid_money",
            Reason::InvalidTime => "invalid_time",
            Reason::InvalidCurrency => "invalid_currency",
            Reason::NoExchangeRate => "no_exchange_rate",
            Reason::NegativeRevenue => "negative_revenue",
            Reason::InTheFuture => "in_the_future",
            Reason::TooLate => "too_late",
        }
    }
}
