//! Reads events from JSON by the contract's rules, or says why one can't be used.

use jiff::civil::Date;
use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::Config;
use super::calendar::{Calendar, HOUR};
use super::events::{Event, Micros, Purchase, Report, Touchpoint};
use super::exact::{self, MILLION};
use super::json::{Fields, Reason};

const MOST: Micros = 9_000_000_000_000 * MILLION;
/// The first and the last millisecond of the years 0000 to 9999.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;
const GUARD: i64 = 5 * 60_000;

pub fn event(record: &[u8], config: &Config) -> Result<Event, Reason> {
    let fields = Reader { fields: &Fields::of_record(record)?, config };
    match fields.text("type")?.ok_or("missing_field")?.as_str() {
        "purchase" => fields.purchase().map(Event::Purchase),
        "refund" => fields.refund(),
        "cancellation" => fields.cancellation(),
        "customer_cost" => fields.customer_cost(),
        "ad_spend" => fields.ad_spend(),
        "ad_spend_report" => fields.report().map(Event::Report),
        _ => Err("unknown_type"),
    }
}

struct Reader<'a> {
    fields: &'a Fields,
    config: &'a Config,
}

impl Reader<'_> {
    fn purchase(&self) -> Result<Purchase, Reason> {
        let (customer, order) = (self.id("customer_id")?, self.id("order_id")?);
        let at = self.past_time("occurred_at")?.ok_or("missing_field")?;
        let updated_at = self.past_time("updated_at")?.unwrap_or(at);
        self.currency()?;
        self.text("offer")?;
        self.text("shop")?;
        let discount = self.money("discount")?.unwrap_or(0);
        let (stated, stated_cost) = (self.money("revenue")?, self.money("cost_of_goods")?);

        let items = self.fields.objects("items", 1_000)?.unwrap_or_default();
        let (mut quantities, mut prices, mut costs) = (0, BigInt::ZERO, Some(BigInt::ZERO));
        let mut skus = Vec::new();
        for item in items.iter().map(|fields| Reader { fields, config: self.config }) {
            skus.push(item.id("sku")?);
            let quantity = item.integer("quantity", 1..=1_000_000_000)?.ok_or("missing_field")?;
            quantities += quantity;
            prices += BigInt::from(quantity) * item.money("unit_price")?.ok_or("missing_field")?;
            let cost = item.money("unit_cost")?.map(|cost| BigInt::from(quantity) * cost);
            costs = costs.zip(cost).map(|(sum, cost)| sum + cost);
            item.text("category")?;
        }
        let revenue = match stated {
            Some(revenue) => revenue,
            None if items.is_empty() => return Err("missing_field"),
            None if prices < BigInt::from(discount) => return Err("negative_revenue"),
            None => at_most(prices - discount)?,
        };
        let cost_of_goods = match (stated_cost, costs) {
            (Some(cost), _) => Some(cost),
            (None, Some(sum)) if !items.is_empty() => Some(at_most(sum)?),
            _ => self.config.default_margin.map(|margin| {
                let estimate = exact::fraction(revenue, 1) * exact::fraction(MILLION - margin, MILLION);
                exact::half_even(&estimate).to_i64().expect("at most the revenue")
            }),
        };

        let mut touchpoints = Vec::new();
        for touchpoint in self.fields.objects("touchpoints", 100)?.unwrap_or_default() {
            let touchpoint = Reader { fields: &touchpoint, config: self.config };
            touchpoints.push(Touchpoint {
                at: touchpoint.time("at")?.ok_or("missing_field")?,
                campaign: touchpoint.optional_id("campaign_id")?,
                channel: touchpoint.text("channel")?,
            });
        }
        touchpoints.sort_by_key(|touchpoint| touchpoint.at);
        touchpoints.retain(|touchpoint| touchpoint.at <= at);
        let (campaign, channel) = (self.optional_id("campaign_id")?, self.text("channel")?);
        if campaign.is_some() || channel.is_some() {
            touchpoints.push(Touchpoint { at, campaign, channel });
        }

        Ok(Purchase {
            customer,
            order,
            at,
            updated_at,
            revenue,
            cost_of_goods,
            operating_cost: self.money("operating_cost")?.unwrap_or(0),
            items: quantities,
            first_sku: skus.into_iter().next(),
            customer_since: self.time("customer_since")?,
            touchpoints,
        })
    }

    fn refund(&self) -> Result<Event, Reason> {
        self.currency()?;
        let amount = self.money("amount")?.ok_or("missing_field")?;
        if amount == 0 {
            return Err("invalid_money");
        }
        Ok(Event::Refund {
            customer: self.id("customer_id")?,
            order: self.id("order_id")?,
            refund: self.id("refund_id")?,
            at: self.past_time("occurred_at")?.ok_or("missing_field")?,
            amount,
            cost_recovered: self.money("cost_recovered")?.unwrap_or(0),
        })
    }

    fn cancellation(&self) -> Result<Event, Reason> {
        Ok(Event::Cancellation {
            customer: self.id("customer_id")?,
            order: self.id("order_id")?,
            at: self.past_time("occurred_at")?.ok_or("missing_field")?,
        })
    }

    fn customer_cost(&self) -> Result<Event, Reason> {
        self.currency()?;
        let kind = self.one_of("kind", &["acquisition", "retention"])?.ok_or("missing_field")?;
        Ok(Event::CustomerCost {
            customer: self.id("customer_id")?,
            cost: self.id("cost_id")?,
            at: self.past_time("occurred_at")?.ok_or("missing_field")?,
            amount: self.money("amount")?.ok_or("missing_field")?,
            acquisition: kind == "acquisition",
            channel: self.text("channel")?,
        })
    }

    fn ad_spend(&self) -> Result<Event, Reason> {
        self.currency()?;
        Ok(Event::AdSpend {
            campaign: self.id("campaign_id")?,
            spend: self.id("spend_id")?,
            at: self.past_time("occurred_at")?.ok_or("missing_field")?,
            amount: self.money("amount")?.ok_or("missing_field")?,
            kind: self.spend_kind()?,
            channel: self.text("channel")?,
        })
    }

    fn report(&self) -> Result<Report, Reason> {
        self.currency()?;
        self.money("reported_conversions")?;
        let report = Report {
            campaign: self.id("campaign_id")?,
            date: self.date("date")?,
            breakdown: self.text("breakdown")?,
            kind: self.spend_kind()?,
            reported_at: self.past_time("reported_at")?.ok_or("missing_field")?,
            amount: self.money("amount")?.ok_or("missing_field")?,
            channel: self.text("channel")?,
            impressions: self.integer("impressions", 0..=i64::MAX)?.unwrap_or(0),
            clicks: self.integer("clicks", 0..=i64::MAX)?.unwrap_or(0),
            reported_revenue: self.money("reported_revenue")?,
            name: self.text("campaign_name")?,
            platform: self.text("platform")?,
            objective: self.text("objective")?,
        };
        let begins = Calendar::of(&self.config.zone).start_of(report.date, 0);
        if begins - report.reported_at > 14 * HOUR { Err("in_the_future") } else { Ok(report) }
    }

    fn spend_kind(&self) -> Result<String, Reason> {
        let kind = self.one_of("kind", &["media", "fee", "creative", "other"])?;
        Ok(kind.unwrap_or_else(|| "media".to_owned()))
    }

    fn one_of(&self, name: &str, values: &[&str]) -> Result<Option<String>, Reason> {
        let text = self.text(name)?;
        if text.as_deref().is_none_or(|text| values.contains(&text)) { Ok(text) } else { Err("invalid_field") }
    }

    fn text(&self, name: &str) -> Result<Option<String>, Reason> {
        match self.fields.string(name) {
            None => Ok(None),
            Some(Ok(text)) if text.len() <= 256 => Ok(Some(text)),
            Some(_) => Err("invalid_field"),
        }
    }

    fn id(&self, name: &str) -> Result<String, Reason> {
        self.optional_id(name)?.ok_or("missing_field")
    }

    fn optional_id(&self, name: &str) -> Result<Option<String>, Reason> {
        let Some(raw) = self.fields.raw(name) else { return Ok(None) };
        let id = match self.fields.string(name) {
            Some(Ok(text)) => text,
            _ if raw == "-0" => "0".to_owned(),
            _ if raw.strip_prefix('-').unwrap_or(raw).bytes().all(|b| b.is_ascii_digit()) => raw.to_owned(),
            _ => return Err("invalid_id"),
        };
        if id.is_empty() || id.len() > 256 { Err("invalid_id") } else { Ok(Some(id)) }
    }

    fn integer(&self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, Reason> {
        let Some(raw) = self.fields.raw(name) else { return Ok(None) };
        let number = raw.parse().map_err(|_| "invalid_field")?;
        if range.contains(&number) { Ok(Some(number)) } else { Err("invalid_field") }
    }

    fn money(&self, name: &str) -> Result<Option<Micros>, Reason> {
        let Some(raw) = self.fields.raw(name) else { return Ok(None) };
        let text = match self.fields.string(name) {
            Some(Ok(text)) => text,
            _ => raw.to_owned(),
        };
        let number = exact::decimal(&text).ok_or("invalid_money")?;
        if number < exact::whole(0) || number > exact::whole(MOST / MILLION) {
            return Err("invalid_money");
        }
        at_most(exact::half_even(&(number * exact::whole(MILLION)))).map(Some)
    }

    fn currency(&self) -> Result<(), Reason> {
        match self.fields.string("currency") {
            None => Ok(()),
            Some(Ok(code)) if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) => {
                if code == self.config.currency { Ok(()) } else { Err("no_exchange_rate") }
            }
            Some(_) => Err("invalid_currency"),
        }
    }

    fn time(&self, name: &str) -> Result<Option<i64>, Reason> {
        let Some(raw) = self.fields.raw(name) else { return Ok(None) };
        let moment = match self.fields.string(name) {
            Some(Ok(text)) => rfc_3339(&text),
            _ => raw.parse().ok(),
        };
        // The years that RFC 3339 can write.
        moment.filter(|at| (FIRST..=LAST).contains(at)).map(Some).ok_or("invalid_time")
    }

    fn past_time(&self, name: &str) -> Result<Option<i64>, Reason> {
        let at = self.time(name)?;
        let ahead = at.zip(self.config.clock).is_some_and(|(at, clock)| at > clock + GUARD);
        if ahead { Err("in_the_future") } else { Ok(at) }
    }

    fn date(&self, name: &str) -> Result<Date, Reason> {
        let text = self.fields.string(name).ok_or("missing_field")?.map_err(|()| "invalid_time")?;
        ten_digits_of_date(&text).ok_or("invalid_time")
    }
}

fn at_most(micros: BigInt) -> Result<Micros, Reason> {
    micros.to_i64().filter(|&micros| micros <= MOST).ok_or("invalid_money")
}

/// `YYYY-MM-DD`, and nothing else.
fn ten_digits_of_date(text: &str) -> Option<Date> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    if shape == "9999-99-99" { text.parse().ok() } else { None }
}

/// Milliseconds since the epoch; what is finer is cut off.
fn rfc_3339(text: &str) -> Option<i64> {
    // RFC 3339, 5.6: "T" and "Z" may be lower case.
    let text = &text.to_ascii_uppercase();
    let date = ten_digits_of_date(text.get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix('T')?;
    let two = |from: usize| rest.get(from..from + 2).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let (hour, minute, second): (i64, i64, i64) = (two(0)?, two(3)?, two(6)?);
    if hour > 23 || minute > 59 || second > 60 || rest.get(2..3)? != ":" || rest.get(5..6)? != ":" {
        return None;
    }
    let (fraction, offset) = rest.get(8..)?.split_at_checked(rest.get(8..)?.find(['Z', '+', '-'])?)?;
    let millis: i64 = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{digits:0<3}").get(..3)?.parse().ok()?
        }
        _ => return None,
    };
    let offset_minutes = if offset == "Z" {
        0
    } else {
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let (hours, minutes) = offset.get(1..)?.split_once(':').filter(|(h, m)| digits(h) && digits(m))?;
        let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        (hours * 60 + minutes) * if offset.starts_with('-') { -1 } else { 1 }
    };
    // A leap second has no moment of its own: it is read as the one before.
    let second = second.min(59);
    let days = i64::from((date - jiff::civil::date(1970, 1, 1)).get_days());
    Some((((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1_000 + millis)
}

#[test]
fn moments_are_read_to_the_millisecond() {
    let table = [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("1970-01-01T09:00:00.1239+09:00", Some(123)),
        ("1969-12-31T23:59:59.9999Z", Some(-1)),
        ("2026-11-21T10:00:05.25-05:30", Some(1_795_275_005_250)),
        ("2026-02-29T00:00:00Z", None),
        ("2026-11-21T24:00:00Z", None),
        ("2026-11-21T10:00:05", None),
        ("2026-11-21 10:00:05Z", None),
        ("2026-11-21", None),
    ];
    for (text, expected) in table {
        assert_eq!(rfc_3339(text), expected, "{text}");
    }
}
