//! Routing: where the events of a record go. A record is taken whole or not at all.
//!
//! An event is applied where it was read if this worker holds its home at that moment, and else forwarded there. Whether all
//! of a record's events can be taken is found out before the first of them is: those that are at home here are held against
//! the state, and those that are not against what can be forwarded. What another home finds is another matter: it knows
//! alone up to when it has compacted history, so an event that is too late there becomes a dead letter of its own, while
//! the rest of its record stands.

use smallvec::SmallVec;

use crate::engine::{Stage, StageKind};
use crate::events::{Event, Home, Rejection};
use crate::home::home;
use crate::kafka::changelog::partition::Partitions;

/// Where an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is at home in a partition of this worker.
    Here(u32),
    /// It is to be forwarded to this partition of a stage.
    Away(StageKind, u32),
}

/// How many homes there are: partitions of the customers' and of the campaigns' internal topic.
#[derive(Clone, Copy, Debug)]
pub struct Homes {
    /// Of customers.
    pub customers: u32,
    /// Of campaigns.
    pub campaigns: u32,
}

impl Homes {
    /// The stage and partition in which an event is at home.
    pub fn of(self, event: &Event<'_>) -> (StageKind, u32) {
        match event.home() {
            Home::Customer(id) => (StageKind::Customers, home(id, self.customers)),
            Home::Campaign(id) => (StageKind::Campaigns, home(id, self.campaigns)),
        }
    }

    fn route<S: Stage>(self, event: &Event<'_>, partitions: &Partitions<S>) -> Route {
        let (stage, partition) = self.of(event);
        let is_here = stage == S::KIND && partitions.get(partition).is_some();
        if is_here { Route::Here(partition) } else { Route::Away(stage, partition) }
    }

    /// The routes of a record's events. `may_leave` says of the one at an index whether it can be forwarded.
    ///
    /// A single event that is at home here is not held against the state: whether it is refused shows when it is applied, and
    /// then there is nothing to undo.
    ///
    /// # Errors
    /// Why one of them can't be taken.
    pub fn routes<S: Stage>(
        self,
        events: &[Event<'_>],
        partitions: &Partitions<S>,
        may_leave: impl Fn(usize) -> Result<(), Rejection>,
    ) -> Result<SmallVec<[Route; 1]>, Rejection> {
        let route = |(index, event): (usize, &Event<'_>)| {
            let route = self.route(event, partitions);
            let checked = match route {
                Route::Here(_) if events.len() == 1 => Ok(()),
                Route::Here(number) => partitions.get(number).map_or(Ok(()), |home| home.stage.check(event)),
                Route::Away(..) => may_leave(index),
            };
            checked.map(|()| route).map_err(|rejection| rejection.of_one_event(index, events.len()))
        };
        events.iter().enumerate().map(route).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::customers::Customers;
    use crate::engine::{Effects, Outcome};
    use crate::events::{Decoder, Events, Format, Reason, Record, Source, Texts};
    use crate::settings::Settings;
    use crate::time::Millis;

    const HOMES: Homes = Homes { customers: 4, campaigns: 4 };
    const NOW: Millis = Millis(20_000 * Millis::DAY);

    struct Nowhere;

    impl Effects for Nowhere {
        fn fact(&mut self, _: &[u8], _: Option<&[u8]>) {}
        fn update(&mut self, _: &str, _: Option<&[u8]>) {}
        fn differences(&mut self, _: u32, _: &[u8]) {}
    }

    /// A worker of customers that holds the home of `c` and has compacted what is older than 400 days.
    fn partitions(settings: &Arc<Settings>) -> Partitions<Customers> {
        let mut partitions: Partitions<Customers> = Partitions::default();
        let number = home("c", HOMES.customers);
        partitions.retain_and_add(&[number], settings);
        let stage = &mut partitions.get_mut(number).unwrap().stage;
        for day in [-7, -6, -1, 0] {
            stage.flush(NOW.plus(day * Millis::DAY), &mut Nowhere);
        }
        partitions
    }

    fn settings() -> Arc<Settings> {
        let mut settings = Settings::default();
        settings.retention.orders_days = Some(400);
        Arc::new(settings)
    }

    fn texts(events: &[String]) -> Texts<'static> {
        let record = events.join(" | ");
        let texts = Source { format: Format::Several }.texts(&Record::of_value("orders", record.as_bytes())).unwrap();
        texts.into_iter().map(|text| text.into_owned().into()).collect()
    }

    fn order(customer: &str, id: u32, days_ago: i64) -> String {
        let at = NOW.0 - days_ago * Millis::DAY;
        format!(
            r#"{{"type":"purchase","customer_id":"{customer}","order_id":{id},"occurred_at":{at},"revenue":1,"offer":"{}"}}"#,
            "x".repeat(id as usize)
        )
    }

    fn spend() -> String {
        format!(r#"{{"type":"ad_spend","campaign_id":"g","spend_id":1,"occurred_at":{},"amount":1}}"#, NOW.0)
    }

    fn routes(events: &[String]) -> Result<Vec<Route>, Rejection> {
        let (settings, texts) = (settings(), texts(events));
        let events: Events<'_> = Decoder::new(&settings).events(&texts, NOW).unwrap();
        let may_leave = |index: usize| match texts[index].len() {
            0..150 => Ok(()),
            _ => Err(Rejection { reason: Reason::TooLarge, detail: "too long".to_owned() }),
        };
        HOMES.routes(&events, &partitions(&settings), may_leave).map(SmallVec::into_vec)
    }

    #[test]
    fn each_event_of_a_record_goes_to_its_own_home() {
        let elsewhere = (0..).map(|n| n.to_string()).find(|id| home(id, 4) != home("c", 4)).unwrap();
        let found = routes(&[order("c", 1, 0), spend(), order(&elsewhere, 2, 0), order("c", 3, 399)]);
        let here = Route::Here(home("c", 4));
        let away = Route::Away(StageKind::Customers, home(&elsewhere, 4));
        assert_eq!(found.unwrap(), [here, Route::Away(StageKind::Campaigns, home("g", 4)), away, here]);
        assert_eq!(routes(&["-".to_owned()]).unwrap(), []);
    }

    #[test]
    fn if_one_event_of_a_record_can_not_be_taken_none_is() {
        let refused = |events: &[String]| routes(events).unwrap_err().to_string();
        let too_late = refused(&[order("c", 1, 0), order("c", 2, 500), spend()]);
        assert!(too_late.starts_with("too_late: event 2 of 3: occurred_at: "), "{too_late}");
        let elsewhere = (0..).map(|n| n.to_string()).find(|id| home(id, 4) != home("c", 4)).unwrap();
        assert_eq!(refused(&[order("c", 1, 0), order(&elsewhere, 99, 0)]), "too_large: event 2 of 2: too long");
        // One alone says so when it is applied, and names no others.
        assert_eq!(refused(&[order(&elsewhere, 99, 0)]), "too_large: too long");
        assert_eq!(routes(&[order("c", 1, 500)]).unwrap(), [Route::Here(home("c", 4))]);
    }

    #[test]
    fn what_is_routed_here_is_taken() {
        let (settings, texts) = (settings(), texts(&[order("c", 1, 0), order("c", 1, 300), order("c", 2, 399)]));
        let mut partitions = partitions(&settings);
        let events = Decoder::new(&settings).events(&texts, NOW).unwrap();
        let routes = HOMES.routes(&events, &partitions, |_| Ok(())).unwrap();
        let taken = events.iter().zip(routes).map(|(event, route)| {
            let Route::Here(number) = route else { panic!("{route:?}") };
            partitions.get_mut(number).unwrap().stage.apply(event, &mut Nowhere)
        });
        assert_eq!(taken.collect::<Vec<_>>(), [Ok(Outcome::Applied), Ok(Outcome::Superseded), Ok(Outcome::Applied)]);
    }
}
