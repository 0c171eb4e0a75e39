//! What a worker holds of a partition, and what of that it keeps in the changelog itself, beside the stage's facts: how far
//! the partition has come ([`progress`]), the settings that give its facts their meaning ([`stored_settings`]), and which state it
//! is ([`birth`]).

pub mod birth;
pub mod epoch;
pub mod partition;
pub mod progress;
pub mod stored_settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_keeps_is_documented() {
        let page = include_str!("../../../docs/facts.md");
        let (_, section) = page.split_once("\n## What a worker knows of a partition\n").unwrap();
        for key in [birth::BIRTH_KEY, progress::PROGRESS_KEY, stored_settings::SETTINGS_KEY, epoch::EPOCH_KEY] {
            let key = str::from_utf8(key).unwrap();
            assert!(section.contains(&format!("\n| `{key}` |")), "{key}");
        }
    }
}
