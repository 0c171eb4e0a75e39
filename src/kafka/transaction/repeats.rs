//! How long librdkafka waits before it repeats a request by itself.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

/// Before it repeats a `TxnOffsetCommit`, whatever it is configured to.
const OFFSETS_REPEATED_AFTER: Duration = Duration::from_millis(500);

/// The least time after which it repeats a request: `retry.backoff.ms` less the fifth by which that is spread,
/// `retry.backoff.max.ms` where that is less, and never more than offsets are repeated after.
///
/// # Errors
/// librdkafka refuses the configuration.
pub fn repeated_after(config: &ClientConfig) -> Result<Duration, KafkaError> {
    // As librdkafka reads them, and with its own defaults. After what could not be read any request may be repeated.
    let read = config.create_native_config()?;
    let time =
        |name| -> Result<Duration, KafkaError> { Ok(Duration::from_millis(read.get(name)?.parse().unwrap_or(0))) };
    let of_most = (time("retry.backoff.ms")? * 4 / 5).min(time("retry.backoff.max.ms")?);
    Ok(of_most.min(OFFSETS_REPEATED_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::kafka::client::Clients;

    #[test]
    fn what_is_answered_sooner_was_not_repeated_by_librdkafka() {
        let millis_of = |properties: &[(&str, &str)]| {
            let mut config = Clients::new(&Config::default()).producer("id");
            for (name, value) in properties {
                config.set(*name, *value);
            }
            repeated_after(&config).unwrap().as_millis()
        };
        let cases: [(&[(&str, &str)], u128); 5] = [
            (&[], 200),
            (&[("retry.backoff.ms", "100")], 80),
            // It waits no longer than its other limit, which is 1 s unless it is given, and with offsets no longer than 500 ms.
            (&[("retry.backoff.ms", "5000")], 500),
            (&[("retry.backoff.max.ms", "50")], 50),
            // It reads numbers as C does: this is 168.
            (&[("retry.backoff.ms", "0250")], 134),
        ];
        for (properties, millis) in cases {
            assert_eq!(millis_of(properties), millis, "{properties:?}");
        }
    }
}
