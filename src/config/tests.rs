use super::*;
use crate::money::Micros;
use crate::settings::{self, WindowSpan};

const FILE: &str = include_str!("../../config/payback.toml");

fn read(toml: &str) -> Result<Config, ConfigError> {
    Config::read(toml, [])
}

fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read("", variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn the_file_that_is_shipped_shows_every_default() {
    assert_eq!(read(FILE).unwrap(), Config::default());
    assert_eq!(read("").unwrap(), Config::default());
}

#[test]
fn the_file_that_is_shipped_shows_every_key() {
    for (section, key) in all_keys() {
        let body = FILE.split_once(&format!("[{section}]\n")).map_or(FILE, |(_, rest)| rest);
        let body = body.split("\n[").next().unwrap();
        let shown = body.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(shown || key == "properties", "{section}.{key}");
    }
}

#[test]
fn the_examples_in_the_file_that_is_shipped_are_good() {
    let is_example = |line: &str| line.starts_with("# ") && line.contains(" = ");
    // A token stands in the one or in the other.
    let is_other_way = |line: &str| line.starts_with("# token_file = ");
    let uncommented: Vec<_> = FILE
        .lines()
        .map(|line| if is_example(line) && !is_other_way(line) { line.trim_start_matches("# ") } else { line })
        .collect();
    let config = read(&uncommented.join("\n")).unwrap();
    assert_eq!(config.kafka.replication_factor, Some(3));
    assert_eq!(config.kafka.properties.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
    assert_eq!(config.settings.default_margin, Some(Micros(400_000)));
    assert_eq!(config.settings.complete_from.unwrap().to_string(), "2026-01-01T00:00:00Z");
}

#[test]
fn nobody_comes_to_kafka_under_a_name_that_was_not_chosen() {
    let error = Config::default().require_application_id().unwrap_err().to_string();
    assert!(error.starts_with("kafka.application_id: is not set: choose a name for this deployment"), "{error}");
    let chosen = with(&[("PAYBACK_KAFKA__APPLICATION_ID", "shop")]).unwrap();
    assert!(chosen.require_application_id().is_ok() && chosen.effective().contains("application_id = \"shop\""));
    assert!(with(&[("PAYBACK_KAFKA__APPLICATION_ID", "")]).unwrap_err().to_string().contains("expected 1 to 200"));
}

/// As the errors about unknown keys list them.
fn all_keys() -> Vec<(String, String)> {
    let sections = expected_instead_of("nothing = 1");
    let keys = |section: String| {
        let keys = expected_instead_of(&format!("[{section}]\nnothing = 1"));
        keys.into_iter().map(move |key| (section.clone(), key))
    };
    sections.into_iter().filter(|section| section != "windows").flat_map(keys).collect()
}

fn expected_instead_of(toml: &str) -> Vec<String> {
    let error = read(toml).unwrap_err().to_string();
    let (_, expected) = error.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn there_are_as_many_keys_as_documented() {
    assert_eq!(all_keys().len(), 47);
}

#[test]
fn what_is_wrong_is_said_by_its_key() {
    let table = [
        ("nonsense = 1", "nonsense: unknown key"),
        ("[kafka]\nbroker = \"a:1\"", "kafka.broker: unknown key"),
        ("[kafka]\nbrokers = 3", "kafka.brokers: invalid type: integer `3`, expected a list of texts"),
        ("[kafka]\nbrokers = []", "kafka.brokers: at least one"),
        ("[kafka]\nbrokers = [\"a b\"]", "kafka.brokers: expected host:port"),
        ("[kafka]\nbrokers = \"a:1,\"", "kafka.brokers: expected host:port"),
        ("[kafka]\napplication_id = \"\"", "kafka.application_id: expected 1 to 200"),
        ("[kafka]\napplication_id = \"a/b\"", "kafka.application_id: expected 1 to 200"),
        ("[kafka]\ninstance_id = \"a b\"", "kafka.instance_id: expected 1 to 200"),
        ("[kafka]\nreplication_factor = 0", "kafka.replication_factor: expected at least 1"),
        ("[kafka]\nreplication_factor = 40000", "kafka.replication_factor: invalid value"),
        (
            "[kafka.properties]\n\"isolation.level\" = \"read_committed\"",
            "kafka.properties.isolation.level: exactly-once",
        ),
        ("[kafka.properties]\n\"no.such\" = 1", "kafka.properties.no.such: No such configuration property"),
        ("[kafka.properties]\n\"fetch.min.bytes\" = \"x\"", "kafka.properties.fetch.min.bytes: Invalid value"),
        ("[kafka.properties]\n\"fetch.min.bytes\" = []", "kafka.properties.fetch.min.bytes: expected a text"),
        ("[kafka.properties]\na.b = 1\n\"a.b\" = 2", "kafka.properties.a.b: is set twice"),
        ("[kafka]\nproperties = 1", "kafka.properties: invalid type"),
        ("[topics]\npurchases = []", "topics.purchases: at least one"),
        ("[topics]\nad_spend = [\"\"]", "topics.ad_spend: expected 1 to 249"),
        ("[topics]\nltv_updates = \"..\"", "topics.ltv_updates: expected 1 to 249"),
        ("[topics]\npurchases = [\"a\", \"a\"]", "topics.purchases: topic \"a\" already has a role"),
        ("[topics]\nad_spend = [\"purchases\"]", "topics.ad_spend: topic \"purchases\" already has a role"),
        ("[topics]\nroas_updates = \"ltv-updates\"", "topics.roas_updates: topic \"ltv-updates\" already has a role"),
        ("[topics]\ndead_letters = \"ad-spend\"", "topics.dead_letters: topic \"ad-spend\" already has a role"),
        (
            "[kafka]\napplication_id = \"a\"\n[topics]\npurchases = \"a-customer-events\"",
            "topics.purchases: topic \"a-customer-events\"",
        ),
        ("[topics]\ncreate_sources = 1", "topics.create_sources: invalid type: integer `1`, expected true or false"),
        ("[topics]\npartitions = 0", "topics.partitions: expected 1 to 1000, found 0"),
        ("[topics]\npartitions = -1", "topics.partitions: invalid value: integer `-1`, expected an integer in range"),
        ("[reporting]\ncurrency = \"yen\"", "reporting.currency: expected an ISO 4217 code"),
        ("[reporting]\ntime_zone = \"Asia/Edo\"", "reporting.time_zone: expected an IANA time zone"),
        ("[ltv]\nlifespan_years = 0", "ltv.lifespan_years: expected a number over 0"),
        ("[ltv]\nlifespan_years = 1001", "ltv.lifespan_years: expected a number over 0, at most 1000"),
        ("[costs]\ndefault_margin = 1.01", "costs.default_margin: expected a share from 0 to 1, found 1.01"),
        ("[costs]\nmin_coverage = -0.5", "costs.min_coverage: expected a share from 0 to 1, found -0.5"),
        ("[costs]\nmin_coverage = 0.1234567", "costs.min_coverage: invalid value"),
        ("[costs]\nmin_coverage = nan", "costs.min_coverage: invalid value"),
        ("[costs]\nmin_coverage = \"much\"", "costs.min_coverage: invalid value: string \"much\""),
        ("[history]\ncomplete_from = \"2026-01-01T00:00:00\"", "history.complete_from: expected a date"),
        ("[history]\ncomplete_from = \"2026-02-30\"", "history.complete_from: expected a date"),
        ("[attribution]\nmodel = \"best\"", "attribution.model: unknown variant `best`"),
        ("[attribution]\nlookback_days = -1", "attribution.lookback_days: expected 0 to 3660, found -1"),
        ("[attribution]\nhalf_life_days = 0", "attribution.half_life_days: expected 1 to 3660, found 0"),
        ("[attribution]\nignore_channels = [\"\"]", "attribution.ignore_channels: expected channels of 1 to 256"),
        ("[attribution]\nignore_channels = \"a,a\"", "attribution.ignore_channels: \"a\" appears twice"),
        ("[verdict]\nprofit = \"hope\"", "verdict.profit: unknown variant"),
        (
            "[verdict]\nwindow = \"1h\"",
            "verdict.window: expected one of the windows (24h, 7d, 30d, 90d, 365d, lifetime)",
        ),
        ("[verdict]\nmin_spend = -1", "verdict.min_spend: expected 0 to"),
        ("[verdict]\nmin_spend = 9000000000001", "verdict.min_spend: expected 0 to"),
        ("[verdict]\nmaturity_days = -1", "verdict.maturity_days: expected 0 to 3660"),
        ("[verdict]\nmax_spend_gap = 2", "verdict.max_spend_gap: expected a share"),
        (
            "[verdict]\nmax_lag_seconds = 4",
            "verdict.max_lag_seconds: expected 5 to 86400 (the least is 5, or six times commit.interval_ms), found 4",
        ),
        (
            "[verdict]\nmax_lag_seconds = 11\n[commit]\ninterval_ms = 2000",
            "verdict.max_lag_seconds: expected 12 to 86400 (the least is 5, or six times commit.interval_ms), found 11",
        ),
        (
            "[verdict]\nmax_lag_seconds = 86401",
            "verdict.max_lag_seconds: expected 5 to 86400 (the least is 5, or six times commit.interval_ms), found 86401",
        ),
        ("windows = []", "windows: expected 1 to 24 windows"),
        ("windows = [\"7d\", \"7d\"]", "windows: \"7d\" appears twice"),
        ("windows = [\"0h\"]", "windows: expected 1h to 960h, 1d to 3660d, or lifetime, found \"0h\""),
        ("windows = [\"961h\"]", "windows: expected 1h to 960h"),
        ("windows = [\"week\"]", "windows: expected 1h to 960h"),
        ("[workers]\ncustomers = 0", "workers.customers: expected 1 to 64"),
        ("[workers]\ncampaigns = 65", "workers.campaigns: expected 1 to 64"),
        ("[workers]\ncampaigns = 1.5", "workers.campaigns: invalid type"),
        ("[commit]\ninterval_ms = 5", "commit.interval_ms: expected 10 to 5000"),
        ("[retention]\nhours_days = 41", "retention.hours_days: expected 1 to 40, found 41"),
        ("[retention]\nhours_days = 40\ndays = 41", "retention.days: expected 42 to 36525, found 41"),
        ("[retention]\nspend_days = 801", "retention.spend_days: expected 1 to 800, found 801"),
        ("[retention]\norders_days = 365", "retention.orders_days: expected 366 to 36525, found 365"),
        (
            "windows = [\"lifetime\", \"25h\"]\n[retention]\nhours_days = 1",
            "windows: 25h reaches back further than retention.hours_days",
        ),
        ("windows = [\"lifetime\", \"801d\"]", "windows: 801d reaches back further than retention.days"),
        ("[verdict]\nmaturity_days = 801", "verdict.maturity_days: expected at most retention.days, 800, found 801"),
        ("[limits]\nstate_bytes = 0", "limits.state_bytes: expected 1048576 to"),
        ("[limits]\ninput_queue_bytes = 100", "limits.input_queue_bytes: expected 1048576 to"),
        ("[limits]\noutput_queue_bytes = \"1 GiB\"", "limits.output_queue_bytes: invalid value"),
        ("[http]\nlisten = \"localhost\"", "http.listen: expected an address and a port"),
        (
            "[http]\nlisten = \"0.0.0.0:8080\"",
            "http.listen: 0.0.0.0:8080 can be reached from other machines: set http.token",
        ),
        ("[http]\nlisten = \"[::]:8080\"", "http.listen: [::]:8080 can be reached"),
        ("[http]\nlisten = \"192.168.1.2:80\"\nallow_anonymous = false", "http.listen: 192.168.1.2:80 can be reached"),
        ("[http]\ntoken = \"short\"", "http.token: expected a token of 16 to 1024"),
        ("[http]\ntoken = \"with spaces it is no token\"", "http.token: expected a token of 16 to 1024"),
        ("[http]\ntoken = 1234567890123456", "http.token: expected a text"),
        (
            "[http]\ntoken = \"0123456789abcdef\"\ntoken_file = \"a\"",
            "http.token_file: http.token is set as well: only one",
        ),
        (
            "[http]\ntoken = \"0123456789abcdef\"\nallow_anonymous = true",
            "http.allow_anonymous: a token is set as well",
        ),
        ("[http]\nallow_anonymous = \"perhaps\"", "http.allow_anonymous: invalid value"),
        ("[metrics]\nmax_campaigns = 100001", "metrics.max_campaigns: expected 0 to 100000"),
        ("[log]\nlevel = \"payback=loud\"", "log.level: "),
        ("[log]\nlevel = \"\"", "log.level: expected a level"),
        ("[log]\nformat = \"xml\"", "log.format: unknown variant `xml`"),
        ("[kafka]\n[kafka]", "line 2 of the configuration is not TOML"),
    ];
    for (toml, expected) in table {
        let error = read(toml).expect_err(toml).to_string();
        assert!(error.starts_with(expected), "{toml}\n gives {error}\n  not {expected}");
    }
}

#[test]
fn properties_that_exactly_once_rests_on_are_refused_by_name() {
    let refused = [
        "isolation.level",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "transactional.id",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "partitioner",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "partition.assignment.strategy",
        "retries",
        "max.in.flight.requests.per.connection",
        "enable.partition.eof",
        "bootstrap.servers",
        "test.mock.num.brokers",
        "client.id",
        "transaction.timeout.ms",
        "message.max.bytes",
        "delivery.report.only.error",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "queuing.strategy",
        "queue.buffering.backpressure.threshold",
        "enable.gapless.guarantee",
        "allow.auto.create.topics",
    ];
    for name in refused {
        let error = read(&format!("[kafka.properties]\n{name} = 1")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("kafka.properties.{name}: ")), "{error}");
        assert!(!error.contains("property"), "it is refused here and not by librdkafka: {error}");
    }
}

#[test]
fn what_has_a_key_of_its_own_is_not_set_past_it() {
    let keys = [
        ("bootstrap.servers", "kafka.brokers"),
        ("queued.max.messages.kbytes", "limits.input_queue_bytes"),
        ("queue.buffering.max.kbytes", "limits.output_queue_bytes"),
        ("log_level", "log.level"),
    ];
    for (name, key) in keys {
        let error = read(&format!("[kafka.properties]\n{name} = 1024")).unwrap_err().to_string();
        assert_eq!(error, format!("kafka.properties.{name}: set {key}"));
    }
}

#[test]
fn a_property_that_no_client_works_with_is_refused_before_one_is_made() {
    let good = [
        ("socket.timeout.ms", "10100"),
        ("linger.ms", "0.5"),
        ("queue.buffering.max.ms", "1000"),
        ("fetch.max.bytes", "1000000"),
        ("max.poll.interval.ms", "45000"),
    ];
    let bad = [
        ("socket.timeout.ms", "10101"),
        ("linger.ms", "1000.5"),
        ("queue.buffering.max.ms", "1001"),
        ("fetch.max.bytes", "999999"),
        ("max.poll.interval.ms", "44999"),
    ];
    for (name, value) in good {
        read(&format!("[kafka.properties]\n{name} = {value}")).expect(name);
    }
    for (name, value) in bad {
        let error = read(&format!("[kafka.properties]\n{name} = {value}")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("kafka.properties.{name}: expected ")) && !error.contains(value), "{error}");
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let file = "windows = [\"1h\", \"lifetime\"]\n[kafka]\nbrokers = [\"file:1\"]\n[kafka.properties]\nsasl.username = \"file\"";
    let environment = [
        ("PAYBACK_KAFKA__BROKERS", "a:1, b:2"),
        ("PAYBACK_KAFKA__PROPERTIES__SASL_USERNAME", "environment"),
        ("PAYBACK_KAFKA__REPLICATION_FACTOR", "3"),
        ("PAYBACK_WINDOWS", "7d,lifetime"),
        ("PAYBACK_TOPICS__CREATE_SOURCES", "true"),
        ("PAYBACK_COSTS__DEFAULT_MARGIN", "0.35"),
        ("PAYBACK_ATTRIBUTION__IGNORE_CHANNELS", ""),
        ("PAYBACK_HTTP__LISTEN", "[::1]:0"),
        ("PAYBACK_HTTP__TOKEN", "0123456789abcdef"),
        ("PAYBACK_SERVICE_HOST", "set by Kubernetes"),
        ("PATH", "/bin"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::read(file, environment).unwrap();
    assert_eq!(config.kafka.bootstrap_servers(), "a:1,b:2");
    assert_eq!(config.kafka.properties.iter().collect::<Vec<_>>(), [("sasl.username", "environment")]);
    assert_eq!(config.kafka.replication_factor, Some(3));
    assert_eq!(config.settings.windows.len(), 2);
    assert_eq!(config.settings.verdict.window, 1);
    assert!(config.topics.create_sources);
    assert_eq!(config.settings.default_margin, Some(Micros(350_000)));
    assert!(config.settings.attribution.ignore_channels.is_empty());
    assert!(config.http.listen.is_ipv6());
    assert_eq!(config.http.token(), Some(&Secret::new("0123456789abcdef")));
}

#[test]
fn what_is_wrong_in_the_environment_is_said_by_its_variable() {
    let table = [
        (("PAYBACK_WORKERS__CUSTOMERS", "many"), "workers.customers (set by PAYBACK_WORKERS__CUSTOMERS): "),
        (
            ("PAYBACK_WORKERS__CUSTOMERS", "0"),
            "workers.customers (set by PAYBACK_WORKERS__CUSTOMERS): expected 1 to 64",
        ),
        (("PAYBACK_KAFKA__BROKER", "a"), "kafka.broker (set by PAYBACK_KAFKA__BROKER): unknown key"),
        (("PAYBACK_KAFKA__PROPERTIES__ACKS", "1"), "kafka.properties.acks (set by PAYBACK_KAFKA__PROPERTIES__ACKS): "),
        (("PAYBACK_COSTS__MIN_COVERAGE", ""), "costs.min_coverage (set by PAYBACK_COSTS__MIN_COVERAGE): invalid value"),
    ];
    for (variable, expected) in table {
        let error = with(&[variable]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n  not {expected}");
    }
}

#[test]
fn a_fraction_is_read_exactly_as_it_is_written() {
    for text in ["0.95", "\"0.95\"", "0.950000"] {
        let config = read(&format!("[costs]\nmin_coverage = {text}")).unwrap();
        assert_eq!(config.settings.min_coverage, Micros(950_000), "{text}");
    }
    let config = read("[verdict]\nmin_spend = \"8999999999999.000001\"").unwrap();
    assert_eq!(config.settings.verdict.min_spend, Micros(8_999_999_999_999_000_001));
    assert!(config.effective().contains("\"8999999999999.000001\""));
}

#[test]
fn sections_become_the_engines_settings() {
    let config = read(
        "windows = [\"7d\", \"49h\"]\n[reporting]\ncurrency = \"JPY\"\ntime_zone = \"Asia/Tokyo\"\n\
         [history]\ncomplete_from = 2026-01-01\n[attribution]\nmodel = \"time_decay\"\nlookback_days = 1\n\
         [verdict]\nprofit = \"revenue\"\nwindow = \"49h\"",
    );
    let settings = config.unwrap().settings;
    assert_eq!(settings.currency.as_str(), "JPY");
    assert_eq!(settings.complete_from.unwrap().to_string(), "2025-12-31T15:00:00Z");
    assert_eq!(settings.windows[1].span, WindowSpan::Hours(49));
    assert_eq!((settings.hours_days(), settings.hours_kept()), (3, 72), "what that window needs");
    assert_eq!(settings.attribution.model, settings::Model::TimeDecay);
    assert_eq!(settings.attribution.lookback, 86_400_000);
    assert_eq!(settings.verdict.profit, settings::Profit::Revenue);
    assert_eq!(settings.verdict.window, 1);
    let moment = read("[history]\ncomplete_from = 2026-01-01T00:00:00+09:00").unwrap();
    assert_eq!(moment.settings.complete_from, settings.complete_from);
}

#[test]
fn what_is_printed_can_be_read_again_and_shows_no_secret() {
    let secrets = ["sasl.password", "ssl.key.password", "sasl.oauthbearer.config", "ssl.key.pem"];
    let mut toml = "[kafka.properties]\nsasl.username = \"shop\"\n".to_owned();
    secrets.iter().for_each(|name| toml += &format!("{name} = \"hunter2\"\n"));
    toml += "[http]\ntoken = \"hunter2-hunter2-hunter2\"\n";
    let config = read(&toml).unwrap();
    let printed = config.effective();
    assert!(printed.contains("\"sasl.username\" = \"shop\""), "{printed}");
    assert_eq!(printed.matches("(hidden)").count(), secrets.len() + 1, "{printed}");
    assert!(!printed.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    assert_eq!(read(&Config::default().effective()).unwrap(), Config::default());
}

#[test]
fn a_variable_that_is_nobodys_key_is_ignored_and_said() {
    // As Kubernetes sets them beside services called payback, payback-kafka and payback-windows; and what no section has.
    let names = [
        "PAYBACK_",
        "PAYBACK_HTTP",
        "PAYBACK_KAFKA_PORT",
        "PAYBACK_KAFKA_PORT_9092_TCP",
        "PAYBACK_KAFKA_SERVICE_HOST",
        "PAYBACK_PORT",
        "PAYBACK_SERVICE_HOST",
        "PAYBACK_SHOP__NAME",
        "PAYBACK_WINDOW",
        "PAYBACK_WINDOWS_SERVICE_HOST",
        "PAYBACK_WINDOWS__LONGEST",
    ];
    let config = with(&names.map(|name| (name, "tcp://10.0.0.1:9092"))).unwrap();
    assert_eq!(config.ignored_variables, names);
    assert_eq!(Config { ignored_variables: Vec::new(), ..config }, Config::default());
}

#[test]
fn no_error_shows_a_secret() {
    let table = [
        "[kafka.properties]\n\"sasl.password\" = \"hunter2",
        "[kafka.properties]\n\"sasl.passwords\" = \"hunter2\"",
        "[kafka.properties]\n\"sasl.password\" = [\"hunter2\"]",
        "[http]\ntoken = \"hunter2\"",
        "[http]\ntoken = [\"hunter2\"]",
        "[http]\ntoken = { hunter2 = 1 }",
        "[http]\ntoken = \"hunter2",
        // The wrong shape at any height.
        "kafka = \"hunter2\"",
        "kafka = [\"hunter2\"]",
        "[[kafka]]\nproperties = { \"sasl.password\" = \"hunter2\" }",
        "[kafka]\nproperties = \"sasl.password=hunter2\"",
        "[kafka]\nproperties = [\"sasl.password=hunter2\"]",
        "[[kafka.properties]]\n\"sasl.password\" = \"hunter2\"",
        "[kafka.properties]\n\"sasl.password\" = [[\"hunter2\"]]",
        "http = \"hunter2\"",
        "http = [\"hunter2\"]",
        // A property that is no secret by its name.
        "[kafka.properties]\n\"fetch.min.bytes\" = \"hunter2\"",
        "[kafka.properties]\n\"security.protocol\" = \"hunter2\"",
        "[kafka.properties]\n\"debug\" = \"all,hunter2\"",
        "[kafka.properties]\n\"ssl.providers\" = \"hunter2\"\n\"linger.ms\" = \"hunter2\"",
        "[kafka.properties]\n\"enable.ssl.certificate.verification\" = \"hunter2\"",
        "[kafka.properties]\n\"security.protocols\" = \"hunter2\"",
        "[kafka.properties]\n\"acks\" = \"hunter2\"",
        // Brokers as other programs' addresses.
        "[kafka]\nbrokers = \"http://shop:hunter2@kafka:9092\"",
        "[kafka]\nbrokers = [\"kafka:9092\", \"shop:hunter2@kafka:9092\"]",
        "[kafka]\nbrokers = \"kafka:9092;sasl.password=hunter2\"",
        "[kafka]\nbrokers = [[\"http://shop:hunter2@kafka:9092\"]]",
        // No TOML at all.
        "[kafka.properties]\n\"sasl.password\" = hunter2",
        "[kafka.properties]\n\"sasl.password\" = 7hunter2",
        "[kafka.properties]\n\"sasl.password\" = 'hunter2",
        "[kafka.properties]\n\"sasl.password\" = \"\"\"hunter2",
        "[kafka.properties]\n\"sasl.password\" = \"a\" hunter2",
        "[kafka.properties]\n\"sasl.password\" = \"\\hunter2\"",
        "[kafka.properties]\n\"sasl.password\" = \"a\"hunter2\"",
        "[kafka.properties]\n\"sasl.password\" hunter2",
        "[kafka.properties]\n\"sasl.password\": \"hunter2\"",
        "[kafka.properties]\n\"sasl.password\" = [hunter2]",
        "[kafka.properties]\n\"sasl.password\" = { hunter2 }",
        "[kafka]\nproperties = {sasl.password=hunter2}",
        "[kafka.properties]\nsasl.password = \"hunter2\"\nsasl.password = \"hunter2\"",
        "[http]\ntoken = hunter2",
    ];
    for toml in table {
        let error = read(toml).expect_err(toml);
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{toml}: {error}");
    }
    let of_variables = [
        ("PAYBACK_KAFKA__PROPERTIES", "sasl.password=hunter2"),
        ("PAYBACK_KAFKA__PROPERTIES", "{\"sasl.password\":\"hunter2\"}"),
        ("PAYBACK_KAFKA__PROPERTIES__SASL_PASSWORDS", "hunter2"),
        ("PAYBACK_KAFKA__BROKERS", "http://shop:hunter2@kafka:9092"),
        ("PAYBACK_HTTP__TOKEN", "hunter2"),
    ];
    for variable in of_variables {
        let error = with(&[variable]).expect_err(variable.0);
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{variable:?}: {error}");
    }
}

#[test]
fn no_slip_of_the_finger_shows_a_secret() {
    let good = "[kafka.properties]\n\"sasl.password\" = \"hunter2hunter2\"\nlinger.ms = 5\n";
    let secret = good.find("hunter2").unwrap();
    let typed = "\"'=[]{}#\\,.:;\n\t\0é0x-".chars().map(String::from).chain([String::new()]);
    for slip in typed {
        for at in (0..good.len()).filter(|at| !(secret..secret + 14).contains(at)) {
            for end in [at, at + 1] {
                let toml = format!("{}{slip}{}", &good[..at], &good[end..]);
                if let Err(error) = read(&toml) {
                    assert!(!format!("{error:?} {error}").contains("hunter2"), "{toml}: {error}");
                }
            }
        }
    }
}

#[test]
fn no_error_shows_a_value_of_a_property() {
    let table = [
        ("socket.timeout.ms", "7770777"),
        ("session.timeout.ms", "777077707"),
        ("receive.message.max.bytes", "777"),
        ("linger.ms", "1777.5"),
        ("ssl.endpoint.identification.algorithm", "777"),
    ];
    for (name, value) in table {
        let error = read(&format!("[kafka.properties]\n{name} = {value}")).expect_err(name);
        assert!(!format!("{error:?} {error}").contains("777"), "{error}");
    }
}

#[test]
fn a_broker_is_a_host_and_a_port() {
    let good =
        ["kafka:9092", "kafka-1.shop.example.:9092", "127.0.0.1:1", "[::1]:65535", "kafka_1:9092", "bücher.de:9092"];
    for broker in good {
        let config = read(&format!("[kafka]\nbrokers = [\"{broker}\", \"b:1\"]")).expect(broker);
        assert_eq!(config.kafka.bootstrap_servers(), format!("{broker},b:1"));
    }
    let scheme = "leave out what stands before the host";
    let bad = [
        ("http://kafka:9092", scheme),
        ("PLAINTEXT://kafka:9092", scheme),
        ("SASL_SSL://kafka:9092", scheme),
        ("kafka", "expected host:port"),
        ("kafka:", "expected host:port"),
        (":9092", "expected host:port"),
        ("kafka:0", "expected host:port"),
        ("kafka:65536", "expected host:port"),
        ("kafka:+1", "expected host:port"),
        ("kafka:http", "expected host:port"),
        ("kafka:9092/", "expected host:port"),
        ("kafka:9092:9092", "expected host:port"),
        ("shop@kafka:9092", "expected host:port"),
        ("::1:9092", "expected host:port"),
        ("[::1]", "expected host:port"),
        ("[kafka]:9092", "expected host:port"),
        ("kafka;b:9092", "expected host:port"),
    ];
    for (broker, expected) in bad {
        let error = read(&format!("[kafka]\nbrokers = [\"a:1\", \"{broker}\"]")).expect_err(broker).to_string();
        assert!(
            error.starts_with("kafka.brokers: expected host:port") && error.contains(expected),
            "{broker}: {error}"
        );
        assert!(error.contains("number 2 of the list"), "{error}");
    }
}

#[test]
fn a_bare_word_for_the_log_is_a_level() {
    for level in
        ["error", "warn", "info", "debug", "trace", "off", "INFO", "payback=debug,info", "info,payback::kafka=debug"]
    {
        read(&format!("[log]\nlevel = \"{level}\"")).expect(level);
    }
    for level in ["warning", "verbose", "err", "info,payback=debug,verbose", "none", " ", ","] {
        let error = read(&format!("[log]\nlevel = \"{level}\"")).expect_err(level).to_string();
        let expected = "log.level: expected a level (off, error, warn, info, debug, trace)";
        assert!(error.starts_with(expected), "{level}: {error}");
    }
}

#[test]
fn beyond_loopback_the_api_needs_a_token_or_a_word_that_anybody_may_ask() {
    let good = [
        "listen = \"127.0.0.1:80\"",
        "listen = \"127.8.9.1:80\"",
        "listen = \"[::1]:80\"",
        "listen = \"[::ffff:127.0.0.1]:80\"",
        "listen = \"0.0.0.0:80\"\ntoken = \"0123456789abcdef\"",
        "listen = \"0.0.0.0:80\"\ntoken_file = \"/run/secrets/token\"",
        "listen = \"0.0.0.0:80\"\nallow_anonymous = true",
    ];
    for http in good {
        read(&format!("[http]\n{http}")).expect(http);
    }
}

#[test]
fn the_token_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (token, config) = (folder.path().join("token"), folder.path().join("payback.toml"));
    std::fs::write(&config, format!("[http]\ntoken_file = {token:?}")).unwrap();
    let load = || Config::load(Some(&config));

    let error = load().unwrap_err().to_string();
    assert!(error.starts_with("http.token_file: ") && error.contains("No such file"), "{error}");
    for bad in ["", "hunter2", "hunter2 hunter2 hunter2", &"x".repeat(100_000)] {
        std::fs::write(&token, bad).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.starts_with("http.token_file: ") && error.contains("expected a token of 16"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let config = load().unwrap();
    assert_eq!(config.http.token(), Some(&Secret::new("0123456789abcdef")));
    assert!(!config.effective().contains("0123456789abcdef"));
}

#[test]
fn only_a_format_that_this_program_knows_can_be_written() {
    use crate::format::{READS, WRITES};
    assert_eq!(read("").unwrap().settings.format.number(), WRITES);
    for format in READS {
        assert_eq!(read(&format!("[format]\nwrite = {format}")).unwrap().settings.format.number(), format);
    }
    let newer = READS.end() + 1;
    let error = with(&[("PAYBACK_FORMAT__WRITE", &newer.to_string())]).unwrap_err().to_string();
    let expected = "format.write (set by PAYBACK_FORMAT__WRITE): expected a format that this program knows, 1 to";
    assert!(error.starts_with(expected), "{error}");
    assert!(read("[format]\nwrite = 0").is_err());
}
