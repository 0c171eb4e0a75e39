//! Why the service ends.

use crate::kafka::error::WorkerError;
use crate::kafka::topics::TopicsError;

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what each is, its message says")]
pub enum RunError {
    #[error(transparent)]
    Topics(#[from] TopicsError),
    #[error("{worker}: {cause}")]
    Worker { worker: String, cause: Box<WorkerError> },
    #[error("{worker} ended unexpectedly")]
    Ended { worker: String },
    #[error("a thread can't be started: {0}")]
    Thread(std::io::Error),
}

impl RunError {
    /// Of what a worker of this name, or another part, can't go on from.
    pub fn of(worker: &str) -> impl Fn(WorkerError) -> RunError + Copy {
        move |cause| RunError::Worker { worker: worker.to_owned(), cause: Box::new(cause) }
    }
}
