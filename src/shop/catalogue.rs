//! What the made-up shop sells, and the campaigns that bring its customers. Amounts are cents of the reporting
//! currency; a campaign's place in the table is the order in which `--campaigns N` takes them.

#![expect(clippy::inconsistent_digit_grouping, reason = "an underscore stands before the cents")]

use super::wire::Cents;

/// One article.
#[derive(Debug)]
pub struct Product {
    pub sku: &'static str,
    pub category: &'static str,
    pub price: Cents,
    /// The shop doesn't know what everything costs it.
    pub cost: Option<Cents>,
    /// Most pieces in one order.
    pub most: u32,
}

const fn product(sku: &'static str, category: &'static str, price: i64, cost: Option<Cents>, most: u32) -> Product {
    Product { sku, category, price: Cents(price), cost, most }
}

const fn cents(amount: i64) -> Option<Cents> {
    Some(Cents(amount))
}

/// A roastery: coffee that is bought again and again, and hardware that is bought once.
pub const PRODUCTS: [Product; 10] = [
    product("beans-house-1kg", "coffee", 24_00, cents(9_10), 3),
    product("beans-single-origin", "coffee", 32_50, cents(13_40), 2),
    product("decaf-500g", "coffee", 16_90, cents(6_80), 2),
    product("capsules-50", "coffee", 21_00, cents(8_70), 3),
    product("filter-papers", "supplies", 8_50, cents(1_90), 4),
    product("tasting-note-book", "gifts", 12_00, None, 1),
    product("starter-box", "coffee", 29_00, cents(8_60), 1),
    product("kettle-gooseneck", "hardware", 79_00, cents(44_00), 1),
    product("grinder-burr", "hardware", 139_00, cents(99_00), 1),
    product("espresso-machine", "hardware", 449_00, cents(376_00), 1),
];

/// Articles by their place in [`PRODUCTS`], each with its weight.
pub type Basket = &'static [(usize, f64)];

pub const COFFEE: Basket = &[(0, 5.0), (1, 3.0), (2, 1.0), (3, 3.0), (4, 1.5), (5, 0.1)];
const STARTER: Basket = &[(6, 1.0)];
const HARDWARE: Basket = &[(7, 1.0), (8, 3.0), (9, 3.0)];
const GIFTS: Basket = &[(4, 1.0), (2, 2.0), (5, 0.05)];

/// How a campaign is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    /// The platform reports each ad group's total of a day several times, and restates it later.
    Reports(&'static [Option<&'static str>]),
    /// One amount a week.
    Weekly,
    /// One amount for each order that it brought.
    Commission,
}

/// What a campaign is, and how the customers whom it brings behave.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    pub id: &'static str,
    pub name: &'static str,
    pub platform: &'static str,
    pub channel: &'static str,
    pub objective: &'static str,
    pub billing: Billing,
    /// Weight of the new customers that it brings.
    pub new_customers: f64,
    /// Share of the shop's repeat orders whose last touchpoint it is.
    pub repeat_orders: f64,
    /// Media spend for one new customer.
    pub cost_of_customer: Cents,
    /// Media spend for one repeat order.
    pub cost_of_repeat: Cents,
    /// Agency's fee, as a share of media spend.
    pub fee: f64,
    /// What a new customer buys first, and the discount on it.
    pub first_basket: Basket,
    pub first_discount: Cents,
    /// Sent with the first order: an acquisition cost.
    pub welcome_gift: Cents,
    /// Chance that a customer orders once more after an order, and the mean days until then.
    pub stay: f64,
    pub gap_days: f64,
    /// Chance that an order is sent back, in part or as a whole.
    pub refund: f64,
    /// Revenue that the platform claims for each unit of it that is real.
    pub claim: f64,
    /// Share of its new customers that it still brings in the last [`Campaign::DOUBTED_DAYS`] of the history, and after:
    /// less where the shop has begun to doubt it.
    pub kept: f64,
    /// Days before the end of the history that it began; none: as old as the history.
    pub launched: Option<i64>,
}

impl Campaign {
    pub const DOUBTED_DAYS: i64 = 100;
}

const BASE: Campaign = Campaign {
    id: "",
    name: "",
    platform: "",
    channel: "",
    objective: "acquisition",
    billing: Billing::Reports(&[None]),
    new_customers: 1.0,
    repeat_orders: 0.0,
    cost_of_customer: Cents(0),
    cost_of_repeat: Cents(0),
    fee: 0.0,
    first_basket: COFFEE,
    first_discount: Cents(0),
    welcome_gift: Cents(0),
    stay: 0.5,
    gap_days: 24.0,
    refund: 0.04,
    claim: 1.3,
    kept: 1.0,
    launched: None,
};

/// The dozen. Costs are chosen so that each campaign's verdict is the one beside it, with room for chance.
pub const CAMPAIGNS: [Campaign; 12] = [
    // invest_for_ltv: a discounted starter box brings less than it costs; its customers stay.
    Campaign {
        id: "meta:starter-box",
        name: "Starter box",
        platform: "meta",
        channel: "social",
        billing: Billing::Reports(&[Some("lookalike"), Some("interest")]),
        new_customers: 14.0,
        cost_of_customer: Cents(23_00),
        first_basket: STARTER,
        first_discount: Cents(12_00),
        stay: 0.72,
        gap_days: 20.0,
        ..BASE
    },
    // loses_on_margin: expensive machines at a thin margin, bought once.
    Campaign {
        id: "google:shopping-machines",
        name: "Shopping: machines and grinders",
        platform: "google",
        channel: "shopping",
        new_customers: 9.0,
        cost_of_customer: Cents(128_00),
        first_basket: HARDWARE,
        stay: 0.12,
        gap_days: 40.0,
        refund: 0.07,
        kept: 0.15,
        ..BASE
    },
    // profitable: people who look for the shop by its name.
    Campaign {
        id: "google:brand",
        name: "Brand search",
        platform: "google",
        channel: "search",
        new_customers: 12.0,
        repeat_orders: 0.08,
        cost_of_customer: Cents(6_00),
        cost_of_repeat: Cents(2_50),
        claim: 1.1,
        ..BASE
    },
    // profitable.
    Campaign {
        id: "google:generic-coffee",
        name: "Coffee beans online",
        platform: "google",
        channel: "search",
        billing: Billing::Reports(&[Some("beans"), Some("capsules")]),
        new_customers: 15.0,
        repeat_orders: 0.02,
        cost_of_customer: Cents(14_50),
        cost_of_repeat: Cents(8_00),
        ..BASE
    },
    // deficit: views, few orders, and those small.
    Campaign {
        id: "tiktok:creators",
        name: "Creator clips",
        platform: "tiktok",
        channel: "video",
        fee: 0.08,
        new_customers: 10.0,
        cost_of_customer: Cents(54_00),
        first_basket: GIFTS,
        stay: 0.2,
        gap_days: 30.0,
        refund: 0.06,
        claim: 2.2,
        kept: 0.15,
        ..BASE
    },
    // too_early: launched five weeks ago.
    Campaign {
        id: "youtube:how-to-brew",
        name: "How to brew",
        platform: "google",
        channel: "video",
        new_customers: 12.0,
        cost_of_customer: Cents(56_00),
        stay: 0.6,
        gap_days: 22.0,
        claim: 1.6,
        launched: Some(35),
        ..BASE
    },
    // profitable: mostly customers who come back.
    Campaign {
        id: "meta:retargeting",
        name: "Come back",
        platform: "meta",
        channel: "social",
        objective: "retention",
        new_customers: 1.5,
        repeat_orders: 0.12,
        cost_of_customer: Cents(12_00),
        cost_of_repeat: Cents(11_00),
        claim: 2.0,
        ..BASE
    },
    // profitable: no media spend at all, but the tool has its price.
    Campaign {
        id: "email:newsletter",
        name: "Newsletter",
        platform: "email",
        channel: "email",
        objective: "retention",
        billing: Billing::Weekly,
        new_customers: 0.8,
        repeat_orders: 0.15,
        cost_of_customer: Cents(1_00),
        cost_of_repeat: Cents(60),
        ..BASE
    },
    // profitable: paid by the order.
    Campaign {
        id: "affiliate:roast-review",
        name: "Roast Review",
        platform: "affiliate",
        channel: "affiliate",
        billing: Billing::Commission,
        new_customers: 7.0,
        cost_of_customer: Cents(8_80),
        cost_of_repeat: Cents(8_80),
        repeat_orders: 0.02,
        ..BASE
    },
    // profitable: a coupon and a gift, an acquisition cost of each customer.
    Campaign {
        id: "line:friends-coupon",
        name: "Friends coupon",
        platform: "line",
        channel: "messaging",
        new_customers: 6.0,
        repeat_orders: 0.06,
        cost_of_customer: Cents(8_00),
        cost_of_repeat: Cents(4_50),
        first_discount: Cents(3_00),
        welcome_gift: Cents(2_50),
        ..BASE
    },
    // invest_for_ltv: over 100 % by revenue, under by profit, and its listeners stay.
    Campaign {
        id: "podcast:morning-show",
        name: "Morning show",
        platform: "podcast",
        channel: "audio",
        billing: Billing::Weekly,
        new_customers: 5.0,
        cost_of_customer: Cents(33_00),
        stay: 0.72,
        gap_days: 21.0,
        ..BASE
    },
    // profitable.
    Campaign {
        id: "bing:generic-coffee",
        name: "Coffee beans online",
        platform: "bing",
        channel: "search",
        new_customers: 4.0,
        repeat_orders: 0.01,
        cost_of_customer: Cents(13_00),
        cost_of_repeat: Cents(8_00),
        ..BASE
    },
];
