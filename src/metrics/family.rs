//! A family of gauges whose series are made anew for each scrape, so that what is gone from the state is gone here.

use std::collections::HashMap;

use prometheus::Error;
use prometheus::core::Desc;
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Name, help and labels of a family.
#[derive(Debug)]
pub struct Family {
    pub desc: Desc,
    labels: &'static [&'static str],
}

impl Family {
    /// Without a series yet.
    ///
    /// # Errors
    /// Prometheus takes no such name or label.
    pub fn new(name: &str, help: &str, labels: &'static [&'static str]) -> Result<Family, Error> {
        let names = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), names, HashMap::new())?;
        Ok(Family { desc, labels })
    }

    /// One series. `values` are those of the labels, in their order.
    pub fn series(&self, values: &[&str], value: f64) -> Metric {
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(self.labels.iter().zip(values).map(pair).collect());
        metric.set_gauge(gauge);
        metric
    }

    pub fn of(&self, series: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(series);
        family
    }
}
