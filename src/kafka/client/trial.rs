//! Clients that are made for a trial and let go of. Only so librdkafka says what this build of it lacks, that properties
//! contradict each other, or that a certificate is no certificate. Nothing is connected to.

use std::fs::File;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, NoCustomPartitioner, ProducerContext};

use super::settings::Clients;
use crate::config::{Config, ConfigError, Properties};

/// Makes a consumer and a producer as workers have them, and lets go of them.
///
/// # Errors
/// No client can be made with `kafka.properties`, and why.
pub fn try_out(config: &Config) -> Result<(), ConfigError> {
    let properties = &config.kafka.properties;
    let refused = |name: &str, problem: String| ConfigError::Key {
        key: if name.is_empty() { "kafka.properties".to_owned() } else { format!("kafka.properties.{name}") },
        problem,
        variable: None,
    };
    if mechanism(properties) == Some("OAUTHBEARER") && !has_tokens(properties) {
        return Err(refused(MECHANISM, NO_TOKENS.to_owned()));
    }
    let clients = Clients::new(config);
    let made = if is_oidc(properties) { make::<true>(&clients) } else { make::<false>(&clients) };
    made.map_err(|error| {
        let error = match error {
            KafkaError::ClientCreation(reason) => reason,
            other => other.to_string(),
        };
        if mechanism(properties) == Some(KERBEROS) && error.contains("No provider for SASL mechanism") {
            return refused(MECHANISM, NO_KERBEROS.to_owned());
        }
        match unreadable(properties) {
            Some((name, error)) => refused(name, format!("can't be read: {error}")),
            None => refused("", properties.without_values(&error)),
        }
    })
}

const MECHANISM: &str = "sasl.mechanism";
/// librdkafka's default.
const KERBEROS: &str = "GSSAPI";
const NO_KERBEROS: &str = "GSSAPI (Kerberos), which is librdkafka's own default, is not in this build: the container image has it, \
                           and so has a build with --features kerberos";
const NO_TOKENS: &str = "OAUTHBEARER has tokens only by sasl.oauthbearer.method = \"oidc\", from an identity provider";

/// The mechanism that is in effect, if there is to be one.
fn mechanism(properties: &Properties) -> Option<&str> {
    let protocol = properties.get("security.protocol")?;
    let given = properties.get(MECHANISM).or_else(|| properties.get("sasl.mechanisms"));
    protocol.to_ascii_uppercase().starts_with("SASL_").then(|| given.unwrap_or(KERBEROS))
}

fn is_oidc(properties: &Properties) -> bool {
    properties.get("sasl.oauthbearer.method").is_some_and(|method| method.eq_ignore_ascii_case("oidc"))
}

/// Whether anybody brings the tokens; those that are not signed are for trials.
fn has_tokens(properties: &Properties) -> bool {
    is_oidc(properties) || properties.get("enable.sasl.oauthbearer.unsecure.jwt").is_some_and(|on| on != "false")
}

/// The first file that is named and can't be opened. librdkafka only passes on what OpenSSL says, which is not clear.
fn unreadable(properties: &Properties) -> Option<(&str, std::io::Error)> {
    let files = properties.iter().filter(|(name, value)| name.ends_with(".location") && *value != "probe");
    files.filter_map(|(name, path)| File::open(path).err().map(|error| (name, error))).next()
}

fn make<const BRINGS_TOKENS: bool>(clients: &Clients) -> Result<(), KafkaError> {
    let consumer = unconnected(clients.member("trial", "trial"));
    consumer.create_with_context::<_, BaseConsumer<Trial<BRINGS_TOKENS>>>(Trial)?;
    let producer = unconnected(clients.producer("trial"));
    producer.create_with_context::<_, BaseProducer<Trial<BRINGS_TOKENS>>>(Trial)?;
    Ok(())
}

/// Without brokers, and without the command that gets a Kerberos ticket.
fn unconnected(mut config: ClientConfig) -> ClientConfig {
    config.remove("bootstrap.servers").set("sasl.kerberos.min.time.before.relogin", "0");
    config
}

/// Says nothing. One that `BRINGS_TOKENS` would be asked for them, if it were polled: so librdkafka does not go to the identity
/// provider by itself.
struct Trial<const BRINGS_TOKENS: bool>;

impl<const BRINGS_TOKENS: bool> ClientContext for Trial<BRINGS_TOKENS> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = BRINGS_TOKENS;

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }
}

impl<const BRINGS_TOKENS: bool> ConsumerContext for Trial<BRINGS_TOKENS> {}

impl<const BRINGS_TOKENS: bool> ProducerContext<NoCustomPartitioner> for Trial<BRINGS_TOKENS> {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(properties: &str) -> Result<(), String> {
        let config =
            Config::read(&format!("[kafka.properties]\n{properties}"), []).map_err(|error| error.to_string())?;
        try_out(&config).map_err(|error| error.to_string())
    }

    const PLAIN: &str = "security.protocol = \"SASL_SSL\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"shop\"\n";

    #[test]
    fn every_build_has_passwords() {
        tried("").unwrap();
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            tried(&format!("{}sasl.password = \"hunter2\"", PLAIN.replace("PLAIN", mechanism))).expect(mechanism);
        }
        let error = tried(PLAIN).unwrap_err();
        assert!(error.starts_with("kafka.properties: ") && error.contains("sasl.password"), "{error}");
        let error = tried(&PLAIN.replace("PLAIN", "NTLM")).unwrap_err();
        assert!(error.starts_with("kafka.properties: Unsupported SASL mechanism"), "{error}");
    }

    #[test]
    fn kerberos_is_in_builds_that_have_it() {
        for given in ["", "sasl.mechanism = \"GSSAPI\"", "sasl.mechanisms = \"GSSAPI\""] {
            let tried = tried(&format!("security.protocol = \"sasl_plaintext\"\n{given}"));
            if cfg!(feature = "kerberos") {
                tried.expect(given);
            } else {
                let error = tried.expect_err(given);
                assert!(error.starts_with("kafka.properties.sasl.mechanism: GSSAPI (Kerberos)"), "{error}");
                assert!(error.contains("--features kerberos"), "it says what to do: {error}");
            }
        }
        // Without SASL the default mechanism is nobody's business.
        tried("security.protocol = \"SSL\"").unwrap();
    }

    #[test]
    fn an_identity_provider_is_in_builds_that_have_it() {
        let bearer = "security.protocol = \"SASL_SSL\"\nsasl.mechanism = \"OAUTHBEARER\"\n";
        let error = tried(bearer).unwrap_err();
        assert!(error.starts_with("kafka.properties.sasl.mechanism: OAUTHBEARER has tokens only by"), "{error}");
        tried(&format!("{bearer}enable.sasl.oauthbearer.unsecure.jwt = true")).unwrap();

        let oidc = format!("{bearer}sasl.oauthbearer.method = \"oidc\"\n");
        let whole = "sasl.oauthbearer.client.id = \"payback\"\nsasl.oauthbearer.client.secret = \"hunter2\"\n\
                     sasl.oauthbearer.token.endpoint.url = \"https://127.0.0.1:1/token\"";
        let tried_oidc = tried(&format!("{oidc}{whole}"));
        if cfg!(feature = "oidc") {
            tried_oidc.unwrap();
            let error = tried(&oidc).unwrap_err();
            assert!(error.starts_with("kafka.properties: ") && error.contains("token.endpoint.url"), "{error}");
        } else {
            let error = tried_oidc.unwrap_err();
            assert!(error.starts_with("kafka.properties.sasl.oauthbearer."), "{error}");
            assert!(error.contains("not supported in this build") && error.contains("--features oidc"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_by_its_property_and_not_by_its_path() {
        for name in ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location"] {
            let error = tried(&format!("security.protocol = \"SSL\"\n{name} = \"/nowhere/hunter2\"")).unwrap_err();
            assert!(error.starts_with(&format!("kafka.properties.{name}: can't be read: No such file")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("hunter2");
        std::fs::write(&key, "no key").unwrap();
        let error = tried(&format!("security.protocol = \"SSL\"\nssl.key.location = {key:?}")).unwrap_err();
        assert!(error.starts_with("kafka.properties: ssl.key.location") && !error.contains("hunter2"), "{error}");
    }
}
