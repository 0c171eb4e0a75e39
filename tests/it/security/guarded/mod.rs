//! A Kafka with TLS, client certificates, SCRAM and an authorizer. All of it runs in a process of its own.
//!
//! | listener | asks for |
//! | --- | --- |
//! | `TLS` | nothing; shows its certificate |
//! | `MUTUAL` | a certificate, whose common name is the user |
//! | `SCRAM` | a name and a password, under TLS |

mod acls;
mod certificates;
mod least_privilege;
mod refusals;
mod ways;

use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, RwLock};

use self::certificates::Authority;
use crate::broker::{self, Guards};

/// What picks these tests out of all.
pub fn filter() -> &'static str {
    module_path!().split_once("::").expect("a module of a crate").1
}

/// Users to whom nothing is forbidden: that of the plain listener, which the tests themselves use, and two more.
const SUPER_USERS: &str = "User:ANONYMOUS;User:shop;User:rotating";
const PASSWORD: &str = "correct-horse-battery-staple";

/// Held for writing by a test that restarts the broker, or stops it for a while.
static BROKER_IS_UP: RwLock<()> = RwLock::new(());

/// Certificates, where clients find them.
struct Files {
    folder: PathBuf,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let folder = tempfile::Builder::new().prefix("certificates").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.expect("a folder");
    let files = Files { folder: folder.path().to_owned() };
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    files.write("ca.pem", &ours.certificate());
    files.write("other-ca.pem", &others.certificate());
    // Of the address alone: `localhost` is another host.
    files.write("broker.pem", &ours.issue("broker", &["127.0.0.1"]));
    for user in ["shop", "topics"] {
        files.write(&format!("{user}.pem"), &ours.issue(user, &[]));
    }
    files.write("impostor.pem", &others.issue("shop", &[]));
    broker::guard_with(|| {
        let property = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Guards {
            listeners: vec![("TLS", "SSL"), ("MUTUAL", "SSL"), ("SCRAM", "SASL_SSL")],
            properties: vec![
                property("ssl.keystore.type", "PEM"),
                property("ssl.keystore.location", &files.path("broker.pem")),
                property("ssl.truststore.type", "PEM"),
                property("ssl.truststore.location", &files.path("ca.pem")),
                property("ssl.principal.mapping.rules", "RULE:^CN=(.*?)$/$1/"),
                property("listener.name.mutual.ssl.client.auth", "required"),
                property("listener.name.scram.sasl.enabled.mechanisms", "SCRAM-SHA-512"),
                property(
                    "listener.name.scram.scram-sha-512.sasl.jaas.config",
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                ),
                property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
                property("super.users", SUPER_USERS),
            ],
            files: folder,
        }
    });
    files
});

impl Files {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a certificate can be written");
    }
}

/// How a client comes to a listener, as variables of its environment.
struct Client(Vec<(String, String)>);

impl Client {
    fn of(listener: &str, protocol: &str) -> Client {
        let files = &*FILES;
        let client = Client(vec![("PAYBACK_KAFKA__BROKERS".to_owned(), broker::guarded(listener).to_owned())]);
        client.with("security.protocol", protocol).with("ssl.ca.location", &files.path("ca.pem"))
    }

    /// By TLS, without saying who it is.
    fn anonymous() -> Client {
        Client::of("TLS", "SSL")
    }

    /// By a certificate and its key, which are in one file.
    fn certified(file: &str) -> Client {
        let file = FILES.path(file);
        Client::of("MUTUAL", "SSL").with("ssl.certificate.location", &file).with("ssl.key.location", &file)
    }

    fn with_password(user: &str, password: &str) -> Client {
        Client::of("SCRAM", "SASL_SSL")
            .with("sasl.mechanism", "SCRAM-SHA-512")
            .with("sasl.username", user)
            .with("sasl.password", password)
    }

    fn with(mut self, property: &str, value: &str) -> Client {
        let name = property.replace('.', "_").to_uppercase();
        self.0.push((format!("PAYBACK_KAFKA__PROPERTIES__{name}"), value.to_owned()));
        self
    }

    fn and(mut self, variable: &str, value: &str) -> Client {
        self.0.push((variable.to_owned(), value.to_owned()));
        self
    }
}

/// Gives a user of the `SCRAM` listener a password, the first or another.
fn set_password(user: &str, password: &str) {
    LazyLock::force(&FILES);
    let config = format!("SCRAM-SHA-512=[iterations=4096,password={password}]");
    broker::configure(&["--entity-type", "users", "--entity-name", user, "--add-config", &config]);
}
