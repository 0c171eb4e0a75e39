//! As much of Kafka's protocol as it takes to tell requests apart, and to answer some of them with an error.

/// The requests that faults are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetFetch,
    /// FindCoordinator of a group: a member's, and a producer's that commits offsets.
    FindGroup,
    /// FindCoordinator of a transactional id.
    FindTransaction,
    JoinGroup,
    Heartbeat,
    LeaveGroup,
    SyncGroup,
    InitProducerId,
    AddPartitionsToTxn,
    AddOffsetsToTxn,
    EndTxn,
    TxnOffsetCommit,
    CreateTopics,
    DeleteRecords,
    DescribeConfigs,
}

impl Api {
    /// Its key, and the first version whose fields are of flexible length.
    pub fn number(self) -> (i16, i16) {
        match self {
            Api::Produce => (0, 9),
            Api::Fetch => (1, 12),
            Api::ListOffsets => (2, 6),
            Api::Metadata => (METADATA, 9),
            Api::OffsetFetch => (9, 6),
            Api::FindGroup | Api::FindTransaction => (FIND_COORDINATOR, 3),
            Api::JoinGroup => (11, 6),
            Api::Heartbeat => (12, 4),
            Api::LeaveGroup => (13, 4),
            Api::SyncGroup => (14, 4),
            Api::InitProducerId => (22, 2),
            Api::AddPartitionsToTxn => (24, 3),
            Api::AddOffsetsToTxn => (25, 3),
            Api::EndTxn => (26, 3),
            Api::TxnOffsetCommit => (28, 3),
            Api::CreateTopics => (19, 5),
            Api::DeleteRecords => (21, 2),
            Api::DescribeConfigs => (32, 4),
        }
    }
}

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

/// A request without its length.
pub struct Request<'a> {
    pub key: i16,
    pub version: i16,
    pub correlation: i32,
    /// Its client id, without what a member of a group says beside it.
    pub client: &'a str,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    pub fn read(frame: &'a [u8]) -> Request<'a> {
        let mut reader = Reader { bytes: frame, flexible: false };
        let (key, version, correlation) = (reader.i16(), reader.i16(), reader.i32());
        let client = reader.text().split('~').next().unwrap_or_default();
        Request { key, version, correlation, client, body: reader.bytes }
    }

    pub fn is(&self, api: Api) -> bool {
        let (key, flexible_from) = api.number();
        let of_group = || {
            let mut request = Reader { bytes: self.body, flexible: self.version >= flexible_from };
            request.tags();
            request.text();
            // What the coordinator is for stands behind its name.
            request.take(1)[0] == 0
        };
        self.key == key
            && match api {
                Api::FindGroup => of_group(),
                Api::FindTransaction => !of_group(),
                _ => true,
            }
    }

    /// Whether the answer names brokers with their addresses.
    pub fn asks_for_brokers(&self) -> bool {
        matches!(self.key, METADATA | FIND_COORDINATOR)
    }

    /// The answer that says `error`, without having done anything: of the whole request, or of each partition or topic in it.
    pub fn refusal(&self, api: Api, error: i16) -> Vec<u8> {
        let flexible = self.version >= api.number().1;
        let mut answer = Writer { bytes: self.correlation.to_be_bytes().to_vec(), flexible };
        let mut request = Reader { bytes: self.body, flexible };
        answer.tags();
        request.tags();
        match api {
            Api::Produce => {
                request.text();
                request.skip(2 + 4);
                let topics = request.topics(|request| request.sized());
                answer.topics(&topics, |answer| {
                    answer.i16(error);
                    // Base offset, time of append, start of the log.
                    (0..3).for_each(|_| answer.i64(-1));
                    if self.version >= 8 {
                        answer.length(0);
                        answer.nothing();
                    }
                });
                answer.i32(0);
            }
            Api::AddPartitionsToTxn => {
                request.text();
                request.skip(8 + 2);
                let topics = request.topics(|_| ());
                answer.i32(0);
                answer.topics(&topics, |answer| answer.i16(error));
            }
            Api::TxnOffsetCommit => {
                request.text();
                request.text();
                request.skip(8 + 2);
                if self.version >= 3 {
                    request.skip(4);
                    request.text();
                    request.text();
                }
                let with_epoch = self.version >= 2;
                let topics = request.topics(|request| {
                    request.skip(8 + if with_epoch { 4 } else { 0 });
                    request.text();
                });
                answer.i32(0);
                answer.topics(&topics, |answer| answer.i16(error));
            }
            Api::InitProducerId => {
                answer.i32(0);
                answer.i16(error);
                answer.i64(-1);
                answer.i16(-1);
            }
            Api::AddOffsetsToTxn | Api::EndTxn | Api::Heartbeat | Api::LeaveGroup => {
                answer.i32(0);
                answer.i16(error);
            }
            Api::FindGroup | Api::FindTransaction => {
                answer.i32(0);
                answer.i16(error);
                // What it says of it; the broker, its host, its port.
                answer.nothing();
                answer.i32(-1);
                answer.text("");
                answer.i32(-1);
            }
            Api::JoinGroup => {
                answer.i32(0);
                answer.i16(error);
                // Generation, protocol, leader, member, members.
                answer.i32(-1);
                (0..3).for_each(|_| answer.text(""));
                answer.length(0);
            }
            Api::SyncGroup => {
                answer.i32(0);
                answer.i16(error);
                // No assignment.
                answer.length(0);
            }
            Api::CreateTopics => {
                answer.i32(0);
                let topics = request.length();
                answer.length(topics);
                for _ in 0..topics {
                    let name = request.text();
                    // Partitions and replicas, where they are to be, and settings.
                    request.skip(4 + 2);
                    for _ in 0..request.length() {
                        request.skip(4);
                        let brokers = request.length();
                        request.skip(4 * brokers);
                    }
                    for _ in 0..request.length() {
                        request.text();
                        request.text();
                    }
                    answer.text(name);
                    answer.i16(error);
                    answer.nothing();
                }
            }
            Api::DeleteRecords => {
                let topics = request.topics(|request| request.skip(8));
                answer.i32(0);
                answer.topics(&topics, |answer| {
                    // The first offset that is left.
                    answer.i64(-1);
                    answer.i16(error);
                });
            }
            Api::DescribeConfigs => {
                answer.i32(0);
                let resources = request.length();
                answer.length(resources);
                for _ in 0..resources {
                    let kind = request.take(1)[0];
                    let name = request.text();
                    for _ in 0..request.length() {
                        request.text();
                    }
                    answer.i16(error);
                    answer.nothing();
                    answer.bytes.push(kind);
                    answer.text(name);
                    answer.length(0);
                }
            }
            other => panic!("{other:?} is answered by the broker alone"),
        }
        answer.tags();
        answer.bytes
    }
}

type Topics = Vec<(String, Vec<i32>)>;

pub struct Reader<'a> {
    pub bytes: &'a [u8],
    pub flexible: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        taken
    }

    pub fn skip(&mut self, length: usize) {
        self.take(length);
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn varint(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    pub fn text(&mut self) -> &'a str {
        let length = if self.flexible { self.varint().saturating_sub(1) } else { self.i16().max(0) as usize };
        std::str::from_utf8(self.take(length)).expect("a text")
    }

    fn sized(&mut self) {
        let length = if self.flexible { self.varint().saturating_sub(1) } else { self.i32().max(0) as usize };
        self.skip(length);
    }

    pub fn length(&mut self) -> usize {
        if self.flexible { self.varint().saturating_sub(1) } else { self.i32().max(0) as usize }
    }

    pub fn tags(&mut self) {
        if self.flexible {
            for _ in 0..self.varint() {
                self.varint();
                let length = self.varint();
                self.skip(length);
            }
        }
    }

    /// Topics with their partitions, of which `rest` skips what follows the number.
    fn topics(&mut self, rest: impl Fn(&mut Reader<'a>)) -> Topics {
        let mut topics = Topics::new();
        for _ in 0..self.length() {
            let name = self.text().to_owned();
            let mut partitions = Vec::new();
            for _ in 0..self.length() {
                partitions.push(self.i32());
                rest(self);
                // A partition that is a bare number has no tags, but that is so in versions without tags alone.
                self.tags();
            }
            self.tags();
            topics.push((name, partitions));
        }
        topics
    }
}

struct Writer {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Writer {
    fn i16(&mut self, number: i16) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            self.i32(length as i32);
        }
    }

    fn varint(&mut self, mut number: usize) {
        while number > 0x7f {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn text(&mut self, text: &str) {
        if self.flexible {
            self.varint(text.len() + 1);
        } else {
            self.i16(text.len() as i16);
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A text that is not there.
    fn nothing(&mut self) {
        if self.flexible { self.bytes.push(0) } else { self.i16(-1) }
    }

    fn tags(&mut self) {
        if self.flexible {
            self.bytes.push(0);
        }
    }

    fn topics(&mut self, topics: &Topics, each: impl Fn(&mut Writer)) {
        self.length(topics.len());
        for (name, partitions) in topics {
            self.text(name);
            self.length(partitions.len());
            for partition in partitions {
                self.i32(*partition);
                each(self);
                self.tags();
            }
            self.tags();
        }
    }
}
