//! Settings by which others could read figures are refused, unless they are meant.

use std::process::{Command, Output};

fn payback(command: &str, variables: &[(&str, &str)]) -> Output {
    let mut payback = Command::new(env!("CARGO_BIN_EXE_payback"));
    payback
        .arg(command)
        .env("PAYBACK_KAFKA__APPLICATION_ID", "shop")
        .envs(variables.iter().copied())
        .output()
        .expect("the program runs")
}

#[test]
fn an_address_beyond_this_machine_is_refused_by_its_key() {
    for command in ["run", "check-config"] {
        let refused = payback(command, &[("PAYBACK_HTTP__LISTEN", "0.0.0.0:0")]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(
            said.starts_with("payback: http.listen (set by PAYBACK_HTTP__LISTEN): 0.0.0.0:0 can be reached"),
            "{said}"
        );
        assert!(
            said.contains("http.token_file") && said.contains("http.allow_anonymous"),
            "it says what to do: {said}"
        );
        assert!(refused.stdout.is_empty());
    }
    let allowed = [("PAYBACK_HTTP__TOKEN", "0123456789abcdef"), ("PAYBACK_HTTP__ALLOW_ANONYMOUS", "true")];
    for variable in allowed {
        let checked = payback("check-config", &[("PAYBACK_HTTP__LISTEN", "0.0.0.0:0"), variable]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn secrets_are_not_printed() {
    let secrets = [
        ("PAYBACK_HTTP__TOKEN", "zq7x-0123456789-abcdef"),
        ("PAYBACK_KAFKA__PROPERTIES__SASL_PASSWORD", "zq7x-password"),
        ("PAYBACK_KAFKA__PROPERTIES__SSL_KEY_PASSWORD", "zq7x-password"),
    ];
    let printed = payback("check-config", &secrets);
    assert!(printed.status.success());
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert_eq!(printed.matches("(hidden)").count(), secrets.len(), "{printed}");
    assert!(!printed.contains("zq7x"), "{printed}");

    let mistakes = [
        ("PAYBACK_HTTP__TOKEN", "zq7x"),
        ("PAYBACK_HTTP__TOKN", "zq7x-0123456789"),
        ("PAYBACK_HTTP__TOKEN_FILE", "zq7x-0123456789"),
        ("PAYBACK_KAFKA__BROKERS", "http://shop:zq7x@kafka:9092"),
        ("PAYBACK_KAFKA__PROPERTIES", "sasl.password=zq7x-password"),
        ("PAYBACK_KAFKA__PROPERTIES__LINGER_MS", "zq7x"),
        ("PAYBACK_KAFKA__PROPERTIES__SASL_PASSWORDS", "zq7x-password"),
        ("PAYBACK_KAFKA__PROPERTIES__SASL_MECHANISM__PASSWORD", "zq7x-password"),
    ];
    for mistake in mistakes {
        let refused = payback("check-config", &[mistake]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{mistake:?}: {said}");
        assert!(!said.contains("zq7x"), "{said}");
    }
}

#[test]
fn variables_of_others_are_said_once_and_change_nothing() {
    let others = [("PAYBACK_KAFKA_PORT", "tcp://zq7x:9092"), ("PAYBACK_KAFKA_SERVICE_HOST", "zq7x")];
    let checked = payback("check-config", &others);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("PAYBACK_KAFKA_PORT, PAYBACK_KAFKA_SERVICE_HOST") && !said.contains("zq7x"), "{said}");
}

#[test]
fn what_would_wait_for_ever_or_log_nothing_is_refused() {
    let mistakes = [("PAYBACK_KAFKA__BROKERS", "http://host:9092"), ("PAYBACK_LOG__LEVEL", "warning")];
    for (mistake, command) in
        mistakes.iter().flat_map(|mistake| ["run", "check-config"].map(|command| (mistake, command)))
    {
        let refused = payback(command, &[*mistake]);
        assert_eq!(refused.status.code(), Some(2), "{mistake:?}: {}", String::from_utf8_lossy(&refused.stderr));
    }
    let mut generate = Command::new(env!("CARGO_BIN_EXE_payback"));
    let refused = generate.args(["generate", "--brokers", "http://shop:zq7x@host:9092"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.starts_with("payback: --brokers: expected host:port") && !said.contains("zq7x"), "{said}");
}

#[test]
fn a_client_that_can_t_be_made_is_found_without_connecting() {
    let protocol = ("PAYBACK_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "SASL_SSL");
    let mechanism = "PAYBACK_KAFKA__PROPERTIES__SASL_MECHANISM";
    let mistakes = [
        ((mechanism, "NTLM"), "kafka.properties: Unsupported SASL mechanism"),
        ((mechanism, "PLAIN"), "kafka.properties: sasl.username and sasl.password must be set"),
        ((mechanism, "OAUTHBEARER"), "kafka.properties.sasl.mechanism: OAUTHBEARER has tokens only by"),
        (
            ("PAYBACK_KAFKA__PROPERTIES__SSL_CA_LOCATION", "/nowhere/zq7x"),
            if cfg!(feature = "kerberos") {
                "kafka.properties.ssl.ca.location: can't be read: No such file"
            } else {
                "kafka.properties.sasl.mechanism: GSSAPI (Kerberos), which is librdkafka's own default, is not in this build"
            },
        ),
    ];
    for ((mistake, expected), command) in
        mistakes.iter().flat_map(|mistake| ["run", "check-config", "topics"].map(|command| (mistake, command)))
    {
        let refused = payback(command, &[protocol, *mistake]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{command} {mistake:?}: {said}");
        assert!(said.contains(&format!("payback: {expected}")) && !said.contains("zq7x"), "{said}");
    }
}
