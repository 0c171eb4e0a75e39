//! Rights on a broker: granted by Kafka's own protocol, and found again in what its authorizer logs.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::broker;

/// A right of a user: `(TOPIC, "purchases", "READ")`. A name that ends in `*` stands for all that begin so.
pub type Right = (&'static str, String, &'static str);

const RESOURCES: [(&str, i8); 4] = [("TOPIC", 2), ("GROUP", 3), ("CLUSTER", 4), ("TRANSACTIONAL_ID", 5)];
const OPERATIONS: [(&str, i8); 7] = [
    ("READ", 3),
    ("WRITE", 4),
    ("CREATE", 5),
    ("DELETE", 6),
    ("DESCRIBE", 8),
    ("DESCRIBE_CONFIGS", 10),
    ("IDEMPOTENT_WRITE", 12),
];

/// A resource or an operation by any way to write it: `Transactional id`, `DescribeConfigs`.
pub fn named(text: &str) -> &'static str {
    let plain = |text: &str| text.replace(['_', ' '], "").to_lowercase();
    let all = RESOURCES.iter().chain(&OPERATIONS);
    let found = all.map(|(name, _)| *name).find(|name| plain(name) == plain(text));
    found.unwrap_or_else(|| panic!("no such resource or right: {text}"))
}

fn code(of: &[(&str, i8)], name: &str) -> i8 {
    of.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no such code: {name}")).1
}

/// Grants rights: one `CreateAcls` request, version 1.
pub fn grant(user: &str, rights: &[Right]) {
    let mut request = Vec::new();
    let text = |request: &mut Vec<u8>, text: &str| {
        request.extend(i16::try_from(text.len()).expect("a short text").to_be_bytes());
        request.extend(text.as_bytes());
    };
    request.extend([0, 30, 0, 1, 0, 0, 0, 7]);
    text(&mut request, "payback-test");
    request.extend(u32::try_from(rights.len()).expect("some rights").to_be_bytes());
    for (resource, name, operation) in rights {
        request.push(code(&RESOURCES, resource).cast_unsigned());
        let (name, pattern) = name.strip_suffix('*').map_or((name.as_str(), 3), |prefix| (prefix, 4));
        text(&mut request, name);
        request.push(pattern);
        text(&mut request, &format!("User:{user}"));
        text(&mut request, "*");
        request.push(code(&OPERATIONS, operation).cast_unsigned());
        // Allow.
        request.push(3);
    }
    let mut stream = TcpStream::connect(broker::brokers()).expect("the broker listens");
    stream.write_all(&u32::try_from(request.len()).expect("a short request").to_be_bytes()).expect("it takes requests");
    stream.write_all(&request).expect("it takes requests");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("it answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("it answers");
    // Correlation, throttle time and number of results; then of each an error, none here, and its message, which is empty.
    assert_eq!(answer[..4], [0, 0, 0, 7]);
    assert_eq!(answer[12..], [0; 4].repeat(rights.len()), "each right is granted");
}

/// What the authorizer decided about a user: rights that were used, and lines about those that were lacking.
pub fn audit(user: &str) -> (BTreeSet<Right>, Vec<String>) {
    let (mut used, mut denied) = (BTreeSet::new(), Vec::new());
    let start = format!("Principal = User:{user} is ");
    for line in broker::log().lines() {
        let Some((_, decision)) = line.split_once(&start) else { continue };
        if decision.starts_with("Denied") {
            denied.push(line.to_owned());
            continue;
        }
        // `Allowed operation = READ from host = 127.0.0.1 on resource = Topic:LITERAL:purchases for request = Fetch ...`
        let (_, rest) = decision.split_once("operation = ").expect("a decision is about an operation");
        let (operation, rest) = rest.split_once(' ').expect("and goes on");
        let (_, rest) = rest.split_once("on resource = ").expect("it is about a resource");
        let (resource, _) = rest.split_once(" for request").expect("and about a request");
        let [resource, _, name] = resource.splitn(3, ':').collect::<Vec<_>>()[..] else { panic!("{line}") };
        used.insert((named(resource), name.to_owned(), named(operation)));
    }
    (used, denied)
}

/// Whether a right that was granted covers one that was used.
pub fn covers(granted: &Right, used: &Right) -> bool {
    let name = match granted.1.strip_suffix('*') {
        Some(prefix) => used.1.starts_with(prefix),
        None => used.1 == granted.1,
    };
    granted.0 == used.0 && granted.2 == used.2 && name
}
