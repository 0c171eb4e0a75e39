//! The figures of one campaign in one window.

use num_rational::BigRational;
use serde_json::{Value, json};

use super::calendar::{Calendar, moment};
use super::campaigns::Campaign;
use super::exact::{self, MILLION};
use super::orders::Sums;
use super::undefined::Undefined;
use super::{Config, Profit, verdict};

pub struct Window {
    pub name: String,
    /// From its first moment to before its last; none: all time.
    pub bounds: Option<(i64, i64)>,
    spend: i128,
    pub invested: i128,
    pub attributed: Sums,
    /// In millionths.
    orders: i128,
    /// When each was acquired.
    pub new_customers: Vec<i64>,
    acquired: Sums,
    acquisition_order_revenue: i128,
    impressions: i128,
    clicks: i128,
    reported_revenue: Option<i128>,
    pub value: Option<i128>,
    pub verdict: &'static str,
}

impl Window {
    pub fn of(campaign: &Campaign, name: &str, config: &Config, calendar: &Calendar, as_of: i64) -> Window {
        let bounds = calendar.window(name, as_of);
        let within = |at: i64| bounds.is_none_or(|(from, to)| from <= at && at < to);
        let bookings: Vec<_> = campaign.spend.iter().filter(|booking| within(booking.at)).collect();
        let shares: Vec<_> = campaign.shares.iter().filter(|share| within(share.at)).collect();
        let customers: Vec<_> = campaign.acquired.iter().filter(|customer| within(customer.at)).collect();

        let all_spend: i128 = bookings.iter().map(|booking| booking.amount).sum();
        let acquired = Sums::of(customers.iter().map(|customer| customer.sums));
        let others = Sums::of(shares.iter().filter(|share| !share.of_own_customer).map(|share| share.sums));
        let of_acquisitions = shares.iter().filter(|share| share.of_acquisition);
        let mut window = Window {
            name: name.to_owned(),
            bounds,
            spend: bookings.iter().filter(|booking| booking.media).map(|booking| booking.amount).sum(),
            invested: all_spend + customers.iter().map(|customer| customer.acquisition_cost).sum::<i128>(),
            attributed: Sums::of(shares.iter().map(|share| share.sums)),
            orders: shares.iter().map(|share| share.orders).sum(),
            new_customers: customers.iter().map(|customer| customer.at).collect(),
            acquired,
            acquisition_order_revenue: of_acquisitions.map(|share| share.sums.revenue).sum(),
            impressions: bookings.iter().map(|booking| booking.impressions).sum(),
            clicks: bookings.iter().map(|booking| booking.clicks).sum(),
            reported_revenue: bookings.iter().filter_map(|booking| booking.reported_revenue).reduce(|a, b| a + b),
            value: Sums::of([acquired, others]).profit(config.profit, config),
            verdict: "",
        };
        window.verdict = verdict::of(&window, campaign.spend_through, config, calendar, as_of);
        window
    }

    pub fn record(&self, config: &Config) -> Value {
        let spend = self.spend;
        let gross_profit = self.attributed.profit(Profit::Gross, config);
        let operating_profit = self.attributed.profit(Profit::Operating, config);
        let acquired_gross_profit = self.acquired.profit(Profit::Gross, config);
        let acquired_operating_profit = self.acquired.profit(Profit::Operating, config);
        let new_customers = self.new_customers.len() as i128;
        let orders = i64::try_from(self.orders).expect("a count");

        let mut undefined = Undefined::default();
        let mut figure = |name: &str, value: Result<Value, &str>| undefined.figure(name, value);
        let known = |profit: Option<i128>| profit.ok_or("unknown_cost");
        let written = |profit: Option<i128>| known(profit).map(exact::money);
        let per_spend = |part: Result<i128, &'static str>| {
            if spend == 0 { Err("no_spend") } else { part.map(|part| exact::ratio(&exact::fraction(part, spend))) }
        };
        // Money / count, to the micro-unit.
        let each = |amount: i128, count: BigRational, reason: &'static str| {
            let none = count == exact::whole(0);
            if none { Err(reason) } else { Ok(exact::money(exact::half_even(&(exact::whole(amount) / count)))) }
        };
        let roi = match gross_profit {
            _ if self.invested == 0 => Err("no_spend"),
            None => Err("unknown_cost"),
            Some(profit) => Ok(exact::ratio(&exact::fraction(profit - self.invested, self.invested))),
        };
        let ctr = if self.impressions == 0 {
            Err("no_impressions")
        } else {
            Ok(exact::ratio(&exact::fraction(self.clicks, self.impressions)))
        };

        let record = json!({
            "from": self.bounds.map(|(from, _)| moment(from)),
            "to": self.bounds.map(|(_, to)| moment(to)),
            "spend": exact::money(spend),
            "invested": exact::money(self.invested),
            "revenue": exact::money(self.attributed.revenue),
            "gross_profit": figure("gross_profit", written(gross_profit)),
            "operating_profit": figure("operating_profit", written(operating_profit)),
            "cost_coverage": self.attributed.cost_coverage(),
            "orders": exact::count(orders),
            "new_customers": self.new_customers.len(),
            "acquired_ltv": exact::money(self.acquired.revenue),
            "acquired_gross_profit_ltv": figure("acquired_gross_profit_ltv", written(acquired_gross_profit)),
            "acquired_operating_profit_ltv":
                figure("acquired_operating_profit_ltv", written(acquired_operating_profit)),
            "acquired_cost_coverage": self.acquired.cost_coverage(),
            "value": figure("value", written(self.value)),
            "roas": figure("roas", per_spend(Ok(self.attributed.revenue))),
            "gross_profit_roas": figure("gross_profit_roas", per_spend(known(gross_profit))),
            "operating_profit_roas": figure("operating_profit_roas", per_spend(known(operating_profit))),
            "roi": figure("roi", roi),
            "ltv_roas": figure("ltv_roas", per_spend(Ok(self.acquired.revenue))),
            "ltv_gross_profit_roas": figure("ltv_gross_profit_roas", per_spend(known(acquired_gross_profit))),
            "new_customer_roas": figure("new_customer_roas", per_spend(Ok(self.acquisition_order_revenue))),
            "cac": figure("cac", each(spend, exact::whole(new_customers), "no_new_customers")),
            "cac_loaded": figure("cac_loaded", each(self.invested, exact::whole(new_customers), "no_new_customers")),
            "cost_per_order":
                figure("cost_per_order", each(spend, exact::fraction(orders, MILLION), "no_orders")),
            "impressions": exact::integer(self.impressions),
            "clicks": exact::integer(self.clicks),
            "cost_per_click": figure("cost_per_click", each(spend, exact::whole(self.clicks), "no_clicks")),
            "ctr": figure("ctr", ctr),
            "cpm": figure("cpm", each(spend * 1_000, exact::whole(self.impressions), "no_impressions")),
            "platform_roas": figure("platform_roas", per_spend(self.reported_revenue.ok_or("not_reported"))),
            "verdict": self.verdict,
        });
        undefined.put_into(record)
    }
}
