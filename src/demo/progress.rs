//! The picture of the demo until its history is in: figures of a part of it would only mislead.

use super::screen::Style;
use super::table::grouped;

/// How far the history is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub events: u64,
    /// From 0 to 1.
    pub share: f64,
}

/// Characters of the whole bar.
const WIDTH: usize = 50;

impl Progress {
    pub fn lines(&self, style: Style) -> Vec<String> {
        let done = (self.share * WIDTH as f64) as usize;
        let bar = "#".repeat(done.min(WIDTH)) + &"-".repeat(WIDTH.saturating_sub(done));
        let events = grouped(self.events as f64, 0);
        vec![
            "payback demo   counting the history: until it is in, no figure can be judged".to_owned(),
            String::new(),
            format!("[{}] {:>3.0} %   {events} events", style.bold(&bar), (self.share * 100.0).floor()),
            String::new(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_what_is_counted() {
        let bar = |share, events| Progress { events, share }.lines(Style::Plain)[2].clone();
        let (full, none) = ("#".repeat(50), "-".repeat(50));
        assert_eq!(bar(0.0, 0), format!("[{none}]   0 %   0 events"));
        assert_eq!(bar(0.409, 7_412), format!("[{}{}]  40 %   7,412 events", &full[..20], &none[20..]));
        assert_eq!(bar(1.0, 18_204), format!("[{full}] 100 %   18,204 events"));
    }
}
