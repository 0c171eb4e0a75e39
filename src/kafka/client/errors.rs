//! What an error of librdkafka's means to whoever asked.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Whether a broker says that there is nothing at the offset to read from.
pub fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange))
}

/// Whether asking again is no use.
pub fn is_hopeless(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::InvalidGroupId
                | Code::InvalidSessionTimeout
                | Code::InconsistentGroupProtocol
                | Code::GroupMaxSizeReached
                | Code::UnsupportedVersion
                | Code::UnsupportedFeature
                | Code::MessageSizeTooLarge
                | Code::InvalidRecord
                | Code::Fatal
        )
    )
}
