//! The identities of topics: a topic that is deleted and created again has the name of before, and another id.
//!
//! The `rdkafka` crate (0.39) has no DescribeTopics, so it is called in librdkafka itself. This is the only module with
//! code that the compiler can't vouch for (`unsafe`). What it relies on: librdkafka's documentation of each function says
//! who owns what it takes and returns, and for how long that lives; [`Owned`] frees each thing once.
#![allow(unsafe_code, reason = "librdkafka's DescribeTopics has no safe wrapper in rdkafka 0.39")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

/// The id that a cluster has given to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicId(u128);

impl TopicId {
    /// `None` of zero, which stands for no id: a broker of before there were any (Kafka 2.8).
    pub fn new(number: u128) -> Option<TopicId> {
        (number != 0).then_some(TopicId(number))
    }

    /// Reads what [`Display`](fmt::Display) shows.
    pub fn parse(text: &str) -> Option<TopicId> {
        u128::from_str_radix(text, 16).ok().and_then(TopicId::new)
    }

    /// As a number.
    pub fn number(self) -> u128 {
        self.0
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a cluster says of the name of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// There is a topic, with this id.
    Known(TopicId),
    /// There is one, of a cluster that gives topics no ids.
    Unnamed,
    /// There is none; or none that is shown to this user.
    Gone,
}

/// Asks for the ids of these topics, all different. In their order. Blocks for at most about `limit`.
///
/// # Errors
/// No broker answers in time, or it refuses.
pub fn topic_ids<C: ClientContext>(client: &Client<C>, topics: &[&str], limit: Duration) -> KafkaResult<Vec<Identity>> {
    let failed = |code: RDKafkaErrorCode| KafkaError::AdminOp(code);
    let names: Vec<CString> = topics
        .iter()
        .map(|topic| CString::new(*topic))
        .collect::<Result<_, _>>()
        .map_err(|_| failed(RDKafkaErrorCode::InvalidTopic))?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX).max(1);
    let out_of_memory = || failed(RDKafkaErrorCode::CriticalSystemResource);

    // SAFETY: `client` lives until the end of this function, and so does what `native_ptr` points to. The collection copies
    // the names, of which there are as many as pointers. Each of the three is freed once, by its own function.
    let (collection, options, queue) = unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client.native_ptr(), operation);
        let queue = sys::rd_kafka_queue_new(client.native_ptr());
        (
            Owned::new(collection, sys::rd_kafka_TopicCollection_destroy).ok_or_else(out_of_memory)?,
            Owned::new(options, sys::rd_kafka_AdminOptions_destroy).ok_or_else(out_of_memory)?,
            Owned::new(queue, sys::rd_kafka_queue_destroy).ok_or_else(out_of_memory)?,
        )
    };
    // SAFETY: all pointers are of live things. The request has copies of collection and options, and a share of the queue.
    // Nothing is written where the text of an error would be, for its room is said to be 0. The event is ours to free.
    let event = unsafe {
        sys::rd_kafka_AdminOptions_set_request_timeout(options.pointer(), milliseconds, std::ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client.native_ptr(), collection.pointer(), options.pointer(), queue.pointer());
        // By then librdkafka has given the request up itself, and says so.
        let event = sys::rd_kafka_queue_poll(queue.pointer(), milliseconds.saturating_add(1_000));
        Owned::new(event, sys::rd_kafka_event_destroy).ok_or(failed(RDKafkaErrorCode::OperationTimedOut))?
    };
    // SAFETY: the event is live; it has no other type than the one that was asked for, and else the result is null.
    let result = unsafe {
        success(sys::rd_kafka_event_error(event.pointer()))?;
        sys::rd_kafka_event_DescribeTopics_result(event.pointer())
    };
    if result.is_null() {
        return Err(failed(RDKafkaErrorCode::BadMessage));
    }
    let mut count = 0;
    // SAFETY: the result lives as long as the event, and so do its `count` descriptions, whose pointers stand side by side.
    let descriptions = unsafe {
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if descriptions.is_null() { &[][..] } else { std::slice::from_raw_parts(descriptions, count) }
    };
    let mut found = Vec::with_capacity(count);
    for &description in descriptions.iter().filter(|description| !description.is_null()) {
        // SAFETY: the description is live, and so are its name and its id, which is never null.
        unsafe {
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description));
            let error = sys::rd_kafka_TopicDescription_error(description);
            if !error.is_null() {
                let code = sys::rd_kafka_error_code(error);
                if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART {
                    found.push((name, Identity::Gone));
                    continue;
                }
                success(code)?;
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(description);
            let most = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
            let least = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
            let id = TopicId::new(u128::from(most) << 64 | u128::from(least));
            found.push((name, id.map_or(Identity::Unnamed, Identity::Known)));
        }
    }
    let id_of = |name: &CString| found.iter().find(|(known, _)| *known == name.as_c_str()).map(|(_, id)| *id);
    names.iter().map(|name| id_of(name).ok_or(failed(RDKafkaErrorCode::BadMessage))).collect()
}

fn success(code: sys::rd_kafka_resp_err_t) -> KafkaResult<()> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::AdminOp(code.into())),
    }
}

/// Something that librdkafka made, and what frees it.
struct Owned<T> {
    pointer: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// `None` of a null pointer. Any other must be of a live thing that nobody else frees, and `free` what frees such.
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Owned<T>> {
        Some(Owned { pointer: NonNull::new(pointer)?, free })
    }

    fn pointer(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: as `new` demands, the thing is live, is freed by this function, and by nobody else.
        unsafe { (self.free)(self.pointer()) }
    }
}

/// That ids are found, and that a topic which is created again has another one, is tested on a real broker: librdkafka's own mock
/// cluster does not answer this.
#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn client(brokers: &str) -> BaseConsumer {
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap()
    }

    #[test]
    fn what_nobody_answers_is_an_error_in_time() {
        let away = client("127.0.0.1:1");
        let error = topic_ids(away.client(), &["a"], Duration::from_millis(100)).unwrap_err();
        assert_eq!(error, KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        let error = topic_ids(away.client(), &["a\0b"], LIMIT).unwrap_err();
        assert_eq!(error, KafkaError::AdminOp(RDKafkaErrorCode::InvalidTopic));
    }

    #[test]
    fn an_id_is_shown_in_digits_and_zero_is_none() {
        assert_eq!(TopicId::new(0), None);
        let id = TopicId::new(255).unwrap();
        assert_eq!(id.to_string(), "000000000000000000000000000000ff");
        assert_eq!((TopicId::parse(&id.to_string()), TopicId::parse("0"), TopicId::parse("x")), (Some(id), None, None));
    }
}
